"""Views of several maps as one stack of channels, and the baked stack as the maps of a material.

A texture's role decides what its numbers mean (glTF 2.0, section 3.9). Base color and emissive are sRGB; all
others are linear: metallic_roughness has roughness in green and metalness in blue, and the numbers stay as
they are. Views of normals are in the axes of their camera, x right, y up, z towards the camera, -1..1 stored
as 0..1: so core's Render Mesh draws them, and so estimators of normals put them out. They are blended in the
mesh's frame, and the texture has them in the tangent space of its texels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..cameras import camera_basis
from ..errors import PictureError
from ..types import Camera, FloatArray, IntArray, Material, ViewImages

MAP_ROLES = ("metallic_roughness", "normal", "emissive")
"""Roles of views besides the color, as in `Material.maps`."""


def check_maps(maps: Mapping[str, FloatArray], images: ViewImages) -> None:
    """Raise PictureError for a map of another role, or without a view of the same size for each camera."""
    for role, views in maps.items():
        if role not in MAP_ROLES:
            raise PictureError(f"expected maps {', '.join(MAP_ROLES)}; found {role}")
        if views.shape != images.color.shape:
            raise PictureError(
                f"expected {role} views of shape {images.color.shape}, like the color's; found {views.shape}"
            )


def stack_view(images: ViewImages, maps: Mapping[str, FloatArray], number: int) -> FloatArray:
    """All maps of one view, (S, S, 3 + 3 M), normals turned into the mesh's frame."""
    layers = [images.color[number]]
    for role, views in maps.items():
        turned = (
            _turn_normals(views[number], images.rig.cameras[number]) if role == "normal" else views[number]
        )
        layers.append(turned)
    return layers[0] if len(layers) == 1 else np.concatenate(layers, axis=2)


def find_channels(roles: Sequence[str], role: str) -> slice:
    """The channels of a role in the stack of the color and these maps."""
    first = 3 + 3 * list(roles).index(role)
    return slice(first, first + 3)


def split_texture(material: Material, texture: FloatArray, roles: Sequence[str]) -> Material:
    """The material with the maps that follow the color in a baked texture (H, W, 3 + 3 M)."""
    maps: dict[str, IntArray] = {
        role: np.rint(texture[..., find_channels(roles, role)].clip(0, 1) * 255).astype(np.uint8)
        for role in roles
    }
    if "metallic_roughness" in maps:  # the map says how much, factors would reduce it
        material = replace(material, metallic=1.0, roughness=1.0)
    if "emissive" in maps:
        material = replace(material, emissive=(1.0, 1.0, 1.0))
    return replace(material, maps=maps)


def _turn_normals(encoded: FloatArray, camera: Camera) -> FloatArray:
    """Normals (S, S, 3) in the axes of a camera to those of the mesh, both 0..1."""
    return (encoded - 0.5) @ camera_basis(camera).astype(np.float32) + 0.5
