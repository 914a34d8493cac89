"""Pieces of a mesh that belong to one part of the body: helmets, breastplates, boots, the limbs of a toy.

Where a body is put together from closed pieces that stand in each other, distances through the interior run
from one into the next, and the rim of a piece would go with its neighbor.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from ...mesh.areas import measure_areas
from ...mesh.components import MeshComponents
from ...types import BoolArray, Float64Array, Int64Array
from .bone_distances import MAX_DISTANCE, Bone
from .rigid_pieces import find_closed

_LEAST_SHARE = 0.55
"""Of a piece's area, from which it is one part's."""
_MAX_HELD = 0.5
"""Share of all that a part has: what holds more of a part than that is its body, not a neighbor of it."""
_MAX_REACHED = 0.02
"""Share of the points that lie along an arm, from which a piece of the trunk has sleeves that bend."""


def separate_pieces(
    distances: Float64Array,
    weights: Float64Array,
    pieces: MeshComponents,
    bones: Sequence[Bone],
    along_arm: BoolArray,
) -> Float64Array:
    """Return the distances (P, B) of points from bones, where pieces of one part are far from all others'.

    weights: (P, B) that follow from the distances. along_arm: (P,) bool, whether a point lies beyond the
    shoulder. Only closed pieces are one part's: what is open goes on in the next piece.
    """
    parts = _number_parts(bones)
    held = _measure_parts(weights, parts, pieces)
    shares = held / np.maximum(held.sum(axis=1, keepdims=True), 1e-12)
    main = shares.argmax(axis=1)
    others = np.arange(shares.shape[1]) != main[:, None]
    is_body = (others & (held > _MAX_HELD * held.sum(axis=0))).any(axis=1)
    counts = np.bincount(pieces.labels, minlength=len(held))
    reached = np.bincount(pieces.labels, along_arm, minlength=len(held)) / np.maximum(counts, 1)
    is_sleeve = (reached > _MAX_REACHED) & np.isin(main, parts[[bone.part == "trunk" for bone in bones]])
    one = find_closed(pieces, len(held)) & (shares.max(axis=1) >= _LEAST_SHARE) & ~is_body & ~is_sleeve
    apart = one[pieces.labels, None] & (parts != main[pieces.labels, None])
    return np.where(apart, MAX_DISTANCE, distances)


def _number_parts(bones: Sequence[Bone]) -> Int64Array:
    """(B,) the part of the body of each bone; trunk and collarbones are one, limbs two by side."""
    names = [("trunk", 0) if bone.part == "collar" else (bone.part, bone.side) for bone in bones]
    known = list(dict.fromkeys(names))
    return np.array([known.index(name) for name in names])


def _measure_parts(weights: Float64Array, parts: Int64Array, pieces: MeshComponents) -> Float64Array:
    """(C, K) the area of each piece that goes with each part, square metres."""
    areas = measure_areas(pieces.points, pieces.faces)
    own = np.bincount(pieces.faces.ravel(), np.repeat(areas / 3, 3), minlength=len(pieces.points))
    by_part = weights @ np.eye(int(parts.max()) + 1)[parts]
    order = (own, (pieces.labels, np.arange(len(own))))
    return np.asarray(sparse.coo_matrix(order).tocsr() @ by_part)
