"""The figure in the picture, to look at and to correct by hand."""

from __future__ import annotations

import torch

from ..pipeline.figure import Figure
from ..pipeline.figure.document import correct_figure
from ..pipeline.figure.draw import draw_figure
from .compat import io, make_schema
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
                    tooltip="Landmarks to move, in shares of the picture's side from its upper left corner: "
                    '{"neck": [0.5, 0.31]}.',
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
