"""The figure in the picture: to look at, to correct by hand, and to keep as a file."""

from __future__ import annotations

import json

import torch

from ..pipeline.figure import Figure
from ..pipeline.figure.document import correct_figure, describe_figure
from ..pipeline.figure.draw import draw_figure
from .compat import io, make_schema
from .inputs import job_input, prefix_input
from .output_files import save_counted
from .sockets import FigureSocket, array_to_image, image_to_picture


class EditFigure(io.ComfyNode):
    """Shows what was read in the picture, and moves landmarks that are wrong."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DEditFigure",
            display_name="Edit Figure",
            category="character3d/1 preprocessing",
            description="Draws the landmarks and parts that were read in the picture, and moves wrong ones.",
            search_aliases=["landmarks", "pose", "keypoints", "neck"],
            inputs=[
                io.Image.Input("image", tooltip="Framed picture from Preprocess Picture."),
                FigureSocket.Input("figure", tooltip="Its figure, from Preprocess Picture."),
                io.String.Input(
                    "corrections",
                    default="",
                    multiline=True,
                    tooltip="Landmarks to move, as JSON, in shares of the picture's side from its upper left "
                    "corner; the help page shows how.",
                ),
            ],
            outputs=[
                FigureSocket.Output(display_name="figure", tooltip="The figure with its corrections."),
                io.Image.Output(display_name="preview", tooltip="The picture with the figure drawn over it."),
            ],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, figure: Figure, corrections: str) -> io.NodeOutput:
        """IMAGE (1, S, S, 3), C3D_FIGURE -> C3D_FIGURE, IMAGE (1, S, S, 3)."""
        corrected = correct_figure(figure, corrections)
        drawn = draw_figure(image_to_picture(image)[..., :3], corrected)
        return io.NodeOutput(corrected, array_to_image(drawn))


class SaveFigure(io.ComfyNode):
    """Writes what was read in the picture as JSON."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DSaveFigure",
            display_name="Save Figure (JSON)",
            category="character3d/6 export",
            description="Writes kind, landmarks, boxes and warnings of the figure in the picture as JSON.",
            search_aliases=["landmarks", "pose", "keypoints"],
            is_output_node=True,
            inputs=[
                FigureSocket.Input("figure", tooltip="The figure from Preprocess Picture or Edit Figure."),
                prefix_input("figure"),
                job_input(),
            ],
            outputs=[io.String.Output(display_name="file", tooltip="Path below the output folder.")],
        )

    @classmethod
    def execute(cls, figure: Figure, filename_prefix: str, job_id: str = "") -> io.NodeOutput:
        """C3D_FIGURE -> path below the output folder."""
        text = json.dumps(describe_figure(figure), indent=1)
        file = save_counted(filename_prefix, ".json", lambda _stem: text.encode())
        return io.NodeOutput(file.relative, ui={"character3d_file": [file.entry]})
