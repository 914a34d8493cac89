"""Filling a mesh with voxels, whether it is closed or not, in one piece or in several.

Closed pieces are filled by their winding number. Those that are not (holes, single sheets, faces wound
either way) are filled together where five of the six axis directions meet a surface: a hole opens one
direction, the gap between two legs three. Sheets around nothing have no inside and drop out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from ..errors import RigError
from ..mesh.components import find_components, split_closed_components
from ..types import BoolArray, Mesh
from .voxel_solid import Indices, Points, VoxelSolid

_CELL_GOAL = 60_000
_COARSEST, _FINEST = 64, 256
_EVERY_NEIGHBOUR = np.ones((3, 3, 3), dtype=bool)
_TIE_BREAK = np.array((0.00137, 0.00091))
_NO_TIE = np.array((0.0031, 0.0017, 0.0023))
"""Keeps a plane halfway between two layers of cells in one of them."""
_BATCH = 2_000_000
_BLOCKED = 5
_SPECK = 0.0005
_WIDEST_GAP = 0.04


def voxelise_mesh(mesh: Mesh) -> VoxelSolid:
    """Fill a mesh and join its pieces into one body.

    Pieces up to 4 % of the mesh's span apart are joined by bridges; what is farther off is left out. The
    cell size gives about 60,000 filled cells. RigError if the mesh is empty or encloses no volume.
    """
    if not len(mesh.faces) or not np.isfinite(mesh.positions).all():
        found = f"{len(mesh.positions)} vertices and {len(mesh.faces)} faces"
        raise RigError(f"the mesh must have faces and finite coordinates; it has {found}")
    closed, loose = split_closed_components(find_components(mesh))
    corners = np.concatenate((closed, loose))
    if not len(corners):
        raise RigError("the mesh encloses no volume: all of its faces are points or lines")
    low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
    span = float((high - low).max())
    volume = _measure_volume(closed) + _estimate_volume(loose, low, high)
    if not volume > 1e-6 * span**3:
        raise RigError(
            f"the mesh must be a closed body; its {len(closed)} closed and {len(loose)} open faces enclose "
            f"{volume:.3g} m³ in a span of {span:.3g} m"
        )
    size = float(np.clip((volume / _CELL_GOAL) ** (1 / 3), span / _FINEST, span / _COARSEST))
    origin = low - 1.5 * size
    shape = tuple(int(count) for count in np.ceil((high - low) / size) + 3)
    cells = _fill_columns((closed - origin) / size, shape) | _fill_enclosed((loose - origin) / size, shape)
    touched = cells.copy()
    touched[tuple(np.rint((corners.reshape(-1, 3) - origin) / size).astype(int).T)] = True
    return VoxelSolid(_join_bodies(cells, touched, _WIDEST_GAP * span / size), origin, size)


def fill_box(mesh: Mesh, low: Points, high: Points, size: float) -> BoolArray:
    """(X, Y, Z) bool, the filled cells of a box; the centre of cell (0, 0, 0) is `low`, all in metres."""
    shape = tuple(int(count) for count in np.ceil((high - low) / size) + 1)
    closed, loose = ((corners - low) / size for corners in split_closed_components(find_components(mesh)))
    return _fill_columns(closed, shape) | _fill_enclosed(loose, shape)


def _measure_volume(corners: Points) -> float:
    if not len(corners):
        return 0.0
    local = corners - corners.mean(axis=(0, 1))
    return float(np.einsum("ij,ij->i", local[:, 0], np.cross(local[:, 1], local[:, 2])).sum() / 6)


def _estimate_volume(corners: Points, low: Points, high: Points) -> float:
    """Of open faces, from a coarse grid."""
    if not len(corners):
        return 0.0
    size = float((high - low).max()) / (1.5 * _COARSEST)
    origin = low - 1.5 * size
    shape = tuple(int(count) for count in np.ceil((high - low) / size) + 3)
    return float(_fill_enclosed((corners - origin) / size, shape).sum()) * size**3


def _fill_enclosed(corners: Points, shape: tuple[int, ...]) -> BoolArray:
    """Cells that a surface, wound anyhow, encloses but for holes, and the surface's own beside them."""
    if not len(corners):
        return np.zeros(shape, bool)
    surface = _mark_surface(corners, shape)
    votes = np.zeros(shape, np.int8)
    for axis in range(3):
        votes += np.logical_or.accumulate(surface, axis=axis)
        votes += np.flip(np.logical_or.accumulate(np.flip(surface, axis), axis=axis), axis)
    inside = (votes >= _BLOCKED) & ~surface
    return inside | (surface & np.asarray(ndimage.binary_dilation(inside, _EVERY_NEIGHBOUR)))


