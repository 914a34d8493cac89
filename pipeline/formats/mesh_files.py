"""Reads files of other programs, each format by its reader in reading/, as one mesh with its materials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..conventions import MESH_SUFFIXES
from ..errors import FormatError, MeshError
from ..types import Mesh, TexturedMesh
from .reading.fbx import read_fbx
from .reading.gltf import read_gltf
from .reading.join import join_parts
from .reading.model import Model
from .reading.obj import read_obj
from .reading.stl import read_stl
from .reading.threemf import read_3mf
from .reading.through_trimesh import read_through_trimesh
from .reading.usd import read_usd

_READERS: dict[str, Callable[[Path], Model]] = {
    ".glb": read_gltf,
    ".gltf": read_gltf,
    ".vrm": read_gltf,
    ".fbx": read_fbx,
    ".usdz": read_usd,
    ".usdc": read_usd,
    ".usda": read_usd,
    ".usd": read_usd,
    ".obj": read_obj,
    ".3mf": read_3mf,
    ".ply": read_through_trimesh,
    ".stl": read_stl,
    ".off": read_through_trimesh,
}
_OTHERS = {
    ".blend": "open it in Blender and export it as glTF 2.0 (.glb)",
    ".dae": "convert it to glTF 2.0 (.glb), for example with Blender",
    ".max": "export it from 3ds Max as FBX or glTF",
    ".mb": "export it from Maya as FBX",
    ".zip": "unpack it and choose the model in it",
}
"""What to do with files that people bring and that are not read."""
_SAME = {
    ".3ds": ".dae",
    ".abc": ".dae",
    ".x": ".dae",
    ".ma": ".mb",
}


@dataclass(frozen=True, eq=False)
class LoadedMesh:
    """surface: the mesh of a file. warnings: what was changed or could not be read, one sentence each.

    up, front, has_stated_frame: see Model.
    """

    surface: Mesh | TexturedMesh
    warnings: tuple[str, ...] = ()
    up: str = "auto"
    front: str = "auto"
    has_stated_frame: bool = False


def read_mesh(path: Path) -> LoadedMesh:
    """Read all triangles of a file as one mesh with its materials, as the file's scene shows them.

    glTF is in meters and +Y up; other formats keep their own units and frame. FormatError: an unsupported
    format, a damaged file, or one that needs what cannot be read. MeshError: no triangles, or coordinates
    that are not finite.
    """
    model = read_model(path)
    surface, warnings = join_parts(model)
    if not len((surface.mesh if isinstance(surface, TexturedMesh) else surface).faces):
        raise MeshError(f"{path.name} has no triangles: each of its faces has corners at one place")
    named = tuple(f"{path.name}: {warning}" for warning in warnings)
    return LoadedMesh(surface, named, model.up, model.front, model.has_stated_frame)


def read_model(path: Path) -> Model:
    """Read the parts of a file, at least one; errors as those of `read_mesh`."""
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        found = "; ".join(filter(None, (path.suffix or "none", advise(path.name))))
        raise FormatError(f"{path.name}: expected one of {', '.join(MESH_SUFFIXES)}; found {found}")
    model = reader(path)
    if not any(len(part.faces) for part in model.parts):
        raise MeshError(
            ": ".join((f"{path.name} has no triangles", *filter(None, ["; ".join(model.warnings)])))
        )
    for part in model.parts:
        if not np.isfinite(part.positions).all():
            raise MeshError(
                f"{path.name}: expected finite coordinates, found NaN or infinity in {part.name!r}"
            )
    return model


def advise(name: str) -> str:
    """What to do with a file of a format that is not read, or nothing."""
    suffix = Path(name).suffix.lower()
    return _OTHERS.get(_SAME.get(suffix, suffix), "")
