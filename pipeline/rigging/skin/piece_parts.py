"""Pieces of a mesh that belong to one part of the body: helmets, breastplates, boots, the limbs of a toy.

Where a body is put together from closed pieces that stand in each other, distances through the interior run
from one into the next, and the rim of a piece would go with its neighbor. A detail, such as a bolt, belongs
to what it touches: nothing else holds it, and another limb may hang right beside it. Fingers and toes are
none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from ...mesh.areas import measure_areas
from ...mesh.components import MeshComponents, measure_component_extents
from ...types import BoolArray, Float64Array, Int64Array
from .bone_distances import MAX_DISTANCE, Bone
from .rigid_pieces import find_closed

_LEAST_SHARE = 0.55
"""Of a piece's area, from which it is one part's."""
_MAX_HELD = 0.5
"""Share of all that a part has: what holds more of a part than that is its body, not a neighbor of it."""
_DETAIL, _MAX_GAP = 0.1, 0.05
"""Span of a detail and its distance from what it touches, as shares of the body's height."""
_MAX_END = 0.5
"""Mean weight of the last bone of a limb, above which a piece is part of a hand or of the toes."""
_MAX_DETAILS = 0.5
"""Share of the points in details, above which nothing else is left to touch."""
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
    shoulder. Only closed pieces and details are one part's: what else is open goes on in the next piece.
    """
    parts = _number_parts(bones)
    shares = weights @ np.eye(int(parts.max()) + 1)[parts]
    main, one = _find_main_parts(shares, parts, pieces, bones, along_arm)
    shares = np.where(one[pieces.labels, None], np.eye(shares.shape[1])[main[pieces.labels]], shares)
    touched = _find_touched_parts(shares, pieces, weights[:, _find_ends(bones, parts)].sum(axis=1))
    main, one = np.where(touched >= 0, touched, main), one | (touched >= 0)
    apart = one[pieces.labels, None] & (parts != main[pieces.labels, None])
    return np.where(apart, MAX_DISTANCE, distances)


def _find_main_parts(
    by_point: Float64Array,
    parts: Int64Array,
    pieces: MeshComponents,
    bones: Sequence[Bone],
    along_arm: BoolArray,
) -> tuple[Int64Array, BoolArray]:
    """The part (C,) that each piece has most of, and (C,) bool whether the piece is that part's alone.

    by_point: (P, K) share of each part at a point.
    """
    held = _measure_parts(by_point, pieces)
    shares = held / np.maximum(held.sum(axis=1, keepdims=True), 1e-12)
    main = shares.argmax(axis=1)
    others = np.arange(shares.shape[1]) != main[:, None]
    is_body = (others & (held > _MAX_HELD * held.sum(axis=0))).any(axis=1)
    counts = np.bincount(pieces.labels, minlength=len(held))
    reached = np.bincount(pieces.labels, along_arm, minlength=len(held)) / np.maximum(counts, 1)
    is_sleeve = (reached > _MAX_REACHED) & np.isin(main, parts[[bone.part == "trunk" for bone in bones]])
    one = find_closed(pieces, len(held)) & (shares.max(axis=1) >= _LEAST_SHARE) & ~is_body & ~is_sleeve
    return main, one


def _find_touched_parts(by_point: Float64Array, pieces: MeshComponents, at_end: Float64Array) -> Int64Array:
    """(C,) the part of what a detail touches; -1 for larger pieces and those that touch nothing.

    by_point: (P, K) share of each part at a point. at_end: (P,) weight of the last bone of a limb: what is
    for the most part such a bone's may hang beside another part, as fingers do beside a thigh.
    """
    height = float(np.ptp(pieces.points[:, 1]))
    is_detail = measure_component_extents(pieces) < _DETAIL * height
    counts = np.bincount(pieces.labels, minlength=len(is_detail))
    is_detail &= np.bincount(pieces.labels, at_end, minlength=len(counts)) < _MAX_END * counts
    found = np.full(len(is_detail), -1)
    own = is_detail[pieces.labels]
    if not own.any() or own.mean() > _MAX_DETAILS:
        return found
    faces = pieces.faces[~own[pieces.faces[:, 0]]]
    places = np.concatenate((pieces.points[~own], pieces.points[faces].mean(axis=1)))
    shares = np.concatenate((by_point[~own], by_point[faces].mean(axis=1)))
    away, nearest = cKDTree(places).query(pieces.points[own])
    labels = pieces.labels[own]
    totals = np.zeros((len(found), by_point.shape[1]))
    np.add.at(totals, labels, shares[nearest])
    gaps = np.full(len(found), np.inf)
    np.minimum.at(gaps, labels, away)
    touches = gaps < _MAX_GAP * height
    found[touches] = totals[touches].argmax(axis=1)
    return found


def _number_parts(bones: Sequence[Bone]) -> Int64Array:
    """(B,) the part of the body of each bone; trunk and collarbones are one, limbs two by side."""
    names = [("trunk", 0) if bone.part == "collar" else (bone.part, bone.side) for bone in bones]
    known = list(dict.fromkeys(names))
    return np.array([known.index(name) for name in names])


def _find_ends(bones: Sequence[Bone], parts: Int64Array) -> list[int]:
    """The numbers of the last bones of the limbs."""
    limbs = {int(part): number for number, part in enumerate(parts) if bones[number].side}
    return list(limbs.values())


def _measure_parts(by_point: Float64Array, pieces: MeshComponents) -> Float64Array:
    """(C, K) the area of each piece that goes with each part, square metres."""
    areas = measure_areas(pieces.points, pieces.faces)
    own = np.bincount(pieces.faces.ravel(), np.repeat(areas / 3, 3), minlength=len(pieces.points))
    order = (own, (pieces.labels, np.arange(len(own))))
    return np.asarray(sparse.coo_matrix(order).tocsr() @ by_point)
