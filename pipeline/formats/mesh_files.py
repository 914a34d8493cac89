"""Reads files of other programs, each format by its reader in reading/, as one mesh with its materials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import FormatError, MeshError
from ..types import Mesh, TexturedMesh
from .reading.gltf import read_gltf
from .reading.join import join_parts
from .reading.model import Model
from .reading.through_trimesh import read_through_trimesh

_READERS: dict[str, Callable[[Path], Model]] = {
    ".glb": read_gltf,
    ".gltf": read_gltf,
    ".vrm": read_gltf,
    ".obj": read_through_trimesh,
    ".ply": read_through_trimesh,
    ".stl": read_through_trimesh,
    ".off": read_through_trimesh,
}
MESH_SUFFIXES = tuple(_READERS)
"""Supported formats."""


@dataclass(frozen=True, eq=False)
class LoadedMesh:
    """surface: the mesh of a file. warnings: what was changed or could not be read, one sentence each."""

    surface: Mesh | TexturedMesh
    warnings: tuple[str, ...] = ()


def read_mesh(path: Path) -> LoadedMesh:
    """Read all triangles of a file as one mesh with its materials, as the file's scene shows them.

    glTF is in meters and +Y up; other formats keep their own units and frame. FormatError: an unsupported
    format, a damaged file, or one that needs what cannot be read. MeshError: no triangles, or coordinates
    that are not finite.
    """
    surface, warnings = join_parts(read_model(path))
    return LoadedMesh(surface, tuple(f"{path.name}: {warning}" for warning in warnings))


def read_model(path: Path) -> Model:
    """Read the parts of a file, at least one; errors as those of `read_mesh`."""
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise FormatError(
            f"{path.name}: expected one of {', '.join(MESH_SUFFIXES)}; found {path.suffix or 'none'}"
        )
    model = reader(path)
    if not any(len(part.faces) for part in model.parts):
        raise MeshError(f"{path.name} has no triangles")
    for part in model.parts:
        if not np.isfinite(part.positions).all():
            raise MeshError(
                f"{path.name}: expected finite coordinates, found NaN or infinity in {part.name!r}"
            )
    return model
