"""Weights of mirrored pieces: those with a twin on the other side, and those that are their own mirror image.

The grid of the interior does not lie alike on both sides. A small piece between two parts of the body, such
as the ring around a shoulder, would go with one of them on the left and with the other on the right.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

from ...mesh.components import MeshComponents
from ...types import BoolArray, Float64Array, Int64Array, Skeleton
from ..skeleton import SIDES
from .bone_distances import Bone

_NEAR = 0.004
"""Share of the body's height within which a point's mirror image lies."""
_LEAST_MIRRORED = 0.9
"""Share of the points of a piece."""


def mirror_distances(
    distances: Float64Array, pieces: MeshComponents, skeleton: Skeleton, bones: Sequence[Bone]
) -> Float64Array:
    """Return the distances (P, B) of points from bones, in mirrored pieces alike on both sides.

    The plane is x = 0. Distances from bones of one side that the other lacks are kept.
    """
    has_twin, twin = _find_twins(pieces)
    own = np.arange(len(bones))
    other = _find_opposites(skeleton, bones)
    paired = other >= 0
    both = 0.5 * (distances + distances[twin][:, np.where(paired, other, own)])
    return np.where(has_twin[:, None] & paired, both, distances)


def _find_twins(pieces: MeshComponents) -> tuple[BoolArray, Int64Array]:
    """(P,) bool, whether a point's piece and its twin's are mirrored, and (P,) the point's mirror image."""
    away, twin = cKDTree(pieces.points).query(pieces.points * (-1, 1, 1))
    is_near = away < _NEAR * float(np.ptp(pieces.points[:, 1]))
    counts = np.bincount(pieces.labels)
    is_mirrored = np.bincount(pieces.labels, is_near) >= _LEAST_MIRRORED * counts
    return is_near & is_mirrored[pieces.labels] & is_mirrored[pieces.labels[twin]], twin


def _find_opposites(skeleton: Skeleton, bones: Sequence[Bone]) -> Int64Array:
    """(B,) the number of the bone on the other side, that of the trunk's its own; -1 where there is none."""
    names = [skeleton.names[bone.joint] for bone in bones]
    numbers = {name: number for number, name in enumerate(names)}
    return np.array([numbers.get(_swap_side(name), -1) for name in names])


def _swap_side(name: str) -> str:
    left, right = SIDES
    if left in name:
        return name.replace(left, right)
    return name.replace(right, left)
