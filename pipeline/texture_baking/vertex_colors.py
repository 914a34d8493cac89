"""Bake the vertex colors of a mesh into a texture, for formats and programs that know textures only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ..color import linear_to_srgb
from ..device import CPU, array_to_tensor, tensor_to_array
from ..errors import MeshError
from ..progress import Progress, ignore_progress, span_progress
from ..types import Mesh, TexturedMesh
from .atlas import apply_texture, fill_gutters, interpolate, rasterize_uv
from .unwrap import unwrap_mesh


def bake_vertex_colors(
    mesh: Mesh,
    *,
    texture_size: int = 2048,
    device: torch.device = CPU,
    progress: Progress = ignore_progress,
) -> TexturedMesh:
    """Unwrap the mesh and write its colors into a (texture_size, texture_size) texture.

    Its uvs are replaced, and vertices are doubled where charts meet. Raises MeshError for a mesh without
    colors, and as `unwrap_mesh` does.
    """
    if mesh.colors is None:
        raise MeshError("expected a mesh with vertex colors, got one without")
    unwrapped = unwrap_mesh(
        mesh, texture_size=texture_size, device=device, progress=span_progress(progress, 0, 0.8)
    )
    texels = rasterize_uv(np.asarray(unwrapped.uvs), unwrapped.faces, texture_size, device)
    faces, colors = (
        array_to_tensor(item, device) for item in (unwrapped.faces, np.asarray(unwrapped.colors))
    )
    rows = torch.arange(len(texels.texel), device=device)
    color = tensor_to_array(interpolate(texels, faces.long(), colors, rows).clamp(0, 1))
    layers = linear_to_srgb(color[:, :3]), color[:, 3:].repeat(3, axis=1)
    picture, alpha = (
        tensor_to_array(fill_gutters(array_to_tensor(layer, device), texels.texel, texture_size))
        for layer in layers
    )
    progress(1.0)
    plain = replace(unwrapped, colors=None)
    return apply_texture(plain, np.concatenate((picture, alpha[..., :1]), axis=2))
