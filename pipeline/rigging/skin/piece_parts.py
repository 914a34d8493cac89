"""Pieces of a mesh that belong to one part of the body: helmets, breastplates, boots, the limbs of a toy.

Where a body is put together from closed pieces that stand in each other, distances through the interior run
from one into the next, and the rim of a piece would go with its neighbor. A small piece, such as a bolt or
a socket, belongs to what it touches most: nothing else holds it, and another limb may hang right beside it.
What encloses the bones of one part is that part's, however near another is: a helmet, the head, also beside
shoulders. Fingers and toes are none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from ...mesh.areas import measure_areas
from ...mesh.components import MeshComponents, measure_component_extents
from ...mesh.inside import are_inside
from ...types import BoolArray, Float64Array, Int64Array
from .bone_distances import MAX_DISTANCE, Bone
from .piece_contacts import share_contacts
from .rigid_pieces import find_closed

_APART = 10 * MAX_DISTANCE
"""In radii: farther than what no path leads to, which a piece's own bones may be."""
_LEAST_SHARE = 0.55
"""Of a piece's area, from which it is one part's."""
_MAX_HELD = 0.5
"""Share of all that a part has: what holds more of a part than that is its body, not a neighbor of it."""
_BEARER = 0.3
"""Share of all that a bone moves: a piece with more than that is needed for the bone to move anything."""
_DETAIL, _SMALL, _SURE = 0.1, 0.2, 0.9
"""Spans, as shares of the body's height: of a detail, and of a piece that goes with what it touches unless it
is one part's by so much."""
_CLEAR = 0.75
"""Share of what a piece touches, from which it belongs to that."""
_MAX_END = 0.5
"""Mean weight of the last bone of a limb, above which a piece is part of a hand or of the toes."""
_MAX_DETAILS = 0.5
"""Share of the points in small pieces, above which nothing else is left to touch."""
_MAX_REACHED = 0.02
"""Share of the points that lie along an arm, from which a piece of the trunk has sleeves that bend."""
_ENCLOSES, _PASSES, _BESIDE_HEAD = 0.75, 0.2, 0.5
"""Share of a part's bones in a piece that holds the part, and of another's that merely end in it; in a
helmet, which hangs over shoulders, it may be larger."""
_MAX_SHARE = 0.75
"""Of the points, in a piece that is the body, and not one of those that it is put together from."""
_SAMPLES = (np.arange(4) + 0.5) / 4
"""Shares of a bone's length."""


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
    outer = _find_outer_parts(pieces, bones, parts, along_arm)
    shares = _drop_outer(shares, outer[pieces.labels])
    main, one = _find_main_parts(shares, parts, pieces, bones, along_arm)
    shares = np.where(one[pieces.labels, None], np.eye(shares.shape[1])[main[pieces.labels]], shares)
    areas = _measure_parts(weights, pieces)
    is_bearer = (areas > _BEARER * areas.sum(axis=0)).any(axis=1)
    ends = weights[:, _find_ends(bones, parts)].sum(axis=1)
    touched = _find_touched_parts(shares, pieces, ends, is_bearer)
    main, one = np.where(touched >= 0, touched, main), one | (touched >= 0)
    other = outer | (one[:, None] & (np.arange(shares.shape[1]) != main[:, None]))
    return np.where(other[pieces.labels][:, parts], _APART, distances)


def _drop_outer(shares: Float64Array, outer: BoolArray) -> Float64Array:
    """The shares (P, K) of parts without those that a point's piece is not of; rows sum to 1."""
    kept = np.where(outer, 0.0, shares + 1e-9)
    return np.asarray(kept / kept.sum(axis=1, keepdims=True))


def _find_outer_parts(
    pieces: MeshComponents, bones: Sequence[Bone], parts: Int64Array, along_arm: BoolArray
) -> BoolArray:
    """(C, K) bool, the parts whose bones are outside a closed piece that encloses those of another.

    Sleeves may go with an arm whose bones are hardly in them, and the trunk is between two limbs.
    """
    counts = np.bincount(pieces.labels)
    size = (counts > len(_SAMPLES)) & (counts < _MAX_SHARE * len(pieces.labels))
    shares = np.zeros((len(counts), int(parts.max()) + 1))
    for label in np.flatnonzero(size & find_closed(pieces, len(counts))):
        shares[label] = _share_enclosed(pieces, int(label), bones, parts)
    reached = np.bincount(pieces.labels, along_arm, minlength=len(counts)) > _MAX_REACHED * counts
    outer = (shares < _PASSES) & (shares.max(axis=1) >= _ENCLOSES)[:, None]
    trunk, head = (parts[[bone.part == part for bone in bones]][0] for part in ("trunk", "head"))
    outer[np.ix_(reached, parts[[bone.part == "arm" for bone in bones]])] = False
    outer[(~outer).sum(axis=1) > 1, trunk] = False
    others = np.arange(shares.shape[1]) != head
    is_head = (shares[:, head] >= _ENCLOSES) & (shares[:, others].max(axis=1) < _BESIDE_HEAD)
    outer[is_head] = others
    return outer


def _share_enclosed(
    pieces: MeshComponents, label: int, bones: Sequence[Bone], parts: Int64Array
) -> Float64Array:
    """(K,) the share of the length of each part's bones that is inside a closed piece."""
    triangles = pieces.points[pieces.faces[pieces.labels[pieces.faces[:, 0]] == label]]
    ends = np.stack([bone.segments[0] for bone in bones])
    points = ends[:, :1] + _SAMPLES[:, None] * np.diff(ends, axis=1)
    inside = are_inside(points.reshape(-1, 3), triangles.astype(np.float64)).reshape(points.shape[:2])
    lengths = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
    held = np.bincount(parts, lengths * inside.mean(axis=1))
    return np.asarray(held / np.maximum(np.bincount(parts, lengths), 1e-12))


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


def _find_touched_parts(
    by_point: Float64Array, pieces: MeshComponents, at_end: Float64Array, is_bearer: BoolArray
) -> Int64Array:
    """(C,) the part of what a small piece touches, or a detail's own where that is not clear; -1 for others.

    by_point: (P, K) share of each part at a point. at_end: (P,) weight of the last bone of a limb: what is
    for the most part such a bone's may hang beside another part, as fingers do beside a thigh. is_bearer:
    (C,) bool, whether much of what a bone moves is in a piece, as in a neck between head and trunk.
    """
    spans = measure_component_extents(pieces) / float(np.ptp(pieces.points[:, 1]))
    counts = np.maximum(np.bincount(pieces.labels, minlength=len(spans)), 1)
    own = np.stack([np.bincount(pieces.labels, part) for part in by_point.T], axis=1) / counts[:, None]
    is_detail = spans < _DETAIL
    is_small = is_detail | ((spans < _SMALL) & (own.max(axis=1) < _SURE) & ~is_bearer)
    is_small &= np.bincount(pieces.labels, at_end) < _MAX_END * counts
    found = np.full(len(spans), -1)
    if not is_small.any() or is_small[pieces.labels].mean() > _MAX_DETAILS:
        return found
    shares = share_contacts(by_point, pieces, is_small)
    is_clear = shares.max(axis=1) >= _CLEAR
    found[is_detail] = own[is_detail].argmax(axis=1)
    return np.where(is_small, np.where(is_clear, shares.argmax(axis=1), found), -1)


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
