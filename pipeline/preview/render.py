"""Shaded, framed, antialiased renders of raw and textured meshes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from ..cameras import camera_basis, frame_camera, project_points
from ..mesh.normals import vertex_normals
from ..progress import Progress, ignore_progress, span_progress
from ..rasterize import mix_corners, rasterize_view
from ..types import Camera, FloatArray, Mesh, TexturedMesh
from .shading import (
    CLAY_STUDIO,
    TEXTURED_STUDIO,
    linear_to_srgb,
    measure_openness,
    shade_surface,
    srgb_to_linear,
)

_SUPERSAMPLING = 2
_CLAY = (0.50, 0.485, 0.47)
MARGIN = 0.16
"""Of the picture around the mesh, as a share of the mesh."""
_EIGHT_DIRECTIONS = tuple(index * np.pi / 4 for index in range(8))


def render_preview(
    mesh: Mesh | TexturedMesh,
    *,
    size: int = 768,
    azimuth: float = 0.35,
    elevation: float = 0.12,
    transparent: bool = False,
    progress: Progress = ignore_progress,
) -> FloatArray:
    """Render the mesh in studio light, framed to its bounds, from the given angles (radians).

    Meshes without texture and vertex colors are shown in clay. Returns (size, size, 4) float32 sRGB with
    straight alpha; alpha is 1 on the studio backdrop, and the coverage if `transparent`.
    """
    shape = mesh.mesh if isinstance(mesh, TexturedMesh) else mesh
    camera = frame_camera(shape, azimuth, elevation, MARGIN)
    return render_camera(mesh, camera, size, transparent, progress)


def render_contact_sheet(
    mesh: Mesh | TexturedMesh,
    *,
    size: int = 384,
    azimuths: Sequence[float] = _EIGHT_DIRECTIONS,
    elevation: float = 0.12,
    columns: int = 4,
    progress: Progress = ignore_progress,
) -> FloatArray:
    """Render the mesh from each azimuth (radians) at one scale, row by row.

    Returns (rows * size, columns * size, 4) float32 sRGB.
    """
    shape = mesh.mesh if isinstance(mesh, TexturedMesh) else mesh
    cameras = [frame_camera(shape, azimuth, elevation, MARGIN) for azimuth in azimuths]
    half_extent = max(camera.half_extent for camera in cameras)
    rows = -(-len(cameras) // columns)
    sheet = np.zeros((rows * size, columns * size, 4), np.float32)
    for number, camera in enumerate(cameras):
        row, column = divmod(number, columns)
        part = span_progress(progress, number / len(cameras), (number + 1) / len(cameras))
        tile = render_camera(mesh, replace(camera, half_extent=half_extent), size, False, part)
        sheet[row * size : (row + 1) * size, column * size : (column + 1) * size] = tile
    return sheet


def render_camera(
    mesh: Mesh | TexturedMesh, camera: Camera, size: int, transparent: bool, progress: Progress
) -> FloatArray:
    """Render what `camera` sees: (size, size, 4); see `render_preview`."""
    shape = mesh.mesh if isinstance(mesh, TexturedMesh) else mesh
    progress(0.0)
    color, alpha = _render_subject(mesh, camera, size * _SUPERSAMPLING, progress)
    color, alpha = (F.avg_pool2d(item, _SUPERSAMPLING)[0].permute(1, 2, 0) for item in (color, alpha))
    if transparent:
        straight = linear_to_srgb(color / alpha.clamp(min=1e-6))
        return torch.cat((straight, alpha), dim=2).numpy()
    backdrop = _paint_backdrop(size) * (1 - _cast_shadow(shape, camera, size))[..., None]
    progress(1.0)
    picture = linear_to_srgb(color + (1 - alpha) * backdrop)
    return torch.cat((picture, torch.ones_like(alpha)), dim=2).numpy()


def _render_subject(
    mesh: Mesh | TexturedMesh, camera: Camera, size: int, progress: Progress
) -> tuple[torch.Tensor, torch.Tensor]:
    """Linear premultiplied colour (1, 3, S, S) and coverage (1, 1, S, S), not yet antialiased."""
    shape = mesh.mesh if isinstance(mesh, TexturedMesh) else mesh
    faces = torch.tensor(shape.faces, dtype=torch.int64)
    raster = rasterize_view(camera, torch.tensor(shape.positions), faces, size)
    progress(0.4)
    mask = raster.mask
    corners, weight = faces[raster.face_index[mask]], raster.barycentric[mask]
    normal = mix_corners(torch.tensor(vertex_normals(shape)), corners, weight)
    normal = F.normalize(normal @ torch.tensor(camera_basis(camera).T, dtype=torch.float32), dim=1)
    openness = _measure_occlusion(raster.depth, normal, mask, 2 * camera.half_extent / size)
    progress(0.7)
    is_clay = isinstance(mesh, Mesh) and mesh.colors is None
    albedo = torch.tensor(_CLAY).expand(len(corners), 3) if is_clay else _mix_albedo(mesh, corners, weight)
    studio = CLAY_STUDIO if is_clay else TEXTURED_STUDIO
    color = torch.zeros((size, size, 3))
    color[mask] = shade_surface(albedo, normal, openness, studio)
    progress(0.9)
    return color.permute(2, 0, 1)[None], mask.to(torch.float32)[None, None]


def _measure_occlusion(
    depth: torch.Tensor, normal: torch.Tensor, mask: torch.Tensor, pixel_metres: float
) -> torch.Tensor:
    """Openness (N,) of the covered pixels, measured at the final resolution inside the bounds."""
    if not mask.any():
        return depth.new_zeros(0)
    rows, columns = (torch.nonzero(mask.any(dim=axis)).squeeze(1) for axis in (1, 0))
    window = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    step = _SUPERSAMPLING
    full_normal = normal.new_zeros((*mask.shape, 3))
    full_normal[mask] = normal
    coarse = (item[window][::step, ::step] for item in (depth, full_normal, mask))
    depth, coarse_normal, coarse_mask = coarse
    depth = torch.where(coarse_mask, depth, torch.zeros_like(depth))
    openness = measure_openness(depth, coarse_normal, coarse_mask, pixel_metres * step)
    shape = mask[window].shape
    fine = F.interpolate(openness[None, None], shape, mode="bilinear")[0, 0]
    return fine[mask[window]]


def _mix_albedo(mesh: Mesh | TexturedMesh, corners: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Linear base color (N, 3): texture times vertex colors."""
    shape = mesh.mesh if isinstance(mesh, TexturedMesh) else mesh
    albedo = torch.ones((len(corners), 3))
    if isinstance(mesh, TexturedMesh):
        albedo = albedo * _sample_texture(mesh, corners, weight)
    if shape.colors is not None:
        albedo = albedo * mix_corners(torch.tensor(shape.colors[:, :3]), corners, weight).clamp(0, 1)
    return albedo


