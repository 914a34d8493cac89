"""The color of a material at texture coordinates, filtered bilinearly and wrapped as the material says."""

from __future__ import annotations

from collections.abc import Callable

import torch

from .device import array_to_tensor
from .types import Material

_WRAP: dict[str, Callable[[torch.Tensor, int], torch.Tensor]] = {
    "CLAMP": lambda texel, size: texel.clamp(0, size - 1),
    "REPEAT": lambda texel, size: texel.remainder(size),
    "MIRROR": lambda texel, size: size - 1 - (texel.remainder(2 * size) - size + 0.5).abs().sub(0.5).long(),
}
"""Texel numbers of any size -> 0..size - 1."""


def sample_material(material: Material, uvs: torch.Tensor) -> torch.Tensor:
    """(N, 4) sRGB color and alpha at uvs (N, 2)."""
    texture = array_to_tensor(material.texels, uvs.device)
    scale = 255 if texture.dtype == torch.uint8 else 1
    height, width = texture.shape[:2]
    place = uvs.double() * uvs.new_tensor((width, height)).double() - 0.5
    low = place.floor()
    share = (place - low).to(uvs.dtype)
    columns, rows = (
        [_WRAP[mode](low[:, axis].long() + step, size) for step in (0, 1)]
        for axis, (mode, size) in enumerate(zip(material.wrap, (width, height), strict=True))
    )
    x, y = share[:, :1], share[:, 1:]
    upper = texture[rows[0], columns[0]] * (1 - x) + texture[rows[0], columns[1]] * x
    lower = texture[rows[1], columns[0]] * (1 - x) + texture[rows[1], columns[1]] * x
    return (upper * (1 - y) + lower * y) / scale
