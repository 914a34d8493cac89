"""Fewer triangles from the vertices of a mesh: uvs, skin and whatever else a vertex has stay as they are.

A point moves onto a neighbour (half-edge collapse) where that changes the surface least, by the quadric error
of Garland and Heckbert 1997. The vertices of a point on a seam move together, along the seam, so that none
opens. Points whose neighbourhoods do not overlap move at once. fast-simplification and libigl place points
anew, and take the two sides of a seam for borders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ..progress import Progress, ignore_progress
from ..types import BoolArray, Float64Array, FloatArray, Int64Array, IntArray
from .weld import weld_equal

_CHEAPEST = 0.4
"""Share of the points that may move in a round: of those, the ones that change the surface least."""
_STEEPEST = 0.25
"""Cosine of the largest turn of a triangle by a move."""
_SEAM_WEIGHT = 1.0
"""How much a seam or border resists being bent, relative to the surface beside it."""


@dataclass(frozen=True)
class _Edges:
    """Directed edges between points, sorted by their start: `pairs` (E, 2), of `shared` (E,) triangles each.

    vertices: (D, 2), the directed edges between vertices. own: (D,) the edge between points of each.
    counts: (E,) how many edges between vertices lie on one.
    """

    pairs: Int64Array
    shared: Int64Array
    vertices: Int64Array
    own: Int64Array
    counts: Int64Array


def simplify_faces(
    positions: FloatArray,
    faces: IntArray,
    face_count: int,
    uvs: FloatArray | None = None,
    progress: Progress = ignore_progress,
) -> IntArray:
    """Return at most `face_count` faces (G, 3) over the same vertices, or as few as the seams allow.

    positions: (V, 3). faces: (F, 3). uvs: (V, 2), whose triangles do not turn over. Vertices at one place are
    one point.
    """
    point = weld_equal(positions).inverse
    places = np.zeros((int(point.max()) + 1, 3))
    places[point] = positions
    current = _drop_degenerate(faces.astype(np.int64), point)
    quadrics = _sum_quadrics(current, point, places)
    first = len(current)
    while len(current) > face_count:
        moves = _choose_moves(current, point, places, quadrics, uvs, (len(current) - face_count + 1) // 2)
        if not len(moves):
            break
        current = _move_points(current, point, quadrics, moves)
        progress((first - len(current)) / max(first - face_count, 1))
    return current.astype(np.int32)


def _drop_degenerate(faces: Int64Array, point: Int64Array) -> Int64Array:
    a, b, c = point[faces].T
    return faces[(a != b) & (b != c) & (c != a)]


def _find_edges(faces: Int64Array, point: Int64Array) -> _Edges:
    """Every edge of the faces, in both directions."""
    ahead = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    vertices, faces_at = _count_pairs(np.concatenate([ahead, ahead[:, ::-1]]), len(point))
    count = int(point.max()) + 1
    keys, own = np.unique(point[vertices] @ (count, 1), return_inverse=True)
    shared = np.bincount(own, weights=faces_at).astype(np.int64)
    return _Edges(np.stack(np.divmod(keys, count), axis=1), shared, vertices, own, np.bincount(own))


def _count_pairs(pairs: Int64Array, count: int) -> tuple[Int64Array, Int64Array]:
    """The distinct ones of pairs (N, 2) of numbers below `count`, sorted, and how often each is there."""
    keys, numbers = np.unique(pairs @ (count, 1), return_counts=True)
    return np.stack(np.divmod(keys, count), axis=1), numbers


def _sum_quadrics(faces: Int64Array, point: Int64Array, places: Float64Array) -> Float64Array:
    """(N, 4, 4): the planes of each point's triangles, and of the seams and borders that it lies on."""
    corners = places[point[faces]]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(normal, axis=1)
    unit = normal / np.maximum(area, 1e-30)[:, None]
    quadrics = np.zeros((len(places), 4, 4))
    planes = _square_planes(unit, corners[:, 0], area / 2)
    for corner in range(3):
        np.add.at(quadrics, point[faces[:, corner]], planes)
    edges, count = _find_edges(faces, point), len(places)
    sharp = np.sort(edges.pairs[(edges.counts > 1) | (edges.shared == 1)] @ (count, 1))
    for corner in range(3):
        start, end = point[faces[:, corner]], point[faces[:, (corner + 1) % 3]]
        at = np.flatnonzero(np.isin(start * count + end, sharp))
        along = places[end[at]] - places[start[at]]
        across = np.cross(along, unit[at])
        length = np.linalg.norm(across, axis=1)
        wall = _square_planes(
            across / np.maximum(length, 1e-30)[:, None], places[start[at]], _SEAM_WEIGHT * length**2
        )
        np.add.at(quadrics, start[at], wall)
        np.add.at(quadrics, end[at], wall)
    return quadrics


def _square_planes(normals: Float64Array, through: Float64Array, weights: Float64Array) -> Float64Array:
    planes = np.concatenate([normals, -np.einsum("ij,ij->i", normals, through)[:, None]], axis=1)
    return planes[:, :, None] * planes[:, None, :] * weights[:, None, None]


