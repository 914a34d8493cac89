"""Materials as files describe them -> the pipeline's; here their textures are decoded."""

from __future__ import annotations

import numpy as np

from ...color import tint
from ...types import FloatArray, IntArray, Material
from .images import decode_image
from .model import SourceMaterial, SourceTexture

_PLAIN_SIDE = 8
"""Pixels a side of the texture of a material that has one color."""


def make_material(source: SourceMaterial, warnings: list[str]) -> Material:
    """The material with its textures decoded; those that cannot be used are named in `warnings`."""
    leading = source.leading_texture
    base = source.textures.get("base_color")
    decoded = None if base is None else _decode(base, source, "base_color", warnings)
    maps = {}
    for role, texture in source.textures.items():
        if role == "base_color" or leading is None:
            continue
        if (texture.uv_set, texture.wrap) != (leading.uv_set, leading.wrap) or not _is_same(texture, leading):
            warnings.append(f"the {role} texture of {source.name!r} is left out: it has uvs of its own")
        elif (texels := _decode(texture, source, role, warnings)) is not None:
            maps[role] = np.ascontiguousarray(texels[..., :3])
    return Material(
        _multiply(decoded, source.base_color),
        metallic=source.metallic,
        roughness=source.roughness,
        name=source.name,
        emissive=source.emissive,
        alpha_mode=source.alpha_mode or "",
        alpha_cutoff=source.alpha_cutoff,
        wrap=leading.wrap if leading else ("REPEAT", "REPEAT"),
        is_double_sided=source.is_double_sided,
        maps=maps,
    )


def _decode(
    texture: SourceTexture, source: SourceMaterial, role: str, warnings: list[str]
) -> IntArray | None:
    """(H, W, 4) uint8, or None, said in `warnings`, if the picture is damaged."""
    try:
        return decode_image(texture.image)
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        warnings.append(f"the {role} texture of {source.name!r} is left out: it cannot be decoded ({error})")
        return None


def _is_same(texture: SourceTexture, leading: SourceTexture) -> bool:
    """Whether both textures move their uvs in the same way."""
    if texture.transform is None or leading.transform is None:
        return texture.transform is leading.transform
    return bool(np.allclose(texture.transform, leading.transform))


def _multiply(texels: IntArray | None, factor: tuple[float, float, float, float]) -> FloatArray | IntArray:
    """The base color: the texture times a linear factor, or the factor alone."""
    if texels is not None:
        return tint(texels, factor)
    return tint(np.ones((_PLAIN_SIDE, _PLAIN_SIDE, 4), np.float32), factor)
