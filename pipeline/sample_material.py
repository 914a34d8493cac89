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
    return sample_texels(array_to_tensor(material.texels, uvs.device), material.wrap, uvs)


def sample_texels(texture: torch.Tensor, wrap: tuple[str, str], uvs: torch.Tensor) -> torch.Tensor:
    """(N, C) values 0..1 of a texture (H, W, C), 0..1 or uint8, at uvs (N, 2)."""
    scale = 255 if texture.dtype == torch.uint8 else 1
    height, width = texture.shape[:2]
    if height == width == 1:
        return (texture.reshape(1, -1) / scale).repeat(len(uvs), 1)
    place = uvs.double() * uvs.new_tensor((width, height)).double() - 0.5
    low = place.floor()
    share = (place - low).to(uvs.dtype)
    columns, rows = (
        [_WRAP[mode](low[:, axis].long() + step, size) for step in (0, 1)]
        for axis, (mode, size) in enumerate(zip(wrap, (width, height), strict=True))
    )
    x, y = share[:, :1], share[:, 1:]
    texels = texture.reshape(height * width, -1)
    upper, lower = (
        texels.index_select(0, row * width + columns[0]) * (1 - x)
        + texels.index_select(0, row * width + columns[1]) * x
        for row in rows
    )
    return (upper * (1 - y) + lower * y) / scale
