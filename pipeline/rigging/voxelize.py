"""Voxelization of a mesh, closed or open, with one or several connected components.

Closed components are filled by winding number. The others (with holes, single sheets, inconsistent winding)
are filled together wherever at least five of the six axis-aligned rays hit a surface: a hole opens one ray,
the gap between two legs opens three. Sheets that enclose nothing have no interior and are dropped.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from ..errors import RigError
from ..mesh.components import find_components, split_closed_components
from ..types import BoolArray, Float64Array, Int64Array, Mesh
from .voxel_solid import NEIGHBORS_26, VoxelSolid

_SPANS = (1e-9, 1e9)
"""Meters; beyond, squares of lengths leave the range of numbers."""
_TARGET_CELLS = 60_000
_MIN_CELLS_PER_SPAN, _MAX_CELLS_PER_SPAN, _ESTIMATE_CELLS = 44, 256, 96
_COLUMN_OFFSET = np.array((0.00137, 0.00091))
"""In cells; keeps the columns off the vertices and edges of axis-aligned meshes."""
_ROUNDING_BIAS = np.array((0.0031, 0.0017, 0.0023))
"""In cells; rounds a plane halfway between two layers of cells to one of them."""
_BATCH_SIZE = 2_000_000
_MIN_RAY_HITS = 5
_MIN_BODY_SHARE = 0.0005
_MAX_GAP_SHARE = 0.04


def voxelize_mesh(mesh: Mesh) -> VoxelSolid:
    """Voxelize the interior of a mesh as one connected body of about 60,000 filled cells.

    Components up to 4 % of the mesh's span apart are joined by bridges; components farther away are left
    out. Raises RigError if the mesh is empty or encloses no volume.
    """
    if not len(mesh.faces) or not np.isfinite(mesh.positions).all():
        found = f"{len(mesh.positions)} vertices and {len(mesh.faces)} faces"
        raise RigError(f"expected a mesh with faces and finite coordinates, got {found}")
    closed, unclosed = list_corners(mesh)
    corners = np.concatenate((closed, unclosed))
    if not len(corners):
        raise RigError("the mesh encloses no volume: all of its faces are degenerate")
    low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
    span = float((high - low).max())
    if not _SPANS[0] < span < _SPANS[1]:
        raise RigError(f"expected a mesh of a size in meters, found one that spans {span:.3g}")
    volume = _measure_volume(closed) + _estimate_volume(unclosed, low, high)
    if not volume > 1e-6 * span**3:
        raise RigError(
            f"expected a mesh that encloses a volume; its {len(closed)} closed and {len(unclosed)} open "
            f"faces enclose {volume:.3g} m³ in a span of {span:.3g} m"
        )
    finest, coarsest = span / _MAX_CELLS_PER_SPAN, span / _MIN_CELLS_PER_SPAN
    size = float(np.clip((volume / _TARGET_CELLS) ** (1 / 3), finest, coarsest))
    origin, shape = _make_grid(low, high, size)
    cells = _fill_by_winding((closed - origin) / size, shape)
    cells |= _fill_enclosed((unclosed - origin) / size, shape)
    touched = cells.copy()
    touched[tuple(np.rint((corners.reshape(-1, 3) - origin) / size).astype(int).T)] = True
    return VoxelSolid(_join_bodies(cells, touched, _MAX_GAP_SHARE * span / size), origin, size)


def list_corners(mesh: Mesh) -> tuple[Float64Array, Float64Array]:
    """Return the corners (F, 3, 3) of the closed components, wound outward, and of the others."""
    return split_closed_components(find_components(mesh))


def keep_near(
    corners: tuple[Float64Array, Float64Array], low: Float64Array, high: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Return the corners of faces before, in and behind a box between low and high (3,), metres."""

    def keep(group: Float64Array) -> Float64Array:
        flat = group[..., :2]
        return group[((flat.max(axis=1) >= low[:2]) & (flat.min(axis=1) <= high[:2])).all(axis=1)]

    closed, unclosed = corners
    return keep(closed), keep(unclosed)


def fill_box(
    corners: tuple[Float64Array, Float64Array], low: Float64Array, high: Float64Array, size: float
) -> BoolArray:
    """Return the filled cells (X, Y, Z) bool of a box.

    corners: as of `list_corners`. low, high: (3,) metres, the centers of the first and the last cell. size:
    edge of a cell, metres.
    """
    shape = tuple(int(count) for count in np.ceil((high - low) / size) + 1)
    closed, unclosed = ((group - low) / size for group in corners)
    return _fill_by_winding(closed, shape) | _fill_enclosed(unclosed, shape)


