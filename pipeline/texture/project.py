"""Colours of surface points from the views that see them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt

from ..cameras import camera_basis, project_points
from ..progress import Progress
from ..rasterize import rasterize_view
from ..types import BoolArray, Camera, FloatArray, Mesh, ViewImages

_SHARPNESS = 6
"""Power of the cosine between normal and view: high, so that two views mix only in a narrow band."""
_PREFERENCE = {"front": 8.0, "top": 0.25, "bottom": 0.25}
"""The front view is the picture itself; top and bottom are farthest from it and see little."""
_OPAQUE = 0.9
"""Pixels with less mask than this have background in their colour."""
_LEAST_FACING = 0.1
_FULLY_FACING = 0.4
_EDGE_RAMP = 1 / 128
"""Trust in a view grows from an outline inwards over this share of its side."""
_STEEPEST_JUMP = 6.0
"""Neighbouring pixels whose depths differ by more pixel widths than this lie on different parts."""


class View(NamedTuple):
    """layers: (1, 6, S, S) colour times mask, mask, trust in 0..1, and depth in metres."""

    camera: Camera
    layers: torch.Tensor
    pixel_metres: float
    preference: float


class PointColors(NamedTuple):
    """color: (N, 3) sRGB, 0 where unseen. confidence: (N,) 0 where unseen, 1 where a view sees well."""

    color: torch.Tensor
    confidence: torch.Tensor


def prepare_views(mesh: Mesh, images: ViewImages, progress: Progress) -> list[View]:
    """Render each view's depth and find where its colours can be trusted."""
    positions, faces = torch.tensor(mesh.positions), torch.tensor(mesh.faces)
    views = []
    for number, camera in enumerate(images.rig.cameras):
        progress(number / len(images.rig))
        side = images.mask.shape[-1]
        pixel_metres = 2 * camera.half_extent / side
        depth = rasterize_view(camera, positions, faces, side).depth
        trust = _measure_trust(depth.numpy(), images.mask[number], pixel_metres)
        color, mask = torch.tensor(images.color[number]), torch.tensor(images.mask[number])[..., None]
        depth = torch.where(torch.isinf(depth), torch.zeros_like(depth), depth)[..., None]
        layers = torch.cat((color * mask, mask, torch.from_numpy(trust)[..., None], depth), dim=2)
        preference = _PREFERENCE.get(camera.name, 1.0)
        views.append(View(camera, layers.permute(2, 0, 1)[None].contiguous(), pixel_metres, preference))
    return views


def color_points(views: list[View], points: torch.Tensor, normals: torch.Tensor) -> PointColors:
    """Blend the views at points (N, 3), metres, with unit normals (N, 3)."""
    color, total = torch.zeros_like(points), points.new_zeros(len(points))
    confidence = torch.zeros_like(total)
    for view in views:
        towards = torch.as_tensor(camera_basis(view.camera)[2], dtype=points.dtype)
        facing = normals @ towards
        rows = torch.nonzero(facing > _LEAST_FACING).squeeze(1)
        facing = facing[rows]
        seen, quality = _look_up(view, points[rows], facing)
        weight = quality * facing**_SHARPNESS * view.preference
        color[rows] += seen * weight[:, None]
        total[rows] += weight
        confidence[rows] = torch.maximum(confidence[rows], quality)
    return PointColors(color / total.clamp(min=1e-12)[:, None], confidence)


def _measure_trust(depth: FloatArray, mask: FloatArray, pixel_metres: float) -> FloatArray:
    """(S, S) float32: 0 beside outlines, of the mask or between parts of the mesh, 1 well inside."""
    outside = np.isinf(depth) | (mask < _OPAQUE) | _find_jumps(depth, pixel_metres)
    if not outside.any():
        return np.ones_like(mask)
    distance = distance_transform_edt(~outside)
    # A 2x2 block with a pixel farther in than 1.5 has none outside, so that bilinear reads stay clean.
    return np.clip((distance - 1.5) / (_EDGE_RAMP * len(mask)), 0, 1).astype(np.float32)


def _find_jumps(depth: FloatArray, pixel_metres: float) -> BoolArray:
    """Pixels on either side of a depth discontinuity."""
    known = np.where(np.isinf(depth), 1e9, depth)
    jumps = np.zeros(depth.shape, np.bool_)
    across = np.abs(np.diff(known, axis=1)) > _STEEPEST_JUMP * pixel_metres
    along = np.abs(np.diff(known, axis=0)) > _STEEPEST_JUMP * pixel_metres
    for side in (slice(None, -1), slice(1, None)):
        jumps[:, side] |= across
        jumps[side] |= along
    return jumps


def _look_up(view: View, points: torch.Tensor, facing: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Colour (N, 3) and quality (N,) 0..1 of the view at points whose normals have cosine `facing`."""
    uv, depth = project_points(view.camera, points)
    found = F.grid_sample(view.layers, (uv * 2 - 1)[None, :, None], align_corners=False)[0, :, :, 0]
    mask, trust, surface = found[3], found[4], found[5]
    slope = torch.sqrt(1 - facing.clamp(max=1) ** 2) / facing
    tolerance = view.pixel_metres * (1 + slope) / 2
    visible = (2 - (depth - surface) / tolerance).clamp(0, 1)
    quality = visible * trust * (facing / _FULLY_FACING).clamp(max=1)
    quality = torch.where(mask > 0.25, quality, torch.zeros_like(quality))
    return (found[:3] / mask.clamp(min=1e-3)).T, quality
