"""Bake views of a mesh into its texture.

The atlas is rasterized once into (face, barycentric) per texel, as in the texture baker of
Stable Fast 3D; every attribute is interpolated from that, block by block.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from ..errors import MeshError
from ..normals import vertex_normals
from ..progress import Progress, ignore_progress, span_progress
from ..rasterize import Raster, mix_corners, rasterize_triangles
from ..types import FloatArray, Material, Mesh, TexturedMesh, ViewImages
from .fill import dilate_charts, fill_unseen_vertices
from .project import PointColors, View, color_points, prepare_views

_TEXELS_PER_BLOCK = 1 << 18
_WELL_SEEN = 0.2
"""From this confidence on a texel takes the views' colour alone; below, it fades into the fill."""
_GUTTER = 16
_MUCH_UNSEEN = 0.25


@dataclass(frozen=True, eq=False)
class BakedTexture:
    """A textured mesh and how much of it the views showed.

    coverage: (H, W) float32; 1 where a view gave the colour, 0 where it was filled in or no chart lies.
    metrics: utilization (share of texels in charts), unseen_share (of those, filled in).
    """

    textured: TexturedMesh
    coverage: FloatArray
    warnings: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)


def bake_views(
    mesh: Mesh, images: ViewImages, *, texture_size: int = 2048, progress: Progress = ignore_progress
) -> BakedTexture:
    """Project the views onto the mesh and write a (texture_size, texture_size) base colour.

    A view counts where its depth map shows the surface, more the straighter it looks and the farther
    the pixel is from an outline; what no view shows takes its neighbourhood's colour. Raises
    MeshError for a mesh without uvs.
    """
    if mesh.uvs is None:
        raise MeshError("baking needs a mesh with uvs, got one without; unwrap it first")
    views = prepare_views(mesh, images, span_progress(progress, 0.0, 0.25))
    points, normals = torch.tensor(mesh.positions), torch.tensor(vertex_normals(mesh))
    fill = _color_vertices(mesh, views, points, normals)
    progress(0.35)
    raster = _rasterize_atlas(mesh, texture_size)
    attributes = torch.cat((points, normals, fill), dim=1)
    texels = _bake_texels(mesh, views, raster, attributes, span_progress(progress, 0.45, 0.85))
    color = dilate_charts(texels[..., :3].numpy(), raster.mask.numpy(), _GUTTER)
    progress(1.0)
    return _report(mesh, color, texels[..., 3].numpy(), int(raster.mask.sum()))


def _color_vertices(
    mesh: Mesh, views: list[View], points: torch.Tensor, normals: torch.Tensor
) -> torch.Tensor:
    """A colour for every vertex, (V, 3), that no texel needs to be without."""
    found = color_points(views, points, normals)
    seen = (found.confidence > _WELL_SEEN).numpy()
    filled = fill_unseen_vertices(mesh.positions, normals.numpy(), mesh.faces, found.color.numpy(), seen)
    return torch.from_numpy(filled)


def _bake_texels(
    mesh: Mesh, views: list[View], raster: Raster, attributes: torch.Tensor, progress: Progress
) -> torch.Tensor:
    """(H, W, 4): colour and coverage. attributes: (V, 9) position, normal and fill colour."""
    faces, baked = torch.tensor(mesh.faces), torch.zeros((raster.mask.numel(), 4))
    texels = torch.nonzero(raster.mask.view(-1)).squeeze(1)
    for start in range(0, len(texels), _TEXELS_PER_BLOCK):
        progress(start / len(texels))
        block = texels[start : start + _TEXELS_PER_BLOCK]
        values = _interpolate_block(raster, faces, attributes, block)
        normal = torch.nn.functional.normalize(values[:, 3:6], dim=1)
        baked[block] = _mix_fill(color_points(views, values[:, :3], normal), values[:, 6:])
    progress(1.0)
    return baked.view(*raster.mask.shape, 4)


def _rasterize_atlas(mesh: Mesh, size: int) -> Raster:
    uvs = torch.tensor(mesh.uvs) * size
    flat = torch.cat((uvs, torch.zeros(len(uvs), 1)), dim=1)
    return rasterize_triangles(flat, torch.tensor(mesh.faces), (size, size))


def _interpolate_block(
    raster: Raster, faces: torch.Tensor, attributes: torch.Tensor, block: torch.Tensor
) -> torch.Tensor:
    """Vertex attributes (V, C) at the texels with flat indices (N,): (N, C)."""
    corners = faces[raster.face_index.view(-1)[block]].long()
    return mix_corners(attributes, corners, raster.barycentric.view(-1, 3)[block])


def _mix_fill(seen: PointColors, fill: torch.Tensor) -> torch.Tensor:
    """(N, 4): colour, and how much of it is seen and not filled in."""
    share = (seen.confidence / _WELL_SEEN).clamp(max=1)[:, None]
    return torch.cat((fill + (seen.color - fill) * share, share), dim=1)


def _report(mesh: Mesh, color: FloatArray, coverage: FloatArray, texels: int) -> BakedTexture:
    unseen = 1.0 - int(np.count_nonzero(coverage)) / max(texels, 1)
    metrics = {"utilization": texels / coverage.size, "unseen_share": unseen}
    warnings: tuple[str, ...] = ()
    if unseen > _MUCH_UNSEEN:
        warnings = (f"{unseen:.0%} of the surface is in no view and took its neighbourhood's colour",)
    base_color = np.concatenate((color, np.ones((*color.shape[:2], 1), np.float32)), axis=2)
    textured = TexturedMesh(mesh, Material(base_color.clip(0, 1)))
    return BakedTexture(textured, coverage, warnings, metrics)
