"""The inside of a mesh as voxels, and distances that stay inside it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree

from ..types import BoolArray

Points = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_EVERY_NEIGHBOUR = np.ones((3, 3, 3), dtype=bool)


@dataclass(frozen=True, eq=False)
class VoxelSolid:
    """cells: (X, Y, Z) bool, one connected body. origin: centre of cell (0, 0, 0). size: metres per cell."""

    cells: BoolArray
    origin: Points
    size: float

    @cached_property
    def indices(self) -> Indices:
        """(N, 3) grid indices of the filled cells."""
        return np.argwhere(self.cells)

    @cached_property
    def centres(self) -> Points:
        """(N, 3) centres of the filled cells, metres, in the order of `indices`."""
        return self.origin + self.size * self.indices

    @cached_property
    def numbers(self) -> Indices:
        """(X, Y, Z) position of each filled cell in `indices`, -1 where empty."""
        found = np.full(self.cells.shape, -1, np.int64)
        found[self.cells] = np.arange(len(self.indices))
        return found

    @cached_property
    def tree(self) -> cKDTree:
        """Nearest-neighbour index over `centres`."""
        return cKDTree(self.centres)

    @cached_property
    def graph(self) -> sparse.csr_matrix:
        """(N, N) symmetric graph of the 26-neighbourhood; edge weights are metres."""
        padded = np.pad(self.numbers, 1, constant_values=-1)
        here = self.indices + 1
        starts, ends, lengths = [], [], []
        for offset in np.argwhere(_EVERY_NEIGHBOUR) - 1:
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

    def nearest(self, points: Points) -> Indices:
        """Numbers of the filled cells nearest to `points` (K, 3)."""
        return np.atleast_1d(self.tree.query(points)[1])

    def measure_distances(self, sources: Indices) -> Points:
        """(N,) metres from the nearest of the cells `sources`, through the inside."""
        return csgraph.dijkstra(self.graph, indices=sources, min_only=True)

    def trace_path(self, start: int, goal: int) -> Indices:
        """Cell numbers of the shortest inside path from `start` to `goal`."""
        _, before = csgraph.dijkstra(self.graph, indices=start, return_predecessors=True)
        path = [goal]
        while path[-1] != start:
            path.append(int(before[path[-1]]))
        return np.array(path[::-1])
