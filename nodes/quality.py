"""How good a finished character is: the node Quality Report."""

from __future__ import annotations

import json
from typing import Any

import torch

from ..pipeline import quality
from ..pipeline.figure import Figure
from ..pipeline.types import PictureSet, RiggedCharacter, TexturedMesh
from .compat import io, make_schema
from .inputs import figure_input, job_input, mesh_input, pictures_input, prefix_input
from .output_files import save_counted
from .sockets import Character, mask_to_array, socket_to_surface, sockets_to_framed
from .surfaces import make_textured


class ReportQuality(io.ComfyNode):
    """Measures a finished character, and says what was guessed and what to look at."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DReportQuality",
            display_name="Quality Report",
            category="character3d/6 export",
            description="Measures mesh, texture and rig against the picture, says what was guessed and what "
            "to look at, and writes all of it as JSON.",
            search_aliases=["quality", "report", "iou", "texel density", "stretch"],
            is_output_node=True,
            inputs=[
                mesh_input("mesh", "The textured mesh from Bake Texture."),
                prefix_input("report"),
                io.Image.Input("image", optional=True, tooltip="Framed picture from Preprocess Picture."),
                io.Mask.Input("mask", optional=True, tooltip="Its mask: white where the character is."),
                figure_input("What was read in the picture."),
                pictures_input("Pictures of the character from other sides, from Preprocess Picture."),
                io.Mask.Input("coverage", optional=True, tooltip="coverage from Bake Texture."),
                Character.Input("character", optional=True, tooltip="The same mesh from Rig Character."),
                job_input(),
            ],
            outputs=[
                io.String.Output(display_name="report", tooltip="All that was measured, as JSON."),
                io.String.Output(display_name="file", tooltip="Path below the output folder."),
            ],
        )

    @classmethod
    def execute(
        cls,
        mesh: Any,
        filename_prefix: str,
        image: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        figure: Figure | None = None,
        pictures: PictureSet | None = None,
        coverage: torch.Tensor | None = None,
        character: RiggedCharacter | None = None,
        job_id: str = "",
    ) -> io.NodeOutput:
        """TRIMESH or MESH, and what it was made from -> STRING, path below the output folder."""
        if (image is None) != (mask is None):
            raise ValueError("image, mask: expected both or neither, found only one of them")
        surface = socket_to_surface(mesh)
        if not isinstance(surface, TexturedMesh):  # Bake Texture is bypassed: there is no bake to be covered
            coverage = None
        report = quality.report_quality(
            make_textured(surface),
            picture=None if image is None or mask is None else sockets_to_framed(image, mask),
            figure=figure,
            pictures=pictures,
            coverage=None if coverage is None else mask_to_array(coverage),
            character=character,
        )
        text = json.dumps(report.to_dict(), indent=1, ensure_ascii=False)
        file = save_counted(filename_prefix, ".json", lambda _stem: text.encode())
        ui = {"character3d_file": [file.entry], "text": describe_report(report)}
        return io.NodeOutput(text, file.relative, ui=ui)


def describe_report(report: quality.QualityReport) -> list[str]:
    """The report in sentences: what was measured, each warning, each guess."""
    shape, texture, rig = report.shape, report.texture, report.rig
    sizes = ", ".join(f"{width} × {height}" for width, height in texture.sizes.values())
    lines = [f"{shape.triangles:,} triangles, textures {sizes}, {texture.texels_per_meter:,.0f} texels/m"]
    if shape.silhouette_iou is not None:
        lines.append(f"outline as in the picture: {shape.silhouette_iou:.0%}")
    if texture.unseen_share is not None:
        lines.append(f"seen in no view: {texture.unseen_share:.0%}")
    if texture.seam_error is not None:
        lines.append(f"color differs where charts meet by {texture.seam_error:.1%}")
    if rig is not None:
        stretch = "" if rig.stretch is None else f", stretches {rig.stretch:.1f} times in motion"
        lines.append(f"{rig.joints} joints{stretch}")
    lines += [f"⚠ {warning.message}. {warning.advice}" for warning in report.warnings]
    return lines + [f"guessed: {guess}" for guess in report.guessed]
