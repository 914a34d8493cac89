"""Load an existing mesh from ComfyUI's input folder, or from another node's FILE_3D."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..pipeline import formats
from ..pipeline.conventions import AXIS_OPTIONS, MESH_SUFFIXES
from ..pipeline.errors import MeshError
from ..pipeline.types import Mesh, TexturedMesh
from .compat import io, make_schema
from .input_files import find_input_file, list_input_files
from .inputs import check_file_links, file_inputs, placing_inputs
from .mesh_file import load_file, load_file_3d
from .sockets import mesh_outputs, mesh_values


def _find_file(name: str | None) -> Path:
    """The path of a mesh below the input folder. MeshError if there is none of that name, or no name."""
    if not name:
        raise MeshError("choose a mesh_file or connect a file")
    path = find_input_file(name, MESH_SUFFIXES)
    if path is None:
        advice = f": {found}" if (found := formats.advise(name)) else ""
        raise MeshError(f"mesh_file: {name!r} is not a mesh in ComfyUI's input folder{advice}")
    return path


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
                    options=list_input_files(MESH_SUFFIXES),
                    optional=True,
                    tooltip="A file in the input folder.",
                ),
                *file_inputs("mesh_file"),
                *placing_inputs(),
            ],
            outputs=mesh_outputs("The figure of the file with its materials: upright, facing +Z, in metres."),
        )

    @classmethod
    def validate_inputs(
        cls, mesh_file: str | None = None, input_types: dict[str, str] | None = None
    ) -> bool | str:
        """Check the file itself, since it may be newer than the list of options."""
        if (answer := check_file_links("mesh_file", input_types)) is not None:
            return answer
        try:
            _find_file(mesh_file)
        except MeshError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, mesh_file: str | None = None, **_linked: Any) -> str:
        """Load a file again after it, or a file that it refers to, has changed."""
        try:
            path = _find_file(mesh_file)
            return " ".join(f"{file.stat().st_mtime_ns}" for file in (path, *formats.list_companions(path)))
        except (MeshError, OSError):
            return ""

    @classmethod
    def execute(
        cls,
        mesh_file: str | None = None,
        file: Any = None,
        up: str = AXIS_OPTIONS[0],
        front: str = AXIS_OPTIONS[0],
        height_meters: float = 0.0,
    ) -> io.NodeOutput:
        """-> TRIMESH, MESH."""
        placing: dict[str, Any] = {"up": up, "front": front, "height": height_meters}
        if file is None:
            surface, warnings = load_file(_find_file(mesh_file), **placing)
        else:
            surface, warnings = load_file_3d(file, **placing)
        return io.NodeOutput(*mesh_values(surface), ui={"text": [*_describe_extras(surface), *warnings]})


def _describe_extras(surface: Mesh | TexturedMesh) -> list[str]:
    """What the file has beside the surface, which travels with TRIMESH alone."""
    mesh = surface.mesh if isinstance(surface, TexturedMesh) else surface
    return [] if mesh.extras is None else [mesh.extras.describe()]
