"""Give a mesh texture coordinates: few large charts, flattened at once, packed by their shapes.

Growing charts face by face and flattening each is what makes xatlas take many seconds and cut a character
into hundreds of pieces. Here the mesh is cut by its smoothed normals (`segment_charts`), all charts lose
their stretch in one sparse system (`flatten_charts`), and bitmaps are packed (`place_bitmaps`).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..errors import MeshError
from ..mesh.normals import vertex_normals
from ..progress import Progress, ignore_progress, span_progress
from ..types import Mesh
from .chart_raster import double_areas, list_texels, open_windows
from .charts import Charts, find_lower, find_suspects, part_charts, segment_charts
from .flatten import flatten_charts
from .packing.pack_charts import (
    estimate_scale,
    find_scale,
    place_charts,
    shelve_charts,
    snap_corners,
    stand_charts,
)

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_TRIES = 6
_PARTING_ROUNDS = 12
_MANY = 2000
"""Charts from which on boxes in rows must do: placing by shape takes about a millisecond each."""


def unwrap_mesh(
    mesh: Mesh, *, texture_size: int = 2048, padding: int = 4, progress: Progress = ignore_progress
) -> Mesh:
    """Return the mesh with uvs for a square texture, its vertices doubled where charts part.

    Faces keep their number, order and corner order; normals are those of the mesh before the cuts.
    padding: least number of texels between charts, and between charts and the texture's border; less where
    thousands of charts leave no room for it. But for those, no texel's centre is in two faces.
    Raises MeshError for a mesh without faces or with coordinates that are not finite.
    """
    if len(mesh.faces) == 0:
        raise MeshError("unwrapping needs a mesh with faces, got one without")
    if not np.isfinite(mesh.positions).all():
        raise MeshError("unwrapping needs finite coordinates, got NaN or infinity")
    progress(0.0)
    charts = segment_charts(mesh, span_progress(progress, 0.0, 0.3))
    corners = _flatten(mesh, charts, span_progress(progress, 0.3, 0.5))
    charts, corners = _pack(charts, corners, texture_size, padding, span_progress(progress, 0.5, 1.0))
    faces = mesh.faces.astype(np.int64)
    vertex, split, first = _split_vertices(faces, charts.chart)
    uvs = corners.reshape(-1, 2)[first] / texture_size
    progress(1.0)
    colors = None if mesh.colors is None else mesh.colors[vertex]
    return Mesh(mesh.positions[vertex], split, vertex_normals(mesh)[vertex], uvs.clip(0, 1), colors)


def _split_vertices(faces: Ints, chart: Ints) -> tuple[Ints, Ints, Ints]:
    """One vertex per (chart, vertex): its old index (W,), new faces (F, 3), a corner that shows it (W,)."""
    key = chart[:, None] * (int(faces.max()) + 1) + faces
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    return faces.reshape(-1)[first], inverse.reshape(-1, 3), first


def _flatten(mesh: Mesh, charts: Charts, progress: Progress) -> Floats:
    """Corners (F, 3, 2) in metres, v down as in a texture, each chart lying in its smallest box."""
    _, faces, first = _split_vertices(charts.faces, charts.chart)
    flat = charts.corners[..., :2].reshape(-1, 2)[first]
    solid = mesh.positions[mesh.faces].astype(np.float64)
    flat = flatten_charts(solid, flat, faces, charts.chart, progress) * (1, -1)
    owner = charts.chart[first // 3]
    return stand_charts(flat, owner)[faces]


def _pack(
    charts: Charts, corners: Floats, size: int, padding: int, progress: Progress
) -> tuple[Charts, Floats]:
    """Charts, some parted further so that no two faces own one texel, and their corners in texels."""
    scale = estimate_scale(corners, charts.chart, size - 2 * padding)
    charts = _part_among(charts, corners * (scale / 2), np.arange(len(corners)))
    if int(charts.chart.max()) < _MANY:
        scale = find_scale(corners, charts.chart, scale, size, padding, span_progress(progress, 0.0, 0.4))
    for done in range(_TRIES):
        watch = span_progress(progress, 1 - 0.6 * 0.5**done, 1 - 0.3 * 0.5**done)
        watch(0.0)
        charts = _part_doubled(charts, corners * scale)
        if int(charts.chart.max()) >= _MANY:
            break
        watch(0.0)
        placed, filled = place_charts(corners * scale, charts.chart, size, padding, watch)
        if filled <= 1:
            return charts, placed
        scale *= 0.995 / math.sqrt(filled)
    return charts, shelve_charts(corners, charts.chart, size, padding)


def _part_doubled(charts: Charts, corners: Floats) -> Charts:
    """Part the faces, corners (F, 3, 2) in texels, that own a texel which one above them owns too.

    What is left has no such texel however it moves by whole texels. Where overlaps begin, texels of half the
    size are searched too, so that the atlas serves a texture twice as large.
    """
    snapped = snap_corners(corners)
    charts = _part_among(charts, snapped, np.arange(len(corners)))
    # Faces of the surface wind left in charts, and charts are drawn with v down.
    folded = double_areas(snapped) > 0
    return _part_among(charts, 2 * snapped, np.flatnonzero(find_suspects(charts, folded)))


def _part_among(charts: Charts, corners: Floats, doubled: Ints) -> Charts:
    """Part the lower of some faces (N,) that share texels; only what was parted is looked at again."""
    for _ in range(_PARTING_ROUNDS):
        if len(doubled) == 0:
            break
        _, chart = np.unique(charts.chart[doubled], return_inverse=True)
        face, texel = list_texels(open_windows(corners[doubled], chart), chart)
        lower = find_lower(charts, doubled[face], texel)
        if not lower.any():
            break
        charts, doubled = part_charts(charts, lower), np.flatnonzero(lower)
    return charts
