"""Materials as files describe them -> the pipeline's; here their textures are decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from ...color import tint
from ...types import FloatArray, IntArray, Material
from .images import decode_image
from .model import SourceMaterial, SourceTexture

_THREADS = 2
_DAMAGED = (OSError, ValueError, SyntaxError, EOFError)
"""What Pillow raises for a picture that it cannot decode."""
_PLAIN_SIDE = 8
"""Pixels a side of the texture of a material that has one color."""


def make_materials(sources: Sequence[SourceMaterial], warnings: list[str]) -> list[Material]:
    """The materials with their textures decoded; those that cannot be used are named in `warnings`."""
    decoded: dict[tuple[int, str], Future[IntArray]] = {}
    made = []
    with ThreadPoolExecutor(_THREADS) as pool:
        used = [_choose_textures(source, warnings) for source in sources]
        for role, texture in (item for own in used for item in own.items()):
            key = _identify(role, texture)
            if key not in decoded:
                decoded[key] = pool.submit(decode_image, texture.image, key[1])
        for source, own in zip(sources, used, strict=True):
            waiting = {role: decoded[_identify(role, texture)] for role, texture in own.items()}
            made.append(_make_material(source, waiting, warnings))
    return made


def _identify(role: str, texture: SourceTexture) -> tuple[int, str]:
    """What two uses of a picture must share to be decoded once: the picture, and its channels."""
    return id(texture.image), "RGBA" if role == "base_color" else "RGB"


def _choose_textures(source: SourceMaterial, warnings: list[str]) -> dict[str, SourceTexture]:
    """The textures of a material that share the uvs of its leading one."""
    leading, used = source.leading_texture, {}
    for role, texture in source.textures.items():
        if leading is not None and role != "base_color" and not _is_same(texture, leading):
            warnings.append(f"the {role} texture of {source.name!r} is left out: it has uvs of its own")
        else:
            used[role] = texture
    return used


def _make_material(
    source: SourceMaterial, decoded: Mapping[str, Future[IntArray]], warnings: list[str]
) -> Material:
    leading, found = source.leading_texture, {}
    for role, waiting in decoded.items():
        if isinstance(waiting.exception(), _DAMAGED):
            warnings.append(f"the {role} texture of {source.name!r} is left out: it cannot be decoded")
        else:
            found[role] = waiting.result()
    return Material(
        _multiply(found.pop("base_color", None), source.base_color),
        metallic=source.metallic,
        roughness=source.roughness,
        name=source.name,
        emissive=source.emissive,
        alpha_mode=source.alpha_mode or "",
        alpha_cutoff=source.alpha_cutoff,
        wrap=leading.wrap if leading else ("REPEAT", "REPEAT"),
        is_double_sided=source.is_double_sided,
        is_unlit=source.is_unlit,
        maps=found,
    )


def _is_same(texture: SourceTexture, leading: SourceTexture) -> bool:
    """Whether both textures are addressed by the same uvs in the same way."""
    if (texture.uv_set, texture.wrap) != (leading.uv_set, leading.wrap):
        return False
    if texture.transform is None or leading.transform is None:
        return texture.transform is leading.transform
    return bool(np.allclose(texture.transform, leading.transform))


def _multiply(texels: IntArray | None, factor: tuple[float, float, float, float]) -> FloatArray | IntArray:
    """The base color: the texture times a linear factor, or the factor alone."""
    if texels is not None:
        return tint(texels, factor)
    return tint(np.ones((_PLAIN_SIDE, _PLAIN_SIDE, 4), np.float32), factor)