def mark_box(
    corners: tuple[Float64Array, Float64Array], low: Float64Array, size: float, shape: tuple[int, ...]
) -> BoolArray:
    """Return the cells (X, Y, Z) bool of a box through which the surface goes; see `fill_box`."""
    return _mark_surface((np.concatenate(corners) - low) / size, shape)


def _make_grid(low: Float64Array, high: Float64Array, size: float) -> tuple[Float64Array, tuple[int, ...]]:
    """Origin (3,) and shape of a grid that leaves one empty cell around the bounds."""
    return low - 1.5 * size, tuple(int(count) for count in np.ceil((high - low) / size) + 3)


def _measure_volume(corners: Float64Array) -> float:
    if not len(corners):
        return 0.0
    local = corners - corners.mean(axis=(0, 1))
    return float(np.einsum("ij,ij->i", local[:, 0], np.cross(local[:, 1], local[:, 2])).sum() / 6)


def _estimate_volume(corners: Float64Array, low: Float64Array, high: Float64Array) -> float:
    """Volume enclosed by open faces (F, 3, 3), cubic metres, measured on a coarse grid."""
    if not len(corners):
        return 0.0
    size = float((high - low).max()) / _ESTIMATE_CELLS
    origin, shape = _make_grid(low, high, size)
    return float(_fill_enclosed((corners - origin) / size, shape).sum()) * size**3


def _fill_enclosed(corners: Float64Array, shape: tuple[int, ...]) -> BoolArray:
    """Cells enclosed by a surface of any winding that may have holes, and the surface cells beside them."""
    if not len(corners):
        return np.zeros(shape, bool)
    surface = _mark_surface(corners, shape)
    hits = np.zeros(shape, np.int8)
    for axis in range(3):
        hits += np.logical_or.accumulate(surface, axis=axis)
        hits += np.flip(np.logical_or.accumulate(np.flip(surface, axis), axis=axis), axis)
    inside = (hits >= _MIN_RAY_HITS) & ~surface
    return inside | (surface & _dilate(inside))


def _dilate(cells: BoolArray) -> BoolArray:
    """The cells and their 26 neighbors: a third of the dilation along each axis."""
    grown = cells.copy()
    for axis in range(3):
        here, before = np.moveaxis(grown, axis, 0), np.moveaxis(grown.copy(), axis, 0)
        here[1:] |= before[:-1]
        here[:-1] |= before[1:]
    return grown


