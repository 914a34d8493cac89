"""Give a mesh texture coordinates: few large charts, flattened together and packed by their shapes.

Growing charts face by face and flattening each of them is what makes xatlas take many seconds and cut a
character into hundreds of charts. Here the mesh is segmented by its smoothed normals (`segment_charts`), all
charts are flattened in one sparse system (`flatten_charts`), and their bitmaps are nested (`nest_bitmaps`).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from ..device import CPU
from ..errors import MeshError
from ..mesh.areas import measure_double_areas
from ..mesh.normals import vertex_normals
from ..progress import Progress, ignore_progress, span_progress
from ..types import Float64Array, Int64Array, Mesh
from .chart_raster import list_shared_texels, make_windows
from .charts import Charts, find_covered_faces, find_overlap_candidates, segment_charts, split_charts
from .flatten import flatten_charts
from .packing.pack_charts import (
    MANY_CHARTS,
    estimate_scale,
    find_scale,
    nest_charts,
    orient_charts,
    pack_boxes,
    snap_corners,
)

_PACKING_TRIES = 6
_SPLITTING_ROUNDS = 12


def unwrap_mesh(
    mesh: Mesh,
    *,
    texture_size: int = 2048,
    padding: int = 4,
    device: torch.device = CPU,
    progress: Progress = ignore_progress,
) -> Mesh:
    """Return the mesh with uvs for a square texture, its vertices duplicated along the seams.

    The number, order and corner order of the faces stay; normals are those of the mesh before the cuts.
    padding: least number of texels between charts, and between charts and the texture's border. No texel's
    center lies in two faces. Both hold unless there are thousands of charts, for which there is not enough
    room. Raises MeshError for a mesh without faces or with coordinates that are not finite.

    The charts are rasterized on `device`; segmentation, flattening and nesting run on the CPU.
    """
    if len(mesh.faces) == 0:
        raise MeshError("unwrapping needs a mesh with faces, got one without")
    if not np.isfinite(mesh.positions).all():
        raise MeshError("unwrapping needs finite coordinates, got NaN or infinity")
    progress(0.0)
    charts = segment_charts(mesh, span_progress(progress, 0.0, 0.3))
    corners = _flatten(mesh, charts, span_progress(progress, 0.3, 0.5))
    charts, corners = _pack(charts, corners, texture_size, padding, device, span_progress(progress, 0.5, 1.0))
    faces = mesh.faces.astype(np.int64)
    vertex, split, first = _split_vertices(faces, charts.chart)
    uvs = corners.reshape(-1, 2)[first] / texture_size
    progress(1.0)
    normals = vertex_normals(mesh)[vertex]
    cut = replace(mesh, material_numbers=None).take_vertices(vertex, split)
    return replace(cut, normals=normals).with_uvs(uvs.clip(0, 1))


def _split_vertices(faces: Int64Array, chart: Int64Array) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Make one vertex per chart and vertex: old index (W,), new faces (F, 3), a corner that uses it (W,)."""
    key = chart[:, None] * (int(faces.max()) + 1) + faces
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    return faces.reshape(-1)[first], inverse.reshape(-1, 3), first


def _flatten(mesh: Mesh, charts: Charts, progress: Progress) -> Float64Array:
    """Corners (F, 3, 2) of the flattened and oriented charts in metres, v down as in a texture."""
    _, faces, first = _split_vertices(charts.faces, charts.chart)
    flat = charts.corners[..., :2].reshape(-1, 2)[first]
    solid = mesh.positions[mesh.faces].astype(np.float64)
    flat = flatten_charts(solid, flat, faces, charts.chart, progress) * (1, -1)
    owner = charts.chart[first // 3]
    return orient_charts(flat, owner)[faces]


def _pack(
    charts: Charts, corners: Float64Array, size: int, padding: int, device: torch.device, progress: Progress
) -> tuple[Charts, Float64Array]:
    """Pack charts, split further until no two faces share a texel; returns them and corners in texels."""
    scale = estimate_scale(corners, charts.chart, size - 2 * padding)
    charts = _split_covered(charts, corners * (scale / 2), np.arange(len(corners)), device)
    if int(charts.chart.max()) < MANY_CHARTS:
        part = span_progress(progress, 0.0, 0.4)
        scale = find_scale(corners, charts.chart, scale, size, padding, device, part)
    for done in range(_PACKING_TRIES):
        part = span_progress(progress, 1 - 0.6 * 0.5**done, 1 - 0.3 * 0.5**done)
        part(0.0)
        charts = _split_overlaps(charts, corners * scale, device)
        if int(charts.chart.max()) >= MANY_CHARTS:
            break
        part(0.0)
        packed, filled = nest_charts(corners * scale, charts.chart, size, padding, device, part)
        if filled <= 1:
            return charts, packed
        scale *= 0.995 / math.sqrt(filled)
    return charts, pack_boxes(corners, charts.chart, size, padding)


def _split_overlaps(charts: Charts, corners: Float64Array, device: torch.device) -> Charts:
    """Split charts, faces (F, 3, 2) in texels, so that no face covers a texel of another in its chart.

    This holds for every shift of a chart by whole texels. Around possible overlaps it holds at half the texel
    size too, so that the atlas also serves a texture twice as large.
    """
    snapped = snap_corners(corners)
    charts = _split_covered(charts, snapped, np.arange(len(corners)), device)
    # With v down, faces that are not folded have negative areas.
    candidates = find_overlap_candidates(charts, folded=measure_double_areas(snapped) > 0)
    return _split_covered(charts, 2 * snapped, np.flatnonzero(candidates), device)


def _split_covered(charts: Charts, corners: Float64Array, faces: Int64Array, device: torch.device) -> Charts:
    """Split off those of `faces` (N,) that others of them cover, again until none of the split ones is."""
    for _ in range(_SPLITTING_ROUNDS):
        if len(faces) == 0:
            break
        _, chart = np.unique(charts.chart[faces], return_inverse=True)
        face, texel = list_shared_texels(make_windows(corners[faces], chart), chart, device)
        covered = find_covered_faces(charts, faces[face], texel)
        if not covered.any():
            break
        charts, faces = split_charts(charts, covered), np.flatnonzero(covered)
    return charts
