"""The one place that asks which ComfyUI is running: schema fields and socket types come and go.

Everything else in `nodes/` imports `io` from here and never looks at a version number.
"""

from __future__ import annotations

import inspect
import tempfile
from pathlib import Path
from typing import Any

import folder_paths
import torch
from comfy_api.latest import ComfyExtension, Types, io

__all__ = [
    "HAS_FILE_3D",
    "ComfyExtension",
    "Types",
    "file_3d_inputs",
    "file_3d_outputs",
    "file_3d_to_path",
    "file_3d_values",
    "io",
    "make_core_mesh",
    "make_schema",
]

HAS_FILE_3D = hasattr(io, "File3DAny") and hasattr(Types, "File3D")
_SCHEMA_FIELDS = set(inspect.signature(io.Schema).parameters)
_MESH_FIELDS = set(inspect.signature(Types.MESH).parameters)


def make_core_mesh(vertices: torch.Tensor, faces: torch.Tensor, **attributes: Any) -> Any:
    """Build core's MESH with the attributes that the running ComfyUI knows; the others are left out."""
    known = {name: value for name, value in attributes.items() if name in _MESH_FIELDS}
    return Types.MESH(vertices, faces, **known)


def make_schema(**fields: Any) -> io.Schema:
    """Build a Schema from the fields that the running ComfyUI knows; the others are left out."""
    return io.Schema(**{name: value for name, value in fields.items() if name in _SCHEMA_FIELDS})


def file_3d_outputs(is_output_list: bool = False) -> list[io.Output]:
    """The FILE_3D output of newer ComfyUI releases; always the last one, so that slots keep their places."""
    output = {"display_name": "file", "is_output_list": is_output_list}
    return [io.File3DAny.Output(**output)] if HAS_FILE_3D else []


def file_3d_values(path: Path) -> tuple[Any, ...]:
    """The value that belongs to `file_3d_outputs`."""
    return (Types.File3D(str(path), path.suffix.lstrip(".")),) if HAS_FILE_3D else ()


def file_3d_inputs(tooltip: str) -> list[io.Input]:
    """The optional FILE_3D input of newer ComfyUI releases, `file`."""
    return [io.File3DAny.Input("file", optional=True, tooltip=tooltip)] if HAS_FILE_3D else []


def file_3d_to_path(file: Any) -> Path:
    """The path of a FILE_3D value; one that is in memory only is written to ComfyUI's temporary folder."""
    if file.is_disk_backed:
        return Path(file.get_source())
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, suffix=f".{file.format}", delete=False) as target:
        target.write(file.get_bytes())
    return Path(target.name)
