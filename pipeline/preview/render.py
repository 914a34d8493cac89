"""Shaded, framed and antialiased renderings of meshes, with or without texture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from ..cameras import camera_basis, frame_camera, multiply_matrix, project_points
from ..device import CPU, array_to_tensor, tensor_to_array
from ..mesh.normals import vertex_normals
from ..progress import Progress, ignore_progress, span_progress
from ..rasterize import Raster, mix_corners, rasterize_view
from ..sample_material import sample_material
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
"""Empty space around the mesh, as a share of its size."""
_SHADOW_CELLS = 192
"""Resolution of the contact shadow."""
_EIGHT_DIRECTIONS = tuple(index * np.pi / 4 for index in range(8))


def render_preview(
    mesh: Mesh | TexturedMesh,
    *,
    size: int = 768,
    azimuth: float = 0.35,
    elevation: float = 0.12,
    transparent: bool = False,
    device: torch.device = CPU,
    progress: Progress = ignore_progress,
) -> FloatArray:
    """Render the mesh in studio light, framed by its bounds, from the given angles (radians).

    Meshes without texture and vertex colors are rendered in clay. Returns (size, size, 4) float32 sRGB with
    straight alpha: the coverage if `transparent`, otherwise 1, with a studio backdrop behind the mesh.
    """
    shape = mesh.mesh if isinstance(mesh, TexturedMesh) else mesh
    camera = frame_camera(shape, azimuth, elevation, MARGIN)
    return render_camera(mesh, camera, size, transparent, device, progress)


def render_contact_sheet(
    mesh: Mesh | TexturedMesh,
    *,
    size: int = 384,
    azimuths: Sequence[float] = _EIGHT_DIRECTIONS,
    elevation: float = 0.12,
    columns: int = 4,
    device: torch.device = CPU,
    progress: Progress = ignore_progress,
) -> FloatArray:
    """Render the mesh from each azimuth (radians) at a common scale, and lay out the pictures row by row.

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
        tile = render_camera(mesh, replace(camera, half_extent=half_extent), size, False, device, part)
        sheet[row * size : (row + 1) * size, column * size : (column + 1) * size] = tile
    return sheet


def render_camera(
    mesh: Mesh | TexturedMesh,
    camera: Camera,
    size: int,
    transparent: bool,
    device: torch.device,
    progress: Progress,
) -> FloatArray:
    """Render the mesh as `camera` sees it: (size, size, 4); see `render_preview`."""
    shape = mesh.mesh if isinstance(mesh, TexturedMesh) else mesh
    progress(0.0)
    rendered = _render_subject(mesh, camera, size * _SUPERSAMPLING, device, progress)
    color, alpha = (_halve(item) for item in rendered)
    if transparent:
        straight = linear_to_srgb(color / alpha.clamp(min=1e-6))
        return tensor_to_array(torch.cat((straight, alpha), dim=2))
    backdrop = _paint_backdrop(size, device) * (1 - _cast_shadow(shape, camera, size, device))[..., None]
    progress(1.0)
    picture = linear_to_srgb(color + (1 - alpha) * backdrop)
    return tensor_to_array(torch.cat((picture, torch.ones_like(alpha)), dim=2))


def _halve(picture: torch.Tensor) -> torch.Tensor:
    """Average the _SUPERSAMPLING x _SUPERSAMPLING samples of each pixel of (S, S, C)."""
    upper, lower = picture[::2], picture[1::2]
    return (upper[:, ::2] + upper[:, 1::2] + lower[:, ::2] + lower[:, 1::2]) / 4


def _render_subject(
    mesh: Mesh | TexturedMesh, camera: Camera, size: int, device: torch.device, progress: Progress
) -> tuple[torch.Tensor, torch.Tensor]:
    """Linear premultiplied color (S, S, 3) and coverage (S, S, 1), before antialiasing."""
    shape = mesh.mesh if isinstance(mesh, TexturedMesh) else mesh
    faces = array_to_tensor(shape.faces, device).long()
    raster = rasterize_view(camera, array_to_tensor(shape.positions), faces, size)
    progress(0.4)
    face, weight, pixel = raster.list_covered()
    corners = faces.index_select(0, face)
    normal = mix_corners(array_to_tensor(vertex_normals(shape), device), corners, weight)
    normal = F.normalize(multiply_matrix(normal, normal.new_tensor(camera_basis(camera).T)), dim=1)
    openness = _measure_occlusion(raster, normal, pixel, 2 * camera.half_extent / size)
    progress(0.7)
    is_clay = isinstance(mesh, Mesh) and mesh.colors is None
    albedo = (
        normal.new_tensor(_CLAY).expand(len(corners), 3) if is_clay else _mix_albedo(mesh, corners, weight)
    )
    studio = CLAY_STUDIO if is_clay else TEXTURED_STUDIO
    color = normal.new_zeros((size * size, 3))
    color.index_copy_(0, pixel, shade_surface(albedo, normal, openness, studio))
    progress(0.9)
    return color.view(size, size, 3), raster.mask.to(torch.float32)[..., None]


