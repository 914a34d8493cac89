"""Reads mesh files of other programs through trimesh."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import FormatError, MeshError
from ..types import Mesh

if TYPE_CHECKING:
    import trimesh

MESH_SUFFIXES = (".glb", ".gltf", ".obj", ".ply", ".stl", ".off")
"""Supported formats. Only the triangles are read, not the materials."""

_PARSER_ERRORS = (
    ArithmeticError, AttributeError, EOFError, LookupError, NotImplementedError, OSError, TypeError,
    ValueError, struct.error,
)  # fmt: skip
"""What trimesh's parsers raise on damaged data. A missing module (ImportError) is not the file's fault."""


def read_mesh(path: Path) -> Mesh:
    """Read all triangles of a file as one mesh, in the file's own units and frame.

    Vertices at the same position are merged, so that seams in the file do not cut the mesh into more charts.
    FormatError: an unsupported format or a damaged file. MeshError: no triangles, or coordinates that are not
    finite.
    """
    if path.suffix.lower() not in MESH_SUFFIXES:
        raise FormatError(
            f"{path.name}: expected one of {', '.join(MESH_SUFFIXES)}; found {path.suffix or 'none'}"
        )
    loaded = _parse_file(path)
    if not len(loaded.faces):
        raise MeshError(f"{path.name} has no triangles")
    if not np.isfinite(loaded.vertices).all():
        raise MeshError(f"{path.name}: expected finite coordinates, found NaN or infinity")
    if loaded.faces.min() < 0 or loaded.faces.max() >= len(loaded.vertices):
        raise FormatError(f"{path.name} cannot be read: its faces name vertices that it does not have")
    loaded.merge_vertices(merge_tex=True, merge_norm=True)
    return Mesh(loaded.vertices, loaded.faces)


def _parse_file(path: Path) -> trimesh.Trimesh:
    from trimesh import Scene, load_scene  # here, so that no error of this import passes for a damaged file

    try:
        scene: Scene = load_scene(path, process=False)
        return scene.to_mesh()
    except _PARSER_ERRORS as error:
        raise FormatError(f"{path.name} cannot be read: {type(error).__name__}: {error}") from error
