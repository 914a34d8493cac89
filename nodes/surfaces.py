"""The color of a mesh on its way from a socket into the pipeline: textures, factors and vertex colors."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..pipeline import texture_baking
from ..pipeline.color import tint
from ..pipeline.types import FloatArray, IntArray, Material, Mesh, TexturedMesh
from .stage import reserve_device

_LOG = logging.getLogger("character3d")
_PLAIN_COLOR = (0.72, 0.70, 0.68, 1.0)
_WHITE = (1.0, 1.0, 1.0, 1.0)
_SOLID_SIDE, _TEXTURE_SIDE = 8, 2048


def warn_of_losses(kind: str, names: Iterable[str]) -> None:
    """Log which attributes of a socket's value the pipeline has no place for."""
    if found := ", ".join(names):
        _LOG.warning("%s: %s cannot be kept and will be missing from the result", kind, found)


def make_surface(
    mesh: Mesh,
    texture: FloatArray | IntArray | None,
    factor: Sequence[float] | None,
    metallic: float | None,
    roughness: float | None,
) -> Mesh | TexturedMesh:
    """Combine a mesh with the parts of its material that exist; a mesh without any is returned as it is.

    texture: (H, W, 3 or 4) sRGB 0..1, or uint8 with alpha; it needs uvs. factor: linear RGBA that
    multiplies the texture.
    """
    texture = None if mesh.uvs is None else texture
    if all(part is None for part in (texture, factor, metallic, roughness)):
        return mesh
    if texture is None:
        textured = paint_solid(mesh, _PLAIN_COLOR if factor is None and mesh.colors is None else _WHITE)
        mesh, texture = textured.mesh, textured.material.texels
    texels = _add_alpha(texture)
    if factor is not None:
        texels = tint(texels, factor)
    given = {"metallic": metallic, "roughness": roughness}
    numbers: dict[str, Any] = {name: float(value) for name, value in given.items() if value is not None}
    return TexturedMesh(mesh, Material(texels, **numbers))


def make_textured(surface: Mesh | TexturedMesh) -> TexturedMesh:
    """Give every surface textures, since not every file format has vertex colors; they are baked into one.

    A mesh without any color gets a plain one.
    """
    mesh = surface.mesh if isinstance(surface, TexturedMesh) else surface
    if mesh.colors is not None and isinstance(surface, TexturedMesh) and (mesh.colors == 1).all():
        return replace(surface, mesh=replace(mesh, colors=None))
    if mesh.colors is None:
        return paint_solid(surface) if isinstance(surface, Mesh) else surface
    baked = texture_baking.bake_colors(
        surface, texture_size=_TEXTURE_SIDE, device=reserve_device(_TEXTURE_SIDE**2)
    )
    if isinstance(surface, TexturedMesh):
        lost = {role for material in surface.materials for role in material.maps} - set(baked.material.maps)
        warn_of_losses("vertex colors on a texture whose uvs overlap", sorted(lost))
    return baked


def paint_solid(mesh: Mesh, color: Sequence[float] = _PLAIN_COLOR) -> TexturedMesh:
    """Give a mesh a texture of a single sRGB color."""
    uvs = np.full((len(mesh.positions), 2), 0.5, np.float32) if mesh.uvs is None else mesh.uvs
    texture = np.full((_SOLID_SIDE, _SOLID_SIDE, 4), color, np.float32)
    return TexturedMesh(replace(mesh, uvs=uvs), Material(texture))


def _add_alpha(texture: Any) -> Any:
    if texture.shape[-1] == 4:
        return texture
    return np.concatenate((texture, np.ones_like(texture[..., :1])), axis=-1)
