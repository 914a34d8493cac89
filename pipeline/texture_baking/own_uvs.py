"""The uvs that a mesh brings along, and whether views can be baked into them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from ..device import CPU, array_to_tensor
from ..mesh.areas import measure_areas, measure_double_areas
from ..mesh.topology import label_components, list_directed_edges
from ..rasterize import list_covered_samples
from ..types import Float64Array, FloatArray, Mesh

_MOST_SHARED = 0.01
"""Of the texels in use, those that may belong to several faces: folded slivers, not a stacked island."""
_MOST_UNPLACED = 0.01
"""Of the surface, what may have no area in the uv square."""
_WORTH_SAYING = 0.0005
"""Smaller shares of shared texels are those of rounding at borders."""
_LEAST_USED = 0.01
"""Of the square; uvs that point at the colors of a palette use less."""
_MOST_SIDE = 1024
"""Texels a side of the square in which overlaps are counted."""
_LEAST_AREA = 1e-12
"""Twice the area of a face in the uv square that is more than a rounding error."""
_BORDER = 1e-4
"""How far beyond a tile uvs may lie by rounding."""


class OwnUvs(NamedTuple):
    """uvs: (V, 2) in 0..1, or None if they cannot be baked. note: why not, or what is not right; or nothing.

    is_moved: whether islands were moved there by whole tiles.
    """

    uvs: FloatArray | None
    note: str = ""
    is_moved: bool = False


def read_own_uvs(mesh: Mesh, *, texture_size: int, device: torch.device = CPU) -> OwnUvs:
    """Return the mesh's uvs, each island in the square, if all of the surface has texels of its own.

    Islands may be mirrored, and lie in any tile. Not if islands lie upon each other, in one tile or in
    several, if one reaches over a tile's border, as those of a repeated texture do, or if parts of the
    surface have no area there.
    """
    if mesh.uvs is None:
        return OwnUvs(None, "it has none")
    if not np.isfinite(mesh.uvs).all():
        return OwnUvs(None, "some of them are not numbers")
    uvs = mesh.uvs.astype(np.float64)
    tiles, is_across = _find_tiles(mesh, uvs)
    if is_across:
        return OwnUvs(None, "they reach beyond the uv square, as those of repeated textures do")
    uvs = (uvs - tiles).clip(0, 1)
    unplaced = 1 - _measure_placed(mesh, uvs)
    if unplaced > _MOST_UNPLACED:
        return OwnUvs(None, f"{unplaced:.1%} of the surface has no area in them")
    used, shared = _measure_use(mesh, uvs, min(texture_size, _MOST_SIDE), device)
    if used < _LEAST_USED:
        return OwnUvs(None, f"they use {used:.2%} of the uv square")
    what = f"{shared:.1%} of their texels belong to several faces"
    if shared > _MOST_SHARED:
        return OwnUvs(
            None, f"{what}: islands lie upon each other, as mirrored halves and several materials do"
        )
    note = f"{what} and show what one of them does" if shared > _WORTH_SAYING else ""
    return OwnUvs(uvs.astype(np.float32), note, bool(tiles.any()))


def _find_tiles(mesh: Mesh, uvs: Float64Array) -> tuple[Float64Array, bool]:
    """The tile (V, 2) that each vertex's island lies in, and whether an island reaches over a border."""
    low, high = bound_islands(mesh, uvs)
    tile = np.floor(low + _BORDER)
    return tile, bool((high > tile + 1 + _BORDER)[np.unique(mesh.faces)].any())


def bound_islands(mesh: Mesh, uvs: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Lowest and highest uvs, (V, 2) each, of the island that each vertex belongs to."""
    label = label_components(list_directed_edges(mesh.faces), len(uvs))
    low, high = np.full((label.max() + 1, 2), np.inf), np.full((label.max() + 1, 2), -np.inf)
    np.minimum.at(low, label, uvs)
    np.maximum.at(high, label, uvs)
    return low[label], high[label]


def _measure_placed(mesh: Mesh, uvs: Float64Array) -> float:
    """The share of the surface whose faces have an area in the uv square."""
    areas = measure_areas(mesh.positions, mesh.faces)
    has_place = np.abs(measure_double_areas(uvs[mesh.faces])) > _LEAST_AREA
    return float(areas[has_place].sum() / max(areas.sum(), 1e-30))


def _measure_use(mesh: Mesh, uvs: Float64Array, side: int, device: torch.device) -> tuple[float, float]:
    """Which share of a square of `side` texels has its centers in faces, and of these in several."""
    place = array_to_tensor((uvs * side).astype(np.float32), device)
    _, texel = list_covered_samples(place, array_to_tensor(mesh.faces, device), (side, side))
    uses = torch.bincount(texel, minlength=1)
    used, shared = int((uses > 0).sum()), int((uses > 1).sum())
    return used / side**2, shared / max(used, 1)
