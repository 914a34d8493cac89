"""Save and preview meshes: GLB, and shaded pictures as PNG."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from PIL import Image

from ..pipeline.formats import write_glb
from ..pipeline.preview import render_preview
from .compat import io, make_schema
from .inputs import job_input, mesh_input, prefix_input
from .output_files import model_outputs, reserve_counted, saved_model
from .sockets import array_to_image, socket_to_surface
from .stage import StageRun, reserve_device

_CATEGORY = "character3d/6 export"


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
            inputs=[mesh_input("mesh", "The mesh to save."), prefix_input("3D/Hy3D"), job_input()],
            outputs=model_outputs(),
        )

    @classmethod
    def execute(cls, mesh: Any, filename_prefix: str, job_id: str = "") -> io.NodeOutput:
        """TRIMESH or MESH -> path below the output folder."""
        file = reserve_counted(filename_prefix, ".glb")
        write_glb(file.path, socket_to_surface(mesh))
        return saved_model(file)


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
                prefix_input("preview_mesh"),
                job_input(),
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
            device=reserve_device((2 * size) ** 2),
            progress=StageRun("preview").progress,
        )
        file = reserve_counted(filename_prefix, ".png")
        Image.fromarray(np.round(picture * 255).astype(np.uint8)).save(file.path)
        ui = {"images": [file.entry], "character3d_file": [file.entry]}
        return io.NodeOutput(array_to_image(picture), ui=ui)
