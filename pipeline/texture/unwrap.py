"""Give a mesh texture coordinates: own charts, xatlas only packs them.

Growing charts is what makes plain xatlas take 8 s and cut a 40,000-face character into a thousand
pieces; packing our few takes a fraction of a second.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import MeshError
from ..normals import vertex_normals
from ..progress import Progress, ignore_progress
from ..types import Mesh
from .charts import project_charts, segment_charts

_FEW_CHARTS = 160
_PACKING_TRIES = 4


class _Method(NamedTuple):
    """padding: in the packer's own pixels; the layout is so small that, scaled up, it is what was asked.

    is_exhaustive: every place is tried for each chart, not random ones. expected: utilization.
    """

    padding: int
    is_exhaustive: bool
    expected: float


_FOR_FEW = (_Method(1, True, 0.52), _Method(2, False, 0.50))
_FOR_MANY = (_Method(3, False, 0.48),)


class _Layout(NamedTuple):
    """source: (W,) flat vertex that each vertex comes from. faces: (F, 3). uvs: (W, 2), v up, 0..1.

    scale: uv units per metre.
    """

    source: npt.NDArray[np.int64]
    faces: npt.NDArray[np.int64]
    uvs: npt.NDArray[np.float64]
    scale: float


def unwrap_mesh(
    mesh: Mesh, *, texture_size: int = 2048, padding: int = 4, progress: Progress = ignore_progress
) -> Mesh:
    """Return the mesh with uvs for a square texture, its vertices doubled where charts part.

    Faces keep their number, order and corner order; normals are those of the mesh before the cuts.
    padding: least number of texels between charts, and between charts and the texture's border.
    Raises MeshError for a mesh without faces or with coordinates that are not finite.
    """
    if len(mesh.faces) == 0:
        raise MeshError("unwrapping needs a mesh with faces, got one without")
    if not np.isfinite(mesh.positions).all():
        raise MeshError("unwrapping needs finite coordinates, got NaN or infinity")
    progress(0.0)
    charts = segment_charts(mesh, texture_size**2)
    progress(0.4)
    faces = mesh.faces.astype(np.int64)
    vertex, flat_faces, first = _split_vertices(faces, charts.chart)
    flat = project_charts(mesh.positions, faces, charts)[..., :2].reshape(-1, 2)[first]
    layout = _pack_charts(flat, flat_faces, charts.chart, texture_size, padding)
    progress(1.0)
    source = vertex[layout.source]
    uvs = np.stack((layout.uvs[:, 0], 1.0 - layout.uvs[:, 1]), axis=1)
    return Mesh(mesh.positions[source], layout.faces, vertex_normals(mesh)[source], uvs)


def _split_vertices(
    faces: npt.NDArray[np.int64], chart: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """One vertex per (chart, vertex): its old index (W,), new faces (F, 3), a corner that shows it (W,)."""
    key = chart[:, None] * (int(faces.max()) + 1) + faces
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    return faces.reshape(-1)[first], inverse.reshape(-1, 3), first


def _pack_charts(
    flat: npt.NDArray[np.float64],
    faces: npt.NDArray[np.int64],
    chart: npt.NDArray[np.int64],
    texture_size: int,
    padding: int,
) -> _Layout:
    """Pack metric charts (W, 2) into the unit square, all at one scale, the largest of a few tries.

    Vertices of faces without area may end on the border: the packer leaves them out.
    """
    inner = texture_size - 2 * padding
    methods = _FOR_FEW if int(chart.max()) < _FEW_CHARTS else _FOR_MANY
    layouts = [_pack_with(method, flat, faces, chart, inner / max(padding, 1)) for method in methods]
    layout = max(layouts, key=lambda item: item.scale)
    uvs = (padding + inner * layout.uvs.clip(0, 1)) / texture_size
    return layout._replace(uvs=uvs)


def _pack_with(
    method: _Method,
    flat: npt.NDArray[np.float64],
    faces: npt.NDArray[np.int64],
    chart: npt.NDArray[np.int64],
    paddings_across: float,
) -> _Layout:
    """Pack so that one padding is at least 1 / paddings_across of the layout's side."""
    corner = flat[faces]
    one, two = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    area = np.abs(one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]).sum() / 2
    wanted_side = method.padding * paddings_across
    scale = wanted_side * math.sqrt(method.expected / max(area, 1e-20))
    for _ in range(_PACKING_TRIES):
        layout, side = _run_packer(method, flat * scale, faces, chart)
        if side <= wanted_side:
            break
        scale *= 0.98 * wanted_side / side
    return layout._replace(scale=scale / side)


def _run_packer(
    method: _Method,
    flat: npt.NDArray[np.float64],
    faces: npt.NDArray[np.int64],
    chart: npt.NDArray[np.int64],
) -> tuple[_Layout, float]:
    """Pack charts given in pixels; return the layout in its bounding square, and that square's side."""
    import xatlas

    atlas = xatlas.Atlas()
    atlas.add_uv_mesh(flat.astype(np.float32), faces.astype(np.uint32), chart.astype(np.uint32)[:, None])
    options = xatlas.PackOptions()
    options.padding = method.padding
    options.bruteForce = method.is_exhaustive
    options.texels_per_unit = 1.0
    atlas.generate(pack_options=options)
    if atlas.atlas_count != 1:
        raise MeshError(f"packing the charts gave {atlas.atlas_count} sheets, expected 1")
    source, packed, uvs = atlas.get_mesh(0)
    size = np.array((atlas.width, atlas.height), np.float64)
    side = float(size.max())
    return _Layout(source.astype(np.int64), packed.astype(np.int64), uvs * (size / side), 1 / side), side
