"""Bake the vertex colors of a mesh into a texture, for formats and programs that know textures only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ..color import linear_to_srgb
from ..errors import MeshError
from ..progress import Progress, ignore_progress, span_progress
from ..types import Mesh, TexturedMesh
from .atlas import apply_texture, fill_gutters, interpolate_texels, list_texels
from .unwrap import unwrap_mesh


def bake_vertex_colors(
    mesh: Mesh, *, texture_size: int = 2048, progress: Progress = ignore_progress
) -> TexturedMesh:
    """Unwrap the mesh and write its colors into a (texture_size, texture_size) texture.

    Its uvs are replaced, and vertices are doubled where charts meet. Raises MeshError for a mesh without
    colors, and as `unwrap_mesh` does.
    """
    if mesh.colors is None:
        raise MeshError("expected a mesh with vertex colors, got one without")
    unwrapped = unwrap_mesh(mesh, texture_size=texture_size, progress=span_progress(progress, 0, 0.8))
    texels = list_texels(unwrapped, texture_size)
    rows, faces = torch.arange(len(texels.place)), torch.tensor(unwrapped.faces).long()
    color = interpolate_texels(texels, faces, torch.tensor(unwrapped.colors), rows).clamp(0, 1)
    layers = torch.from_numpy(linear_to_srgb(color[:, :3].numpy())), color[:, 3:].expand(-1, 3)
    picture, alpha = (fill_gutters(layer, texels.place, texture_size).numpy() for layer in layers)
    progress(1.0)
    plain = replace(unwrapped, colors=None)
    return apply_texture(plain, np.concatenate((picture, alpha[..., :1]), axis=2))
