"""Bake all colors of a mesh into one texture, for formats and programs that know one texture only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ..color import linear_to_srgb, srgb_to_linear
from ..device import CPU, array_to_tensor, tensor_to_array
from ..errors import MeshError
from ..progress import Progress, ignore_progress, span_progress
from ..rasterize import mix_corners
from ..sample_material import sample_material
from ..types import FloatArray, Mesh, TexturedMesh
from .atlas import Texels, apply_texture, fill_gutters, rasterize_uv
from .own_uvs import OwnUvs, read_own_uvs
from .unwrap import unwrap_mesh


def bake_colors(
    surface: Mesh | TexturedMesh,
    *,
    texture_size: int = 2048,
    device: torch.device = CPU,
    progress: Progress = ignore_progress,
) -> TexturedMesh:
    """Write the materials of a mesh times its vertex colors into one square texture.

    The uvs of a mesh with one material stay if every texel of it can have a color of its own, and with them
    the material's maps. Else the mesh is unwrapped, which doubles vertices where charts meet, and the first
    material keeps its other properties, without maps. Raises MeshError for a mesh without materials and
    colors, and as `unwrap_mesh` does.
    """
    mesh = surface.mesh if isinstance(surface, TexturedMesh) else surface
    if isinstance(surface, Mesh) and mesh.colors is None:
        raise MeshError("expected a mesh with materials or vertex colors, got one without")
    own, side = OwnUvs(None), texture_size
    if isinstance(surface, TexturedMesh) and not surface.others:
        own = read_own_uvs(mesh, texture_size=texture_size, device=device)
        side = max(texture_size, *surface.material.texels.shape[:2]) if own.uvs is not None else texture_size
    bare, steps = replace(mesh, colors=None), span_progress(progress, 0, 0.8)
    if own.uvs is None:
        placed = unwrap_mesh(bare, texture_size=side, device=device, progress=steps)
    else:
        placed = replace(bare, uvs=own.uvs)
    texels = rasterize_uv(np.asarray(placed.uvs), placed.faces, side, device)
    color = _color_texels(surface, mesh, texels)
    layers = linear_to_srgb(color[:, :3]), color[:, 3:].repeat(3, axis=1)
    picture, alpha = (
        tensor_to_array(fill_gutters(array_to_tensor(layer, device), texels.texel, side)) for layer in layers
    )
    progress(1.0)
    baked = apply_texture(placed, np.concatenate((picture, alpha[..., :1]), axis=2))
    if isinstance(surface, Mesh):
        return baked
    maps = surface.material.maps if own.uvs is not None else {}
    kept = replace(surface.material, texels=baked.material.texels, wrap=baked.material.wrap, maps=maps)
    return replace(baked, material=kept)


def _color_texels(surface: Mesh | TexturedMesh, mesh: Mesh, texels: Texels) -> FloatArray:
    """(N, 4) linear color of each texel. Unwrapping keeps the faces, so that they find their old corners."""
    device = texels.texel.device
    corners = array_to_tensor(mesh.faces, device).long()[texels.face]
    color = texels.weight.new_ones((len(corners), 4))
    if mesh.colors is not None:
        color = mix_corners(array_to_tensor(mesh.colors, device), corners, texels.weight).clamp(0, 1)
    if isinstance(surface, Mesh):
        return tensor_to_array(color)
    uvs = mix_corners(array_to_tensor(surface.uvs, device), corners, texels.weight)
    number = array_to_tensor(surface.face_materials.astype(np.int64), device)[texels.face]
    found = torch.empty_like(color)
    for index, material in enumerate(surface.materials):
        found[number == index] = sample_material(material, uvs[number == index])
    sampled = tensor_to_array(found)
    linear = np.concatenate((srgb_to_linear(sampled[:, :3]), sampled[:, 3:]), axis=1)
    return linear * tensor_to_array(color)
