"""Save and preview: meshes as GLB, characters as FBX, shaded pictures as PNG."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from PIL import Image

from ..pipeline.formats import write_fbx, write_glb
from ..pipeline.preview import render_preview
from ..pipeline.types import RiggedCharacter
from .compat import file_3d_outputs, file_3d_values, io, make_schema
from .inputs import mesh_input
from .output_files import OutputFile, reserve_beside, reserve_counted
from .sockets import Character, array_to_image, socket_to_surface
from .stage import StageRun

_CATEGORY = "character3d/6 export"


def _prefix_input(default: str) -> io.Input:
    return io.String.Input(
        "filename_prefix",
        default=default,
        tooltip="Start of the file's name in the output folder; may name a subfolder.",
    )


def _job_input() -> io.Input:
    return io.String.Input(
        "job_id",
        default="",
        optional=True,
        tooltip="Set by the REST service, so that every job writes files of its own. Leave it empty here.",
    )


def _model_outputs() -> list[io.Output]:
    path = io.String.Output(display_name="model_file", tooltip="Path below the output folder.")
    return [path, *file_3d_outputs()]


def _saved_model(file: OutputFile) -> io.NodeOutput:
    ui = {"3d": [file.entry], "character3d_file": [file.entry]}
    return io.NodeOutput(file.relative, *file_3d_values(file.path), ui=ui)


class SaveMesh(io.ComfyNode):
    """Writes a mesh, textured or not, as GLB."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DSaveMesh",
            display_name="Save Mesh (GLB)",
            category=_CATEGORY,
            description="Writes the mesh, with its texture when it has one, as binary glTF.",
            is_output_node=True,
            inputs=[mesh_input("mesh", "The mesh to save."), _prefix_input("3D/Hy3D"), _job_input()],
            outputs=_model_outputs(),
        )

    @classmethod
    def execute(cls, mesh: Any, filename_prefix: str, job_id: str = "") -> io.NodeOutput:
        """TRIMESH or MESH -> path below the output folder."""
        file = reserve_counted(filename_prefix, ".glb")
        write_glb(file.path, socket_to_surface(mesh))
        return _saved_model(file)


class SaveCharacter(io.ComfyNode):
    """Writes a rigged character as FBX."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DSaveCharacter",
            display_name="Save Character (FBX)",
            category=_CATEGORY,
            description="Writes mesh, texture, skeleton and skin weights as one binary FBX.",
            is_output_node=True,
            inputs=[
                Character.Input("character", tooltip="The rigged character from Rig Character."),
                _prefix_input("3D/Hy3D_rigged"),
                io.String.Input(
                    "model_file",
                    optional=True,
                    force_input=True,
                    tooltip="When connected, the FBX is named after this file and lies beside it.",
                ),
                _job_input(),
            ],
            outputs=_model_outputs(),
        )

    @classmethod
    def execute(
        cls, character: RiggedCharacter, filename_prefix: str, model_file: str = "", job_id: str = ""
    ) -> io.NodeOutput:
        """C3D_CHARACTER -> path below the output folder."""
        if model_file:
            file = reserve_beside(model_file, "_rigged.fbx")
        else:
            file = reserve_counted(filename_prefix, ".fbx")
        write_fbx(file.path, character)
        return _saved_model(file)


class PreviewMesh(io.ComfyNode):
    """Renders a shaded picture of a mesh."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DPreviewMesh",
            display_name="Preview Mesh (PNG)",
            category=_CATEGORY,
            description="Renders a shaded, framed picture of the mesh and saves it.",
            is_output_node=True,
            inputs=[
                mesh_input("mesh", "The mesh to render."),
                io.Int.Input("size", default=768, min=64, max=2048, tooltip="Side of the picture in pixels."),
                io.Float.Input(
                    "azimuth",
                    default=25.0,
                    min=-180.0,
                    max=180.0,
                    tooltip="Degrees around the character; 0 is the front, 90 its left side.",
                ),
                io.Float.Input(
                    "elevation", default=8.0, min=-90.0, max=90.0, tooltip="Degrees above the horizon."
                ),
                _prefix_input("preview_mesh"),
                _job_input(),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="The rendered picture.")],
        )

    @classmethod
    def execute(
        cls, mesh: Any, size: int, azimuth: float, elevation: float, filename_prefix: str, job_id: str = ""
    ) -> io.NodeOutput:
        """TRIMESH or MESH -> IMAGE (1, size, size, 4)."""
        picture = render_preview(
            socket_to_surface(mesh),
            size=size,
            azimuth=math.radians(azimuth),
            elevation=math.radians(elevation),
            progress=StageRun("preview").progress,
        )
        file = reserve_counted(filename_prefix, ".png")
        Image.fromarray(np.round(picture * 255).astype(np.uint8)).save(file.path)
        ui = {"images": [file.entry], "character3d_file": [file.entry]}
        return io.NodeOutput(array_to_image(picture), ui=ui)
