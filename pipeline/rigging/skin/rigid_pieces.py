"""Pieces of a mesh that move as one: buttons and eyes, armor, and the parts of a robot."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from ...mesh.components import (
    MeshComponents,
    measure_component_extents,
    measure_component_sides,
)
from ...mesh.topology import find_open_edges, list_directed_edges
from ...types import BoolArray, Float64Array, Int64Array, Skeleton
from .bone_distances import Bone

_SMALL, _PART = 0.1, 0.35
"""Spans, as shares of the body's height: of a detail, and the largest of a part."""
_MAX_OPEN_SHARE = 0.25
"""Share of the points in open details, above which they are patches of one surface."""
_ASSEMBLED = 0.5
"""Share of the points in closed parts, from which the body is put together from them."""
_OWN_SHARE, _OWN_SHARE_ASSEMBLED = 0.75, 0.6
"""Mean weight of a joint, from which a closed part is that joint's alone."""
_BALL_OFFSET, _BALL_SHARE, _BALL_WIDTH = 0.2, 0.7, 0.7
"""Of a ball joint: the distance of its middle from the joint, as a share of its span, the weight of the
joint and its parent, and the shortest of its sides, as a share of the longest: flatter ones are sockets."""


def hold_pieces(
    weights: Float64Array, pieces: MeshComponents, skeleton: Skeleton, bones: list[Bone]
) -> Float64Array:
    """Return the weights (P, B) with those of rigid pieces made equal over the piece.

    A detail has the mean of its weights, and moves with the surface below it. A closed part that is for the
    most part one joint's is that joint's, as is a ball around a joint in a body put together from parts.
    """
    height = float(np.ptp(pieces.points[:, 1]))
    spans = measure_component_extents(pieces) / max(height, 1e-12)
    counts = np.bincount(pieces.labels, minlength=len(spans))
    is_closed = find_closed(pieces, len(spans))
    is_detail = spans < _SMALL
    if counts[is_detail & ~is_closed].sum() > _MAX_OPEN_SHARE * len(weights):
        is_detail &= is_closed
    is_part = is_closed & (spans < _PART)
    is_assembled = bool(counts[is_part].sum() > _ASSEMBLED * len(weights) and (counts > 0).sum() > 2)
    means = _average(weights, pieces.labels, counts)
    least = _OWN_SHARE_ASSEMBLED if is_assembled else _OWN_SHARE
    owned = is_part & ~is_detail & (means.max(axis=1) >= least)
    held = np.where(owned[:, None], np.eye(means.shape[1])[means.argmax(axis=1)], means)
    if is_assembled:
        balls = _find_balls(pieces, counts, spans * height, means, skeleton, bones)
        balls[~is_part] = -1
        held[balls >= 0] = np.eye(means.shape[1])[balls[balls >= 0]]
        owned |= balls >= 0
    rigid = (is_detail | owned)[pieces.labels]
    return np.where(rigid[:, None], held[pieces.labels], weights)


def find_closed(pieces: MeshComponents, count: int) -> BoolArray:
    """Return (C,) bool, whether each edge of a piece is traversed in both directions."""
    start, end = list_directed_edges(pieces.faces)
    alone = find_open_edges(start, end, len(pieces.points))
    is_closed = np.ones(count, bool)
    is_closed[pieces.labels[start[alone]]] = False
    return is_closed


def _average(values: Float64Array, labels: Int64Array, counts: Int64Array) -> Float64Array:
    """(C, K) the means of values (P, K) over the points of each piece."""
    order = (np.ones(len(labels)), (labels, np.arange(len(labels))))
    totals = sparse.coo_matrix(order, shape=(len(counts), len(labels))).tocsr() @ values
    return np.asarray(totals / np.maximum(counts, 1)[:, None])


def _find_balls(
    pieces: MeshComponents,
    counts: Int64Array,
    spans: Float64Array,
    means: Float64Array,
    skeleton: Skeleton,
    bones: list[Bone],
) -> Int64Array:
    """(C,) number of the bone around whose joint a piece lies, -1 for others. spans: metres."""
    middles = _average(pieces.points, pieces.labels, counts)
    joints = [bone.joint for bone in bones]
    away = np.linalg.norm(middles[:, None] - skeleton.positions[joints][None], axis=2)
    own = {joint: number for number, joint in enumerate(joints)}
    above = np.array([own.get(int(skeleton.parents[joint]), number) for number, joint in enumerate(joints)])
    shared = means + np.where(above != np.arange(len(above)), means[:, above], 0.0)
    away[(away > _BALL_OFFSET * spans[:, None]) | (shared < _BALL_SHARE)] = np.inf
    sides = measure_component_sides(pieces)
    away[sides.min(axis=1) < _BALL_WIDTH * sides.max(axis=1)] = np.inf
    return np.where(np.isfinite(away.min(axis=1)), away.argmin(axis=1), -1)
