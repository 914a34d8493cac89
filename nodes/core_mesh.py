"""ComfyUI's own MESH to and from the pipeline's types.

A MESH is a batch. In releases of 2026 it may have uvs, normals, vertex colors (linear), textures and
material factors besides triangles, and is zero-padded where its meshes differ in size; older ones have
vertices and faces only. uvs and colors are as in glTF, hence as in the pipeline. core_material.py has the
material.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ..pipeline.color import srgb_to_linear
from ..pipeline.errors import MeshError
from ..pipeline.mesh_extras import MeshExtras
from ..pipeline.types import Mesh, TexturedMesh
from .compat import make_core_mesh
from .core_material import material_to_core, read_material
from .surfaces import warn_of_losses

_ONE_TEXTURE = "several materials: MESH has one texture, so they became vertex colors"


def is_core_mesh(value: Any) -> bool:
    """Whether a socket's value is core's MESH, of whichever release."""
    return torch.is_tensor(getattr(value, "vertices", None)) and torch.is_tensor(value.faces)


def count_meshes(value: Any) -> int:
    """The number of meshes in a MESH."""
    return int(value.vertices.shape[0])


def read_core_mesh(value: Any, index: int) -> Mesh | TexturedMesh:
    """One mesh of a MESH, with its material and colors. MeshError if it has no triangles or bad indices."""
    return read_material(value, index, _read_mesh(value, index))


def mesh_to_core(surface: Mesh | TexturedMesh) -> Any:
    """A batch of one: vertices (1, V, 3) float32, faces (1, F, 3) int64, and what else this MESH can hold."""
    if isinstance(surface, TexturedMesh) and surface.others:
        warn_of_losses("MESH", [_ONE_TEXTURE])
        surface = _paint_vertices(surface)
    mesh = surface.mesh if isinstance(surface, TexturedMesh) else surface
    fields = {name: getattr(mesh, name) for name in ("normals", "uvs")} | {"vertex_colors": mesh.colors}
    fields["tangents"] = None if mesh.extras is None else mesh.extras.tangents
    attributes: dict[str, Any] = {
        name: _to_batch(array) for name, array in fields.items() if array is not None
    }
    if isinstance(surface, TexturedMesh):
        attributes |= material_to_core(surface.material)
    return make_core_mesh(_to_batch(mesh.positions), _to_batch(mesh.faces).long(), **attributes)


def _paint_vertices(surface: TexturedMesh) -> Mesh:
    """The mesh with the color of its materials at each vertex."""
    texels, colors = surface.vertex_colors, surface.mesh.colors
    linear = np.concatenate((srgb_to_linear(texels[:, :3]), texels[:, 3:]), axis=1)
    return replace(surface.mesh, colors=linear if colors is None else linear * colors, material_numbers=None)


def _read_mesh(value: Any, index: int) -> Mesh:
    counts = getattr(value, "vertex_counts", None), getattr(value, "face_counts", None)
    vertex_count, face_count = (None if count is None else int(count[index]) for count in counts)
    arrays = {
        name: _read_rows(value, name, index, vertex_count)
        for name in ("vertices", "normals", "uvs", "vertex_colors", "tangents")
    }
    faces, colors = _read_rows(value, "faces", index, face_count), arrays["vertex_colors"]
    if faces is None or not len(faces):
        raise MeshError(f"expected a mesh with triangles, found none in mesh {index + 1} of the batch")
    if colors is not None and colors.shape[1] == 3:
        colors = np.concatenate((colors, np.ones_like(colors[:, :1])), axis=1)
    try:
        extras = None if arrays["tangents"] is None else MeshExtras(tangents=arrays["tangents"])
        return Mesh(arrays["vertices"], faces, arrays["normals"], arrays["uvs"], colors, extras=extras)
    except ValueError as error:
        raise MeshError(f"MESH: {error}") from error


def _read_rows(value: Any, name: str, index: int, count: int | None) -> Any:
    """Vertex or face attributes of one mesh without padding, or None."""
    batch = getattr(value, name, None)
    return None if batch is None else batch[index][:count].detach().cpu().numpy()


def _to_batch(array: Any) -> torch.Tensor:
    return torch.tensor(np.asarray(array))[None]
