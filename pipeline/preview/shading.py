"""Studio lighting of a rendered surface: three soft lights, ambient light, and screen-space occlusion.

Directions are in the camera's frame: x right, y up, z towards the camera. Colors are linear unless stated
otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

_OCCLUSION_RADII = (0.008, 0.02, 0.045)
_OCCLUSION_DIRECTIONS = 8


@dataclass(frozen=True)
class Light:
    """direction: from the surface to the light. wrap: 0..1, how far it reaches beyond the terminator."""

    direction: tuple[float, float, float]
    color: tuple[float, float, float]
    wrap: float


@dataclass(frozen=True)
class Studio:
    """Directional lights, and the ambient light from above (sky) and from below (ground)."""

    lights: tuple[Light, ...]
    sky: tuple[float, float, float]
    ground: tuple[float, float, float]


CLAY_STUDIO = Studio(
    (
        Light((-0.55, 0.65, 0.55), (0.78, 0.76, 0.72), 0.1),
        Light((0.9, 0.0, 0.35), (0.12, 0.15, 0.20), 0.3),
        Light((0.35, 0.5, -0.8), (0.50, 0.52, 0.56), 0.1),
    ),
    (0.24, 0.26, 0.29),
    (0.08, 0.075, 0.07),
)
"""High contrast, which shows the shape of a mesh of one color."""

TEXTURED_STUDIO = Studio(
    (
        Light((-0.4, 0.5, 0.8), (0.40, 0.39, 0.38), 0.4),
        Light((0.7, 0.1, 0.6), (0.12, 0.13, 0.14), 0.5),
        Light((0.35, 0.5, -0.8), (0.22, 0.23, 0.25), 0.2),
    ),
    (0.66, 0.66, 0.67),
    (0.46, 0.45, 0.44),
)
"""Mostly ambient light, because a painted texture has shading of its own."""


def shade_surface(
    albedo: torch.Tensor, normal: torch.Tensor, openness: torch.Tensor, studio: Studio
) -> torch.Tensor:
    """Shade albedo (N, 3) by unit normals (N, 3) and openness (N,) 0..1: reflected light (N, 3)."""
    sky, ground = albedo.new_tensor(studio.sky), albedo.new_tensor(studio.ground)
    upward = (normal[:, 1:2] + 1) / 2
    light = (ground + (sky - ground) * upward) * openness[:, None]
    for item in studio.lights:
        direction = F.normalize(albedo.new_tensor(item.direction), dim=0)
        facing = ((normal @ direction + item.wrap) / (1 + item.wrap)).clamp(min=0)
        light = light + facing[:, None] * albedo.new_tensor(item.color) * (0.5 + openness[:, None] / 2)
    return albedo * light


def measure_openness(
    depth: torch.Tensor, normal: torch.Tensor, mask: torch.Tensor, pixel_size: float
) -> torch.Tensor:
    """Screen-space ambient occlusion: openness (H, W), 1 in the open and lower in crevices.

    depth: (H, W) metres, nearer is smaller. normal: (H, W, 3) in the camera's frame. mask: (H, W) bool.
    pixel_size: metres. Each of 24 neighbors occludes by its elevation above the tangent plane (after
    Bavoil, Sainz 2008).
    """
    height, width = depth.shape
    blocked = torch.zeros_like(depth)
    for radius in _OCCLUSION_RADII:
        step = max(radius * max(height, width), 1.0)
        for number in range(_OCCLUSION_DIRECTIONS):
            angle = 2 * math.pi * (number + 0.5 * (radius == _OCCLUSION_RADII[1])) / _OCCLUSION_DIRECTIONS
            offset = round(step * math.cos(angle)), round(step * math.sin(angle))
            blocked += _measure_neighbor(depth, normal, mask, offset, pixel_size)
    blocked /= len(_OCCLUSION_RADII) * _OCCLUSION_DIRECTIONS
    smooth = F.avg_pool2d(blocked[None, None], 5, stride=1, padding=2, count_include_pad=False)[0, 0]
    return (1 - 3 * smooth).clamp(0.15, 1)


def _measure_neighbor(
    depth: torch.Tensor,
    normal: torch.Tensor,
    mask: torch.Tensor,
    offset: tuple[int, int],
    pixel_size: float,
) -> torch.Tensor:
    """How much of the sky the neighbor at `offset` = (columns right, rows down) hides: (H, W) 0..1."""
    right, down = offset
    shift = (-down, -right)
    other = torch.roll(depth, shift, dims=(0, 1))
    seen = torch.roll(mask, shift, dims=(0, 1)) & mask
    rise = depth - other  # towards the camera
    run = math.hypot(right, down) * pixel_size
    along = (normal[..., 0] * right - normal[..., 1] * down) * pixel_size + normal[..., 2] * rise
    height = along / torch.sqrt(run * run + rise * rise)
    near = 1 / (1 + (rise / (4 * run)) ** 2)
    return torch.where(seen, (height - 0.12).clamp(min=0) * near, torch.zeros_like(depth))


def srgb_to_linear(color: torch.Tensor) -> torch.Tensor:
    """Decode sRGB 0..1 (IEC 61966-2-1)."""
    return torch.where(color <= 0.04045, color / 12.92, ((color.clamp(min=0) + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(color: torch.Tensor) -> torch.Tensor:
    """Encode as sRGB (IEC 61966-2-1); values are clipped to 0..1 first."""
    color = color.clamp(0, 1)
    return torch.where(color <= 0.0031308, color * 12.92, 1.055 * color ** (1 / 2.4) - 0.055)
