"""Places the uv islands of several materials in one atlas, all at one scale."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch

from ..errors import MeshError
from ..mesh.areas import measure_double_areas
from ..mesh.topology import label_components, list_directed_edges
from ..mesh.weld import weld_equal
from ..progress import Progress, span_progress
from ..types import Float64Array, Int64Array, Material, TexturedMesh
from .own_uvs import bound_islands
from .packing.pack_charts import MANY_CHARTS, estimate_scale, find_scale, nest_charts, pack_boxes

_LEAST_SIZE = 64
_TRIES = 8


class AtlasLayout(NamedTuple):
    """size: texels a side. scale: atlas texels for one of a material's own.

    source: (V, 2) uvs in the materials' textures, those of repeated ones in the first tile if they fit.
    uvs: (V, 2) in the atlas. turn: (F, 2, 2), how each face's pixels were turned on their way there.
    """

    size: int
    scale: float
    source: Float64Array
    uvs: Float64Array
    turn: Float64Array


def lay_out_islands(
    textured: TexturedMesh, *, most_texels: int, padding: int, device: torch.device, progress: Progress
) -> AtlasLayout:
    """Pack the islands of all materials, each with as many texels as it has in its own texture.

    Where that is more than the largest atlas holds, all become smaller by one factor. Islands that lie upon
    each other exactly, as mirrored halves do, stay so. MeshError for uvs that are not finite.
    """
    if not np.isfinite(textured.uvs).all():
        raise MeshError("merging materials needs finite uvs, got NaN or infinity")
    mesh, faces = textured.mesh, textured.mesh.faces
    number = np.zeros(len(mesh.positions), np.int64)
    number[faces] = textured.face_materials[:, None]
    repeats = np.array([[mode == "REPEAT" for mode in material.wrap] for material in textured.materials])
    low, _ = bound_islands(mesh, textured.uvs.astype(np.float64))
    source = textured.uvs - np.floor(low) * repeats[number]
    source[np.array([_is_plain(material) for material in textured.materials])[number]] = 0.5
    texels = source * np.array([_find_size(material) for material in textured.materials])[number]
    welded = weld_equal(np.column_stack((number, texels)))
    chart = label_components(list_directed_edges(welded.inverse[faces]), len(welded.points))
    _, chart = np.unique(chart[welded.inverse[faces[:, 0]]], return_inverse=True)
    corners = texels[faces]
    size, placed = _pack(corners, chart, most_texels, padding, device, progress)
    uvs = np.full((len(texels), 2), 0.5)
    uvs[faces] = (placed / size).clip(0, 1)
    scale = math.sqrt(_measure_area(placed) / max(_measure_area(corners), 1e-20)) or 1.0
    return AtlasLayout(size, min(scale, 1.0), source, uvs, _find_turns(corners, placed, chart))


def _is_plain(material: Material) -> bool:
    """Whether all texels of each texture are the same, so that one is enough."""
    textures = (material.texels, *material.maps.values())
    # Most textures that are not plain show it in their first row.
    return all((rows == texels[:1, :1]).all() for texels in textures for rows in (texels[:1], texels))


def _find_size(material: Material) -> tuple[int, int]:
    """Width and height of a material's largest texture."""
    shapes = [material.texels.shape, *(texels.shape for texels in material.maps.values())]
    return max(shape[1] for shape in shapes), max(shape[0] for shape in shapes)


def _measure_area(corners: Float64Array) -> float:
    return float(np.abs(measure_double_areas(corners)).sum()) / 2


def _pack(
    corners: Float64Array,
    chart: Int64Array,
    most_texels: int,
    padding: int,
    device: torch.device,
    progress: Progress,
) -> tuple[int, Float64Array]:
    """The size of the atlas, and the corners (F, 3, 2) of the packed charts in texels."""
    size, scale = _LEAST_SIZE, 1.0
    while size < most_texels and estimate_scale(corners, chart, size - 2 * padding) < 1:
        size *= 2
    if int(chart.max()) >= MANY_CHARTS:
        return size, pack_boxes(corners, chart, size, padding)
    if size == most_texels:
        scale = min(1.0, estimate_scale(corners, chart, size - 2 * padding))
        part = span_progress(progress, 0.0, 0.5)
        scale = min(1.0, find_scale(corners, chart, scale, size, padding, device, part))
    for done in range(_TRIES):
        part = span_progress(progress, 1 - 0.5 ** (done + 1), 1 - 0.5 ** (done + 2))
        placed, filled = nest_charts(corners * scale, chart, size, padding, device, part)
        if filled <= 1:
            return size, placed
        if size < most_texels:
            size *= 2
        else:
            scale *= 0.995 / math.sqrt(filled)
    return size, pack_boxes(corners, chart, size, padding)


def _find_turns(corners: Float64Array, placed: Float64Array, chart: Int64Array) -> Float64Array:
    """The rotation (F, 2, 2) of each face's chart by quarter turns, for pixel directions as columns."""
    old, new = (np.roll(item, -1, axis=1) - item for item in (corners, placed))
    along = np.bincount(chart, (old * new).sum(axis=(1, 2)))
    across = np.bincount(chart, (old[..., 0] * new[..., 1] - old[..., 1] * new[..., 0]).sum(axis=1))
    angle = np.round(np.arctan2(across, along) / (np.pi / 2)) * (np.pi / 2)
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.stack((np.stack((cosine, -sine), 1), np.stack((sine, cosine), 1)), axis=1)[chart]