def _mark_surface(corners: Float64Array, shape: tuple[int, ...]) -> BoolArray:
    """Cells that contain part of a face, sampled at most half a cell apart; faces may leave the grid."""
    surface = np.zeros(shape, bool)
    corners = corners[((corners.max(axis=1) > -1) & (corners.min(axis=1) < shape)).all(axis=1)]
    edges = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    steps = np.maximum(np.ceil(2 * edges), 1).astype(np.int64)
    for count in np.unique(steps):
        a, b = np.divmod(np.arange((count + 1) ** 2), count + 1)
        shares = np.stack((a, b, count - a - b), axis=1)[a + b <= count] / count
        chosen = np.flatnonzero(steps == count)
        for part in np.array_split(chosen, 1 + len(chosen) * len(shares) // _BATCH_SIZE):
            points = np.einsum("sc,fcd->fsd", shares, corners[part]).reshape(-1, 3)
            cells = np.rint(points + _ROUNDING_BIAS).astype(np.int64)
            cells = cells[((cells >= 0) & (cells < shape)).all(axis=1)]
            surface[tuple(cells.T)] = True
    return surface


def _fill_by_winding(corners: Float64Array, shape: tuple[int, ...]) -> BoolArray:
    """Fill the cells with a positive winding number, counted along z.

    corners: (F, 3, 3) in units of cells; faces may lie outside the grid.
    """
    near = (corners[..., :2].max(axis=1) >= 0) & (corners[..., :2].min(axis=1) <= shape[:2])
    corners = corners[near.all(axis=1)]
    if not len(corners):
        return np.zeros(shape, bool)
    steps = np.zeros((shape[0], shape[1], shape[2] + 1), np.int32)
    flat = corners[..., :2]
    low = np.maximum(np.ceil(flat.min(axis=1) - _COLUMN_OFFSET), 0).astype(np.int64)
    high = np.minimum(np.floor(flat.max(axis=1) - _COLUMN_OFFSET), np.array(shape[:2]) - 1).astype(np.int64)
    extent = np.maximum(high - low + 1, 0)
    counts = extent.prod(axis=1)
    ends = np.cumsum(counts)
    batches = np.searchsorted(ends, np.arange(_BATCH_SIZE, ends[-1] + _BATCH_SIZE, _BATCH_SIZE))
    first = 0
    for last in np.minimum(batches + 1, len(corners)):
        _add_crossings(steps, corners[first:last], low[first:last], extent[first:last], counts[first:last])
        first = int(last)
    return np.cumsum(steps, axis=2)[..., :-1] > 0


def _add_crossings(
    steps: npt.NDArray[np.int32],
    corners: Float64Array,
    low: Int64Array,
    extent: Int64Array,
    counts: Int64Array,
) -> None:
    face = np.repeat(np.arange(len(corners)), counts)
    rank = np.arange(len(face)) - np.repeat(np.cumsum(counts) - counts, counts)
    column = low[face] + np.stack((rank % extent[face, 0], rank // extent[face, 0]), axis=1)
    at = column + _COLUMN_OFFSET
    a, b, c = (corners[face, index] for index in range(3))
    area = _cross(b - a, c - a)
    is_seen = np.abs(area) > 1e-12
    divisor = np.where(is_seen, area, 1.0)
    share_b, share_c = _cross(at - a[:, :2], c - a) / divisor, _cross(b - a, at - a[:, :2]) / divisor
    inside = is_seen & (share_b >= 0) & (share_c >= 0) & (share_b + share_c <= 1)
    z = a[:, 2] + share_b * (b - a)[:, 2] + share_c * (c - a)[:, 2]
    level = np.clip(np.ceil(z[inside]).astype(int), 0, steps.shape[2] - 1)
    np.add.at(steps, (*column[inside].T, level), -np.sign(area[inside]).astype(np.int32))


def _cross(a: Float64Array, b: Float64Array) -> Float64Array:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def _join_bodies(cells: BoolArray, touched: BoolArray, reach: float) -> BoolArray:
    """Keep the largest body and those within `reach` cells of it.

    touched: cells filled or containing a vertex; they connect bodies across parts thinner than a cell.
    """
    labels, count = ndimage.label(cells, NEIGHBORS_26)
    sizes = np.bincount(labels.ravel(), minlength=2)[1:]
    if count > 1 and sizes.max() < 0.995 * sizes.sum():
        labels, count = ndimage.label(touched, NEIGHBORS_26)
        sizes = np.bincount(labels.ravel())[1:]
    kept = np.concatenate(([False], sizes >= _MIN_BODY_SHARE * sizes.sum()))
    if kept.sum() > 1:
        labels, _ = ndimage.label(_bridge_gaps(np.where(kept[labels], labels, 0), reach), NEIGHBORS_26)
        sizes = np.bincount(labels.ravel())[1:]
    return labels == 1 + int(np.argmax(sizes))


def _bridge_gaps(labels: npt.NDArray[np.int32], reach: float) -> BoolArray:
    """Join bodies by bridges across the narrowest gaps, along their minimum spanning tree."""
    cells = labels > 0
    away, near = ndimage.distance_transform_edt(~cells, return_indices=True)
    owner = labels[tuple(near)]
    ends, gaps = [], []
    for axis in range(3):
        here = np.moveaxis(owner, axis, 0)
        met = np.moveaxis(np.stack(np.nonzero(here[:-1] != here[1:])), 0, 1)
        first = np.insert(np.delete(met, 0, 1), axis, met[:, 0], axis=1)
        second = first + np.eye(3, dtype=np.int64)[axis]
        ends.append(np.stack([near[(slice(None), *cell.T)].T for cell in (first, second)], axis=1))
        gaps.append(away[tuple(first.T)] + away[tuple(second.T)])
    return _draw_bridges(cells, labels, np.concatenate(ends), np.concatenate(gaps), reach)


def _draw_bridges(
    cells: BoolArray, labels: npt.NDArray[np.int32], ends: Int64Array, gaps: Float64Array, reach: float
) -> BoolArray:
    short = gaps <= reach
    ends, gaps = ends[short], gaps[short] + 1.0
    pairs = np.sort(np.stack([labels[tuple(ends[:, side].T)] for side in (0, 1)], axis=1), axis=1)
    count = int(labels.max()) + 1
    links, link = np.unique(pairs[:, 0].astype(np.int64) * count + pairs[:, 1], return_inverse=True)
    narrowest = np.full(len(links), np.inf)
    np.minimum.at(narrowest, link.reshape(-1), gaps)
    tree = csgraph.minimum_spanning_tree(
        sparse.coo_matrix((narrowest, np.divmod(links, count)), shape=(count, count)).tocsr()
    ).tocoo()
    chosen = np.isin(links, tree.row.astype(np.int64) * count + tree.col)
    drawn = chosen[link.reshape(-1)] & (gaps <= narrowest[link.reshape(-1)] + 2.0)
    steps = np.linspace(0, 1, int(np.ceil(2 * reach)) + 2)[:, None, None]
    line = ends[drawn, 0] + steps * (ends[drawn, 1] - ends[drawn, 0])
    joined = cells.copy()
    joined[tuple(np.rint(line.reshape(-1, 3)).astype(np.int64).T)] = True
    return joined
