"""Load a mesh that exists already, from ComfyUI's input folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import folder_paths

from ..pipeline.formats import MESH_SUFFIXES, read_mesh
from .compat import file_3d_inputs, file_3d_to_path, io, make_schema
from .sockets import mesh_outputs, mesh_values


def _list_files() -> list[str]:
    folder = Path(folder_paths.get_input_directory())
    files = (path for path in folder.rglob("*") if path.suffix.lower() in MESH_SUFFIXES)
    return sorted(path.relative_to(folder).as_posix() for path in files)


class LoadMesh(io.ComfyNode):
    """Loads a mesh file, to texture or rig it."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DLoadMesh",
            display_name="Load Mesh",
            category="character3d/2 mesh generation",
            description=f"Loads a mesh ({', '.join(MESH_SUFFIXES)}) from ComfyUI's input folder.",
            search_aliases=["load 3d", "import glb", "load obj"],
            inputs=[
                io.Combo.Input(
                    "mesh_file",
                    options=_list_files(),
                    tooltip="A file in ComfyUI's input folder or below. It stands upright (+Y) and faces +Z.",
                ),
                *file_3d_inputs("Used in place of mesh_file when connected."),
            ],
            outputs=mesh_outputs("The triangles of the file, in its own units."),
        )

    @classmethod
    def validate_inputs(cls, mesh_file: str) -> bool | str:
        """Files may have come since the list was made; nothing outside the input folder is a file here."""
        return mesh_file in _list_files() or f"mesh_file: {mesh_file!r} is not in ComfyUI's input folder"

    @classmethod
    def fingerprint_inputs(cls, mesh_file: str, **_linked: Any) -> str:
        """A file that was written anew is loaded anew."""
        path = Path(folder_paths.get_input_directory(), mesh_file)
        return f"{path.stat().st_mtime_ns}" if path.is_file() else ""

    @classmethod
    def execute(cls, mesh_file: str, file: Any = None) -> io.NodeOutput:
        """-> TRIMESH, MESH."""
        path = Path(folder_paths.get_input_directory(), mesh_file) if file is None else file_3d_to_path(file)
        return io.NodeOutput(*mesh_values(read_mesh(path)))