def _measure_occlusion(
    raster: Raster, normal: torch.Tensor, pixel: torch.Tensor, pixel_size: float
) -> torch.Tensor:
    """Openness (N,) of the N covered pixels, measured at the resolution of the final picture.

    normal: (N, 3). pixel: (N,), their numbers. pixel_size: metres.
    """
    mask = raster.mask
    if not len(pixel):
        return normal.new_zeros(0)
    rows, columns = (torch.nonzero(mask.any(dim=axis)).squeeze(1) for axis in (1, 0))
    window = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    step = _SUPERSAMPLING
    full_normal = normal.new_zeros((mask.numel(), 3)).index_copy_(0, pixel, normal).view(*mask.shape, 3)
    coarse = (item[window][::step, ::step] for item in (raster.depth, full_normal, mask))
    depth, coarse_normal, coarse_mask = coarse
    depth = torch.where(coarse_mask, depth, torch.zeros_like(depth))
    openness = measure_openness(depth, coarse_normal, coarse_mask, pixel_size * step)
    shape = mask[window].shape
    fine = F.interpolate(openness[None, None], shape, mode="bilinear")[0, 0]
    return fine.reshape(-1)[mask[window].reshape(-1)]


def _mix_albedo(mesh: Mesh | TexturedMesh, corners: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Linear base color (N, 3): texture times vertex colors."""
    shape = mesh.mesh if isinstance(mesh, TexturedMesh) else mesh
    albedo = weight.new_ones((len(corners), 3))
    if isinstance(mesh, TexturedMesh):
        albedo = albedo * _sample_texture(mesh, corners, weight)
    if shape.colors is not None:
        albedo = albedo * mix_corners(
            array_to_tensor(shape.colors[:, :3], weight.device), corners, weight
        ).clamp(0, 1)
    return albedo


def _sample_texture(mesh: TexturedMesh, corners: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Linear base color (N, 3)."""
    uv = mix_corners(array_to_tensor(mesh.uvs, weight.device), corners, weight)
    numbers = mesh.mesh.material_numbers
    if numbers is None:
        return srgb_to_linear(sample_material(mesh.material, uv)[:, :3])
    number = array_to_tensor(numbers.astype(np.int64), weight.device)[corners[:, 0]]
    color = uv.new_empty((len(uv), 3))
    for index, material in enumerate(mesh.materials):
        color[number == index] = sample_material(material, uv[number == index])[:, :3]
    return srgb_to_linear(color)


def _paint_backdrop(size: int, device: torch.device) -> torch.Tensor:
    """A neutral studio wall (S, S, 3), linear: bright behind the subject, darker towards the border."""
    axis = (torch.arange(size, device=device) + 0.5) / size
    radius = torch.sqrt((axis[None] - 0.5) ** 2 + (axis[:, None] - 0.42) ** 2)
    glow = torch.exp(-((radius / 0.55) ** 2))[..., None]
    near, far = glow.new_tensor((0.47, 0.48, 0.50)), glow.new_tensor((0.19, 0.195, 0.21))
    return far + (near - far) * glow


def _cast_shadow(mesh: Mesh, camera: Camera, size: int, device: torch.device) -> torch.Tensor:
    """Soft contact shadow on the ground below the mesh: (S, S), the share of light that it blocks."""
    height = mesh.positions[:, 1] - mesh.positions[:, 1].min()
    ground = mesh.positions.copy()
    ground[:, 1] -= height
    reach = 0.12 * max(float(height.max()), 1e-6)
    uv, _ = project_points(camera, ground)
    bounds = ((0.0, 1.0), (0.0, 1.0))
    weights = np.exp(-height / reach)
    counts, _, _ = np.histogram2d(uv[:, 1], uv[:, 0], _SHADOW_CELLS, bounds, weights=weights)
    dark = array_to_tensor(counts.astype(np.float32), device)[None, None]
    for width in (5, 7, 9):
        dark = F.avg_pool2d(dark, width, stride=1, padding=width // 2)
    dark = 0.5 * dark / dark.amax().clamp(min=1e-6)
    return F.interpolate(dark.sqrt() * 0.7, (size, size), mode="bilinear")[0, 0]
