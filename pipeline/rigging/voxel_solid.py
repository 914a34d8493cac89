"""The interior of a mesh as voxels, and geodesic distances through it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree

from ..types import BoolArray, Float64Array, Int64Array

NEIGHBORS_26 = np.ones((3, 3, 3), dtype=bool)
"""Structuring element of 26-connectivity, for scipy.ndimage."""


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
    def graph(self) -> sparse.csr_matrix:
        """(N, N) symmetric adjacency of the filled cells, 26-connected; edge weights in metres."""
        padded = np.pad(self.numbers, 1, constant_values=-1)
        here = self.indices + 1
        starts, ends, lengths = [], [], []
        for offset in np.argwhere(NEIGHBORS_26) - 1:
            if tuple(offset) <= (0, 0, 0):
                continue
            other = padded[tuple((here + offset).T)]
            joined = np.flatnonzero(other >= 0)
            starts.append(joined)
            ends.append(other[joined])
            lengths.append(np.full(len(joined), self.size * np.linalg.norm(offset)))
        pairs = np.concatenate(starts), np.concatenate(ends)
        half = sparse.coo_matrix((np.concatenate(lengths), pairs), shape=(len(here),) * 2)
        return (half + half.T).tocsr()

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
