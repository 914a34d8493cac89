"""The one place that depends on the ComfyUI release: schema fields and socket types come and go.

Everything else in `nodes/` imports `io` from here and never looks at a version number.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import folder_paths
import torch
from comfy_api.latest import ComfyExtension, Types, io
from comfy_execution.validation import validate_node_input

__all__ = [
    "HAS_FILE_3D",
    "CameraSocket",
    "ComfyExtension",
    "CoreMesh",
    "Types",
    "file_3d_outputs",
    "file_3d_to_path",
    "file_3d_types",
    "file_3d_values",
    "io",
    "is_file_3d",
    "is_file_3d_type",
    "make_core_mesh",
    "make_schema",
    "make_stage_schema",
]

HAS_FILE_3D = hasattr(io, "File3DAny") and hasattr(Types, "File3D")
_FILE_3D_TYPES = [
    getattr(io, name)
    for name in (
        "File3DAny",
        "File3DGLB",
        "File3DGLTF",
        "File3DFBX",
        "File3DOBJ",
        "File3DSTL",
        "File3DUSDZ",
        "File3DPLY",
    )
    if hasattr(io, name)
]
"""Those of meshes; splats and point clouds have types of their own."""
_SCHEMA_FIELDS = set(inspect.signature(io.Schema).parameters)


class TriangleMesh:
    """The MESH of releases that have no class for it: core's nodes of that time read these attributes."""

    def __init__(self, vertices: torch.Tensor, faces: torch.Tensor) -> None:
        self.vertices = vertices
        self.faces = faces


CameraSocket: type[Any] = getattr(io, "Load3DCamera", None) or io.Custom("LOAD3D_CAMERA")
"""One of core's cameras; a list of them in newer releases."""
CoreMesh: type[Any] = getattr(Types, "MESH", TriangleMesh)
_MESH_FIELDS = set(inspect.signature(CoreMesh).parameters)


def make_core_mesh(vertices: torch.Tensor, faces: torch.Tensor, **attributes: Any) -> Any:
    """Build core's MESH with the attributes that the running ComfyUI knows; the others are left out."""
    known = {name: value for name, value in attributes.items() if name in _MESH_FIELDS}
    return CoreMesh(vertices, faces, **known)


def make_schema(**fields: Any) -> io.Schema:
    """Build a Schema from the fields that the running ComfyUI knows; others are left out."""
    return io.Schema(**{name: value for name, value in fields.items() if name in _SCHEMA_FIELDS})


def make_stage_schema(**fields: Any) -> io.Schema:
    """The Schema of a node of a stage, whose ui tells how it went, of a cached run as well.

    Of the nodes that are ready core runs output nodes first, so that previews show a picture as soon as it is
    there. A stage must not count as one: it would come before them. Releases that know no other nodes with a
    ui worth telling again (those before 2026) take it for one all the same.
    """
    is_known = "has_intermediate_output" in _SCHEMA_FIELDS
    return make_schema(**fields, has_intermediate_output=is_known, is_output_node=not is_known)


def file_3d_outputs(kind: str = "Any", is_output_list: bool = False) -> list[io.Output]:
    """The FILE_3D output of newer ComfyUI releases; always the last one, so that slots keep their places.

    kind: of the file, as in the names of ComfyUI's types: GLB, FBX; Any if it can be one or the other.
    """
    if not HAS_FILE_3D:
        return []
    output = getattr(io, f"File3D{kind}", io.File3DAny).Output
    tooltip = "The saved file, for ComfyUI's own 3D nodes."
    return [output(display_name="file", is_output_list=is_output_list, tooltip=tooltip)]


def file_3d_values(path: Path) -> tuple[Any, ...]:
    """The value for `file_3d_outputs`."""
    return (Types.File3D(str(path), path.suffix.lstrip(".")),) if HAS_FILE_3D else ()


def file_3d_types() -> list[Any]:
    """The FILE_3D types of meshes that newer ComfyUI releases have, for an input that takes them."""
    return _FILE_3D_TYPES if HAS_FILE_3D else []


def is_file_3d(value: Any) -> bool:
    """Whether a socket's value is a FILE_3D."""
    return HAS_FILE_3D and isinstance(value, Types.File3D)


def is_file_3d_type(received: str) -> bool:
    """Whether an output of that type is one of `file_3d_types`."""
    return validate_node_input(received, ",".join(kind.io_type for kind in file_3d_types()))


@contextlib.contextmanager
def file_3d_to_path(file: Any) -> Iterator[Path]:
    """The path of a FILE_3D value; one that is only in memory is written to a file while the block runs."""
    if file.is_disk_backed:
        yield Path(file.get_source())
        return
    root = folder_paths.get_temp_directory()
    os.makedirs(root, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root) as folder:
        path = Path(folder, f"model.{file.format}")
        path.write_bytes(file.get_bytes())
        yield path
