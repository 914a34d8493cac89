"""Save meshes as GLB, and preview them as shaded PNG pictures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..pipeline import formats, preview
from ..pipeline.progress import span_progress
from .compat import io, make_schema
from .inputs import job_input, mesh_input, prefix_input
from .output_files import OutputFile, model_outputs, save_counted, saved_models
from .sockets import array_to_image, socket_to_surfaces
from .stage import StageRun, reserve_device

_CATEGORY = "character3d/6 export"


def _save_bytes(prefix: str, suffix: str, data: bytes) -> OutputFile:
    return save_counted(prefix, suffix, lambda _stem: data)


class SaveMesh(io.ComfyNode):
    """Writes a mesh, textured or not, as GLB."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DSaveMesh",
            display_name="Save Mesh (GLB)",
            category=_CATEGORY,
            description="Writes the mesh, with its texture when it has one, as binary glTF.",
            search_aliases=["export glb", "save 3d", "save gltf"],
            is_output_node=True,
            inputs=[mesh_input("mesh", "The mesh to save."), prefix_input("3D/Hy3D"), job_input()],
            outputs=model_outputs("GLB", is_output_list=True),
        )

    @classmethod
    def execute(cls, mesh: Any, filename_prefix: str, job_id: str = "") -> io.NodeOutput:
        """TRIMESH or MESH -> paths below the output folder, one for each mesh of a batch."""
        encoded = [formats.encode_glb(surface) for surface in socket_to_surfaces(mesh)]
        return saved_models([_save_bytes(filename_prefix, ".glb", glb) for glb in encoded])


class PreviewMesh(io.ComfyNode):
    """Renders a shaded picture of a mesh."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DPreviewMesh",
            display_name="Preview Mesh (PNG)",
            category=_CATEGORY,
            description="Renders a shaded, framed picture of the mesh and saves it.",
            search_aliases=["render mesh", "thumbnail", "preview 3d"],
            is_output_node=True,
            inputs=[
                mesh_input("mesh", "The mesh to render."),
                io.Int.Input("size", default=768, min=64, max=2048, tooltip="Side of the picture in pixels."),
                io.Float.Input(
                    "azimuth",
                    default=25.0,
                    min=-180.0,
                    max=180.0,
                    tooltip="Camera angle in degrees: 0 is the front, 90 the character's left side.",
                ),
                io.Float.Input(
                    "elevation", default=8.0, min=-90.0, max=90.0, tooltip="Degrees above the horizon."
                ),
                prefix_input("preview_mesh"),
                job_input(),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="The picture, one per mesh.")],
        )

    @classmethod
    def execute(
        cls, mesh: Any, size: int, azimuth: float, elevation: float, filename_prefix: str, job_id: str = ""
    ) -> io.NodeOutput:
        """TRIMESH or MESH -> IMAGE (B, size, size, 4), a picture for each mesh of a batch."""
        surfaces, progress = socket_to_surfaces(mesh), StageRun("preview").progress
        device = reserve_device((2 * size) ** 2)
        pictures = [
            preview.render_preview(
                surface,
                size=size,
                azimuth=math.radians(azimuth),
                elevation=math.radians(elevation),
                device=device,
                progress=span_progress(progress, number / len(surfaces), (number + 1) / len(surfaces)),
            )
            for number, surface in enumerate(surfaces)
        ]
        encoded = [formats.encode_png(picture)[0] for picture in pictures]
        entries = [_save_bytes(filename_prefix, ".png", png).entry for png in encoded]
        ui = {"images": entries, "character3d_file": entries}
        return io.NodeOutput(array_to_image(np.stack(pictures)), ui=ui)