def _mark_surface(corners: Points, shape: tuple[int, ...]) -> BoolArray:
    """Cells within which a face runs, found by points at most half a cell apart; faces may lie outside."""
    surface = np.zeros(shape, bool)
    edges = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    steps = np.maximum(np.ceil(2 * edges), 1).astype(np.int64)
    for count in np.unique(steps):
        a, b = np.divmod(np.arange((count + 1) ** 2), count + 1)
        shares = np.stack((a, b, count - a - b), axis=1)[a + b <= count] / count
        chosen = np.flatnonzero(steps == count)
        for part in np.array_split(chosen, 1 + len(chosen) * len(shares) // _BATCH):
            points = np.einsum("sc,fcd->fsd", shares, corners[part]).reshape(-1, 3)
            places = np.rint(points + _NO_TIE).astype(np.int64)
            places = places[((places >= 0) & (places < shape)).all(axis=1)]
            surface[tuple(places.T)] = True
    return surface


def _fill_columns(corners: Points, shape: tuple[int, ...]) -> BoolArray:
    """Fill the cells whose winding number, counted along z, is positive.

    corners: (F, 3, 3) in cells; faces may lie outside.
    """
    near = (corners[..., :2].max(axis=1) >= 0) & (corners[..., :2].min(axis=1) <= shape[:2])
    corners = corners[near.all(axis=1)]
    if not len(corners):
        return np.zeros(shape, bool)
    steps = np.zeros((shape[0], shape[1], shape[2] + 1), np.int32)
    flat = corners[..., :2]
    low = np.maximum(np.ceil(flat.min(axis=1) - _TIE_BREAK), 0).astype(np.int64)
    high = np.minimum(np.floor(flat.max(axis=1) - _TIE_BREAK), np.array(shape[:2]) - 1).astype(np.int64)
    extent = np.maximum(high - low + 1, 0)
    counts = extent.prod(axis=1)
    ends = np.cumsum(counts)
    batches = np.searchsorted(ends, np.arange(_BATCH, ends[-1] + _BATCH, _BATCH))
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


def _join_bodies(cells: BoolArray, touched: BoolArray, reach: float) -> BoolArray:
    """The largest body and those within `reach` cells of it; thin parts join through the cells they touch."""
    labels, count = ndimage.label(cells, _EVERY_NEIGHBOUR)
    sizes = np.bincount(labels.ravel(), minlength=2)[1:]
    if count > 1 and sizes.max() < 0.995 * sizes.sum():
        labels, count = ndimage.label(touched, _EVERY_NEIGHBOUR)
        sizes = np.bincount(labels.ravel())[1:]
    kept = np.concatenate(([False], sizes >= _SPECK * sizes.sum()))
    if kept.sum() > 1:
        labels, _ = ndimage.label(_bridge_gaps(np.where(kept[labels], labels, 0), reach), _EVERY_NEIGHBOUR)
        sizes = np.bincount(labels.ravel())[1:]
    return labels == 1 + int(np.argmax(sizes))


def _bridge_gaps(labels: npt.NDArray[np.int32], reach: float) -> BoolArray:
    """Bodies joined along their shortest gaps, each to its nearest; every gap as wide as its narrow part."""
    cells = labels > 0
    away, near = ndimage.distance_transform_edt(~cells, return_indices=True)
    owner = labels[tuple(near)]
    ends, gaps = [], []
    for axis in range(3):
        here = np.moveaxis(owner, axis, 0)
        met = np.moveaxis(np.stack(np.nonzero(here[:-1] != here[1:])), 0, 1)
        first = np.insert(np.delete(met, 0, 1), axis, met[:, 0], axis=1)
        second = first + np.eye(3, dtype=np.int64)[axis]
        ends.append(np.stack([near[(slice(None), *place.T)].T for place in (first, second)], axis=1))
        gaps.append(away[tuple(first.T)] + away[tuple(second.T)])
    return _draw_bridges(cells, labels, np.concatenate(ends), np.concatenate(gaps), reach)


def _draw_bridges(
    cells: BoolArray, labels: npt.NDArray[np.int32], ends: Indices, gaps: Points, reach: float
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