def _sample_texture(mesh: TexturedMesh, corners: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Linear base colour (N, 3), bilinear, edges clamped."""
    uv = mix_corners(torch.tensor(mesh.mesh.uvs), corners, weight)
    texture = torch.tensor(mesh.material.base_color[..., :3]).permute(2, 0, 1)[None]
    grid = (uv * 2 - 1)[None, :, None]
    found = F.grid_sample(texture, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return srgb_to_linear(found[0, :, :, 0].T)


def _paint_backdrop(size: int) -> torch.Tensor:
    """A neutral studio wall (S, S, 3), linear: brighter behind the subject, darker at the rim."""
    axis = (torch.arange(size) + 0.5) / size
    radius = torch.sqrt((axis[None] - 0.5) ** 2 + (axis[:, None] - 0.42) ** 2)
    glow = torch.exp(-((radius / 0.55) ** 2))[..., None]
    near, far = torch.tensor((0.47, 0.48, 0.50)), torch.tensor((0.19, 0.195, 0.21))
    return far + (near - far) * glow


def _cast_shadow(mesh: Mesh, camera: Camera, size: int) -> torch.Tensor:
    """Soft contact shadow on the ground under the mesh: (S, S), the share of light taken away."""
    height = mesh.positions[:, 1] - mesh.positions[:, 1].min()
    ground = mesh.positions.copy()
    ground[:, 1] -= height
    reach = 0.12 * max(float(height.max()), 1e-6)
    uv, _ = project_points(camera, ground)
    cells = 192
    range_ = ((0.0, 1.0), (0.0, 1.0))
    counts, _, _ = np.histogram2d(uv[:, 1], uv[:, 0], cells, range_, weights=np.exp(-height / reach))
    dark = torch.tensor(counts, dtype=torch.float32)[None, None]
    for width in (5, 7, 9):
        dark = F.avg_pool2d(dark, width, stride=1, padding=width // 2)
    dark = 0.5 * dark / dark.amax().clamp(min=1e-6)
    return F.interpolate(dark.sqrt() * 0.7, (size, size), mode="bilinear")[0, 0]
