"""The interior of a mesh as voxels, and geodesic distances through it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree

from ..types import BoolArray, Float64Array, Int64Array

NEIGHBORS_26 = np.ones((3, 3, 3), dtype=bool)
"""Structuring element of 26-connectivity, for scipy.ndimage."""
OFFSETS = np.delete(np.argwhere(NEIGHBORS_26) - 1, 13, axis=0)
"""(26, 3) steps from a cell to its neighbors, rising: the last 13 lead to later cells."""


@dataclass(frozen=True, eq=False)
class VoxelSolid:
    """One connected body of voxels.

    cells: (X, Y, Z) bool. origin: (3,) center of cell (0, 0, 0), metres. size: edge of a cell, metres.
    """

    cells: BoolArray
    origin: Float64Array
    size: float

    @cached_property
    def indices(self) -> Int64Array:
        """(N, 3) grid indices of the filled cells."""
        return np.argwhere(self.cells)

    @cached_property
    def centers(self) -> Float64Array:
        """(N, 3) centers of the filled cells, metres, in the order of `indices`."""
        return self.origin + self.size * self.indices

    @cached_property
    def numbers(self) -> Int64Array:
        """(X, Y, Z) row of each filled cell in `indices`, -1 for empty cells."""
        found = np.full(self.cells.shape, -1, np.int64)
        found[self.cells] = np.arange(len(self.indices))
        return found

    @cached_property
    def depths(self) -> Float64Array:
        """(N,) distances from the nearest empty cell, metres, in the order of `indices`."""
        return ndimage.distance_transform_edt(self.cells)[tuple(self.indices.T)] * self.size

    @cached_property
    def tree(self) -> cKDTree:
        """K-d tree over `centers`."""
        return cKDTree(self.centers)

    @cached_property
    def neighbors(self) -> npt.NDArray[np.int32]:
        """(N, 26) rows in `indices` of the cells at OFFSETS from each filled cell; -1 for empty ones."""
        padded = np.pad(self.numbers.astype(np.int32), 1, constant_values=-1)
        steps = OFFSETS @ np.array((padded.shape[1] * padded.shape[2], padded.shape[2], 1))
        return padded.ravel()[np.flatnonzero(padded >= 0)[:, None] + steps]

    @cached_property
    def graph(self) -> sparse.csr_matrix:
        """(N, N) symmetric adjacency of the filled cells, 26-connected; edge weights in metres."""
        joined = self.neighbors >= 0
        lengths = np.broadcast_to(self.size * np.linalg.norm(OFFSETS, axis=1), joined.shape)[joined]
        starts = np.concatenate(([0], np.cumsum(np.count_nonzero(joined, axis=1)))).astype(np.int32)
        return sparse.csr_matrix((lengths, self.neighbors[joined], starts), shape=(len(joined),) * 2)

    def nearest(self, points: Float64Array) -> Int64Array:
        """Return the (K,) rows in `indices` of the filled cells nearest to points (K, 3)."""
        return np.atleast_1d(self.tree.query(points)[1])

    def measure_distances(self, sources: Int64Array) -> Float64Array:
        """Return (N,) geodesic distances in metres from the nearest of the cells `sources`."""
        return csgraph.dijkstra(self.graph, indices=sources, min_only=True)

    def trace_path(self, start: int, goal: int) -> Int64Array:
        """Return the cells of the shortest path through the interior, from `start` to `goal`."""
        _, before = csgraph.dijkstra(self.graph, indices=start, return_predecessors=True)
        path = [goal]
        while path[-1] != start:
            path.append(int(before[path[-1]]))
        return np.array(path[::-1])
