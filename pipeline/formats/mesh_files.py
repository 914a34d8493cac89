"""Meshes from the files of others, by trimesh."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import FormatError, MeshError
from ..types import Mesh

MESH_SUFFIXES = (".glb", ".gltf", ".obj", ".ply", ".stl", ".off", ".3mf")
"""Formats that are read; what they say of materials is left behind."""


def read_mesh(path: Path) -> Mesh:
    """Read all triangles of a file as one mesh, in the file's own units and frame.

    Vertices at one place become one, so that the file's seams do not cut new charts. FormatError: a format
    that is not read, or a damaged file. MeshError: no triangles, or coordinates that are not finite.
    """
    import trimesh

    if path.suffix.lower() not in MESH_SUFFIXES:
        raise FormatError(
            f"{path.name}: expected one of {', '.join(MESH_SUFFIXES)}; found {path.suffix or 'none'}"
        )
    try:
        loaded = trimesh.load_scene(path, process=False).to_mesh()
    except Exception as error:  # whatever the readers of seven formats raise on damaged bytes
        raise FormatError(f"{path.name} cannot be read: {type(error).__name__}: {error}") from error
    if not len(loaded.faces):
        raise MeshError(f"{path.name} has no triangles")
    if not np.isfinite(loaded.vertices).all():
        raise MeshError(f"{path.name}: expected finite coordinates, found NaN or infinity")
    loaded.merge_vertices(merge_tex=True, merge_norm=True)
    return Mesh(loaded.vertices, loaded.faces)
