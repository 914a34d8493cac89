"""Triangulate a silhouette, and join two sheets along its outline into a closed surface."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..types import BoolArray, FloatArray, Int64Array, IntArray

_MIN_FRACTION = 0.08
"""Smallest distance, in cells, of outline points from grid points, to avoid slivers."""


class Outline(NamedTuple):
    """The region alpha > 0.5, triangulated.

    inner: (N, 2) row and column of the grid points inside. start, stop: (M, 2) the grid points, inside
    and outside, whose link the outline crosses at fraction (M,) from the inside one.
    triangles: (T, 3) into inner followed by the crossings; counter-clockwise seen with rows upward.
    """

    inner: Int64Array
    start: Int64Array
    stop: Int64Array
    fraction: FloatArray
    triangles: Int64Array

    @property
    def points(self) -> FloatArray:
        """(N + M, 2) row and column."""
        crossing = self.start + (self.stop - self.start) * self.fraction[:, None]
        return np.concatenate([self.inner, crossing])


def _polygons(case: int) -> list[list[int]]:
    """List the polygons of one case: corners 0..3 clockwise from the top left, crossings 4..7 after each."""
    inside = [bool(case >> corner & 1) for corner in range(4)]
    if case in (5, 10):  # opposite corners stay separate: two parts must not share a point
        return [[c, c + 4, (c + 3) % 4 + 4] for c in range(4) if inside[c]]
    ring = []
    for corner in range(4):
        if inside[corner]:
            ring.append(corner)
        if inside[corner] != inside[(corner + 1) % 4]:
            ring.append(corner + 4)
    first = next((i for i, item in enumerate(ring) if item < 4), 0)
    return [ring[first:] + ring[:first]] if ring else []


_CASES = [
    np.array([(p[0], p[i + 1], p[i]) for p in _polygons(case) for i in range(1, len(p) - 1)]).reshape(-1, 3)
    for case in range(16)
]
"""Triangles of each case of marching squares. Fans start at a corner, so no edge but the outline's own
joins two crossings: such an edge would lie in both sheets and four faces would meet there."""


def trace_outline(alpha: FloatArray) -> Outline:
    """Triangulate the region alpha (H, W) > 0.5 by marching squares; the grid's rim must be outside it."""
    inside = alpha > 0.5
    node = np.full(alpha.shape, -1)
    node[inside] = np.arange(inside.sum())
    across, across_link = _cross_links(alpha, inside, (0, 1))
    down, down_link = _cross_links(alpha, inside, (1, 0))
    first = int(inside.sum())
    across[across >= 0] += first
    down[down >= 0] += first + len(across_link[2])
    corners = [node[:-1, :-1], node[:-1, 1:], node[1:, 1:], node[1:, :-1]]
    sides = [across[:-1, :], down[:, 1:], across[1:, :], down[:, :-1]]
    table = np.stack([item.ravel() for item in (*corners, *sides)], axis=1)
    code = sum((corner.ravel() >= 0).astype(int) << bit for bit, corner in enumerate(corners))
    found = [table[code == case][:, _CASES[case]].reshape(-1, 3) for case in range(1, 16)]
    links = [np.concatenate(pair) for pair in zip(across_link, down_link, strict=True)]
    return Outline(np.argwhere(inside), links[0], links[1], links[2], np.concatenate(found))


def _cross_links(
    alpha: FloatArray, inside: BoolArray, step: tuple[int, int]
) -> tuple[Int64Array, tuple[Int64Array, Int64Array, FloatArray]]:
    """Number the crossings on the links to the neighbor at `step`; -1 where there is none."""
    rows, columns = alpha.shape
    near = (slice(0, rows - step[0]), slice(0, columns - step[1]))
    far = (slice(step[0], rows), slice(step[1], columns))
    crossed = inside[near] != inside[far]
    number = np.full(crossed.shape, -1)
    number[crossed] = np.arange(crossed.sum())
    low = np.argwhere(crossed)
    low_is_inside = inside[near][crossed][:, None]
    high = low + step
    start, stop = np.where(low_is_inside, low, high), np.where(low_is_inside, high, low)
    one, two = alpha[tuple(start.T)], alpha[tuple(stop.T)]
    fraction = np.clip((one - 0.5) / np.maximum(one - two, 1e-6), _MIN_FRACTION, 1 - _MIN_FRACTION)
    return number, (start, stop, fraction.astype(np.float32))


def join_sheets(triangles: Int64Array, front: FloatArray, back: FloatArray) -> tuple[FloatArray, IntArray]:
    """Join a front and a back sheet over the same triangles (T, 3) into one closed surface.

    front, back: (N, 3) positions of the same points, equal where the sheets meet; a wall closes the gap
    where they differ on the border. The triangles must face the front. Returns positions and faces.
    """
    tail, head = _find_border(triangles)
    met = np.zeros(len(front), dtype=bool)
    border = np.unique(tail)
    met[border] = (front[border] == back[border]).all(axis=1)
    twin = np.where(met, np.arange(len(front)), len(front) + np.cumsum(~met) - 1)
    walls = np.concatenate(
        [
            np.stack([head, tail, twin[tail]], axis=1),
            np.stack([head, twin[tail], twin[head]], axis=1),
        ]
    )
    a, b, c = walls.T
    walls = walls[(a != b) & (b != c) & (c != a)]
    faces = np.concatenate([triangles, twin[triangles[:, ::-1]], walls])
    return np.concatenate([front, back[~met]]), faces.astype(np.int32)


def _find_border(triangles: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Return tails and heads of the directed edges without an opposite."""
    edges = triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    count = int(triangles.max()) + 1
    forward, backward = edges[:, 0] * count + edges[:, 1], edges[:, 1] * count + edges[:, 0]
    lone = ~np.isin(forward, backward, assume_unique=True)  # as directed edges are, where all face one way
    return edges[lone, 0], edges[lone, 1]