def _choose_moves(
    faces: Int64Array,
    point: Int64Array,
    places: Float64Array,
    quadrics: Float64Array,
    uvs: FloatArray | None,
    most: int,
) -> Int64Array:
    """The vertices that move, and onto which others: (M, 2); of at most `most` points."""
    edges = _find_edges(faces, point)
    start, end = edges.pairs.T
    goal = np.append(places[end], np.ones((len(end), 1)), axis=1)
    cost = np.einsum("ei,eij,ej->e", goal, quadrics[start] + quadrics[end], goal)
    cost[~_may_move(edges, point)] = np.inf
    order = np.lexsort((cost, start))
    best = order[np.unique(start[order], return_index=True)[1]]  # the cheapest move of each point
    best = best[np.isfinite(cost[best])]
    target = np.full(len(places), -1)
    target[start[best]] = end[best]
    best = best[~_list_folded(faces, point, places, edges, uvs, target)[start[best]]]
    best = best[np.argsort(cost[best], kind="stable")][: max(int(_CHEAPEST * len(best)), 1)]
    chosen = _keep_apart(start[best], edges, len(places))[:most]
    target[:] = -1
    target[start[best[chosen]]] = end[best[chosen]]
    return _list_moves(edges, target)


def _list_moves(edges: _Edges, target: Int64Array) -> Int64Array:
    """The pairs of vertices (M, 2), whose first moves onto the second as points move onto targets (N,)."""
    return edges.vertices[(target[edges.pairs[:, 0]] == edges.pairs[:, 1])[edges.own]]


def _may_move(edges: _Edges, point: Int64Array) -> BoolArray:
    """Whether the start of each edge may move onto its end.

    Each vertex of the start must have an edge to just one vertex of the end; no triangles but those on the
    edge may fall together (the link condition); and a point of a border moves along it.
    """
    count = int(point.max()) + 1
    start, end = edges.pairs.T
    ways, numbers = _count_pairs(np.stack((edges.vertices[:, 0], edges.own), axis=1), len(point) + len(start))
    with_one = np.bincount(ways[numbers == 1, 1], minlength=len(start))
    wedges = np.bincount(point[np.unique(edges.vertices[:, 0])], minlength=count)
    ones = np.ones(len(start), np.int64)
    near = sparse.csr_array((ones, (start, end)), shape=(count, count))
    common = (near @ near).tocsr()[start, end]
    on_border = np.zeros(count, bool)
    on_border[start[edges.shared == 1]] = True
    tangled = np.zeros(count, bool)
    tangled[start[edges.shared > 2]] = True
    return (
        (with_one == wedges[start])
        & (edges.counts == wedges[start])
        & (np.asarray(common).reshape(-1) == edges.shared)
        & (~on_border[start] | (edges.shared == 1))
        & ~tangled[start]
    )


def _list_folded(
    faces: Int64Array,
    point: Int64Array,
    places: Float64Array,
    edges: _Edges,
    uvs: FloatArray | None,
    target: Int64Array,
) -> BoolArray:
    """Whether a triangle of each point (N,) folds over, or its uvs do, as the point moves onto its target."""
    folded = np.zeros(len(places), bool)
    ends = point[faces]
    old = _cross(places[ends])
    moves, onto = _list_moves(edges, target), np.arange(len(point))
    onto[moves[:, 0]] = moves[:, 1]
    for corner in range(3):
        moved = ends[:, corner]
        at = np.flatnonzero((target[moved] >= 0) & (ends != target[moved][:, None]).all(axis=1))
        corners = places[ends[at]]
        corners[:, corner] = places[target[moved[at]]]
        new = _cross(corners)
        dot = np.einsum("ij,ij->i", old[at], new)
        bad = dot < _STEEPEST * np.linalg.norm(old[at], axis=1) * np.linalg.norm(new, axis=1)
        bad |= np.linalg.norm(new, axis=1) < 1e-14
        if uvs is not None:
            moved_faces = faces[at].copy()
            moved_faces[:, corner] = onto[faces[at, corner]]
            bad |= _area(uvs[faces[at]]) * _area(uvs[moved_faces]) < 0
        folded[moved[at[bad]]] = True
    return folded


def _cross(corners: Float64Array) -> Float64Array:
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def _area(corners: FloatArray) -> Float64Array:
    (ax, ay), (bx, by) = (corners[:, 1] - corners[:, 0]).T, (corners[:, 2] - corners[:, 0]).T
    return ax * by - ay * bx


def _keep_apart(movers: Int64Array, edges: _Edges, count: int) -> Int64Array:
    """Numbers of the movers, the cheapest first, whose neighbourhoods no cheaper one overlaps."""
    rank = np.full(count, len(movers))
    rank[movers] = np.arange(len(movers))
    start, end = edges.pairs.T
    claimed = rank.copy()
    np.minimum.at(claimed, start, rank[end])
    around = claimed.copy()
    np.minimum.at(around, start, claimed[end])
    return np.flatnonzero(around[movers] == np.arange(len(movers)))


def _move_points(
    faces: Int64Array, point: Int64Array, quadrics: Float64Array, moves: Int64Array
) -> Int64Array:
    """The faces that are left after the moves; goals get the quadrics of the points that moved there."""
    ends = np.unique(point[moves], axis=0)
    quadrics[ends[:, 1]] += quadrics[ends[:, 0]]
    onto = np.arange(len(point))
    onto[moves[:, 0]] = moves[:, 1]
    return _drop_degenerate(onto[faces], point)
