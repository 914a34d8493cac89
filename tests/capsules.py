"""Figures of capsules, the simplest bodies that have limbs."""

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
