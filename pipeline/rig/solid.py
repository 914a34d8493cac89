"""The inside of a closed mesh as voxels, and distances that stay inside it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree

from ..errors import RigError
from ..types import BoolArray, Mesh

Points = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_CELL_GOAL = 60_000
_COARSEST, _FINEST = 64, 256
_EVERY_NEIGHBOUR = np.ones((3, 3, 3), dtype=bool)
_TIE_BREAK = np.array((0.00137, 0.00091))
_PAIR_BATCH = 2_000_000


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


def voxelise_mesh(mesh: Mesh) -> VoxelSolid:
    """Fill a closed, outward-wound mesh (overlapping shells allowed) and keep its largest body.

    A cell is filled where the winding number of its centre, counted along z, is positive. The cell
    size gives about 60,000 filled cells. RigError if the mesh encloses no volume.
    """
    corners = mesh.positions.astype(np.float64)[mesh.faces]
    volume = float(np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6)
    low, high = (bound.astype(np.float64) for bound in mesh.bounds)
    span = float((high - low).max())
    if not volume > 1e-6 * span**3:
        raise RigError(f"the mesh must be closed and wound outward; it encloses {volume:.3g} m³")
    size = float(np.clip((volume / _CELL_GOAL) ** (1 / 3), span / _FINEST, span / _COARSEST))
    origin = low - 1.5 * size
    shape = tuple(int(count) for count in np.ceil((high - low) / size) + 3)
    cells = _fill_columns((corners - origin) / size, shape)
    touched = cells.copy()
    touched[tuple(np.rint((mesh.positions - origin) / size).astype(int).T)] = True
    return VoxelSolid(_largest_body(cells, touched), origin, size)


def fill_box(mesh: Mesh, low: Points, high: Points, size: float) -> BoolArray:
    """(X, Y, Z) bool, the filled cells of a box; the centre of cell (0, 0, 0) is `low`, all in metres."""
    shape = tuple(int(count) for count in np.ceil((high - low) / size) + 1)
    corners = mesh.positions.astype(np.float64)[mesh.faces]
    near = (corners[..., :2].max(axis=1) >= low[:2]) & (corners[..., :2].min(axis=1) <= high[:2] + size)
    near = near.all(axis=1)
    return _fill_columns((corners[near] - low) / size, shape) if near.any() else np.zeros(shape, bool)


def _fill_columns(corners: Points, shape: tuple[int, ...]) -> BoolArray:
    """Fill the cells of a grid; corners (F, 3, 3) in cells, which may lie outside."""
    steps = np.zeros((shape[0], shape[1], shape[2] + 1), np.int32)
    flat = corners[..., :2]
    low = np.maximum(np.ceil(flat.min(axis=1) - _TIE_BREAK), 0).astype(np.int64)
    high = np.minimum(np.floor(flat.max(axis=1) - _TIE_BREAK), np.array(shape[:2]) - 1).astype(np.int64)
    extent = np.maximum(high - low + 1, 0)
    counts = extent.prod(axis=1)
    ends = np.cumsum(counts)
    batches = np.searchsorted(ends, np.arange(_PAIR_BATCH, ends[-1] + _PAIR_BATCH, _PAIR_BATCH))
    first = 0
    for last in np.minimum(batches + 1, len(corners)):
        _add_crossings(steps, corners[first:last], low[first:last], extent[first:last], counts[first:last])
        first = int(last)
    return np.cumsum(steps, axis=2)[..., :-1] > 0


def _add_crossings(
    steps: npt.NDArray[np.int32], corners: Points, low: Indices, extent: Indices, counts: Indices
) -> None:
    face = np.repeat(np.arange(len(corners)), counts)
    rank = np.arange(len(face)) - np.repeat(np.cumsum(counts) - counts, counts)
    column = low[face] + np.stack((rank % extent[face, 0], rank // extent[face, 0]), axis=1)
    at = column + _TIE_BREAK
    a, b, c = (corners[face, index] for index in range(3))
    area = _cross(b - a, c - a)
    is_seen = np.abs(area) > 1e-12
    divisor = np.where(is_seen, area, 1.0)
    share_b, share_c = _cross(at - a[:, :2], c - a) / divisor, _cross(b - a, at - a[:, :2]) / divisor
    inside = is_seen & (share_b >= 0) & (share_c >= 0) & (share_b + share_c <= 1)
    z = a[:, 2] + share_b * (b - a)[:, 2] + share_c * (c - a)[:, 2]
    level = np.clip(np.ceil(z[inside]).astype(int), 0, steps.shape[2] - 1)
    np.add.at(steps, (*column[inside].T, level), -np.sign(area[inside]).astype(np.int32))


def _cross(a: Points, b: Points) -> Points:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def _largest_body(cells: BoolArray, touched: BoolArray) -> BoolArray:
    """The largest connected body; parts thinner than a cell are joined through the cells they touch."""
    labels, count = ndimage.label(cells, _EVERY_NEIGHBOUR)
    sizes = np.bincount(labels.ravel())[1:]
    if count > 1 and sizes.max() < 0.995 * sizes.sum():
        labels, _ = ndimage.label(touched, _EVERY_NEIGHBOUR)
        sizes = np.bincount(labels.ravel())[1:]
    return labels == 1 + int(np.argmax(sizes))
