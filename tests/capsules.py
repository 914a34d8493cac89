"""Figures of capsules, the simplest bodies that have limbs."""

from itertools import pairwise

import numpy as np
import trimesh


def join_capsules(limbs, count):
    """Closed capsules between two points each, (start, stop, radius), overlapping, as one trimesh."""
    parts = []
    for start, stop, radius in limbs:
        axis = np.subtract(stop, start)
        part = trimesh.creation.capsule(height=np.linalg.norm(axis), radius=radius, count=[count, count])
        place = trimesh.geometry.align_vectors([0, 0, 1], axis)
        place[:3, 3] = np.add(start, stop) / 2  # a capsule lies around its middle
        parts.append(part.apply_transform(place))
    return trimesh.util.concatenate(parts)


def make_dog():
    """A dog of capsules, 1.3 m long, standing, facing +Z, as one trimesh."""
    parts = [
        ((0, 0.5, -0.3), (0, 0.5, 0.25), 0.11),
        ((0, 0.5, 0.25), (0, 0.72, 0.45), 0.06),
        ((0, 0.72, 0.45), (0, 0.7, 0.62), 0.055),
        ((0, 0.55, -0.38), (0, 0.75, -0.65), 0.03),
    ]
    for x in (0.09, -0.09):
        for z in (-0.3, 0.24):
            leg = [(x, 0.45, z), (x, 0.25, z + 0.03), (x, 0.05, z)]
            parts += [(a, b, 0.045) for a, b in pairwise(leg)]
    return join_capsules(parts, 12)
