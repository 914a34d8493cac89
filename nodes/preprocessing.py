"""Stage `preprocessing`: cut the subject out of a picture and frame it."""

from __future__ import annotations

import torch

from ..pipeline.preprocessing import composite_on_gray, preprocess_picture
from .compat import io, make_schema
from .sockets import array_to_image, array_to_mask, image_to_picture, mask_to_array
from .stage import StageRun


class PreprocessPicture(io.ComfyNode):
    """Cuts the subject out of the picture and frames it in a square."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DPreprocessPicture",
            display_name="Preprocess Picture",
            category="character3d/1 preprocessing",
            description="Cuts the character out of the picture, centers it and frames it in a square.",
            search_aliases=["remove background", "cutout", "matting"],
            is_output_node=True,
            inputs=[
                io.Image.Input("image", tooltip="One character: whole body, seen from the front."),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="White where the character is; from any matting node. All white: no mask.",
                ),
                io.Int.Input(
                    "mesh_input_size",
                    default=1024,
                    min=256,
                    max=2048,
                    step=8,
                    tooltip="Side of the framed picture in pixels.",
                ),
                io.Int.Input(
                    "outline_size",
                    default=128,
                    min=0,
                    max=512,
                    tooltip="Empty border around the character, in pixels of the framed picture.",
                ),
                io.Combo.Input(
                    "method",
                    options=["auto", "alpha", "grabcut"],
                    default="auto",
                    tooltip="auto: the mask, else the picture's own transparency, else GrabCut from the "
                    "border's colors.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The framed character."),
                io.Mask.Output(display_name="mask", tooltip="White where the character is."),
            ],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        mesh_input_size: int,
        outline_size: int,
        method: str,
        mask: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        """IMAGE (B, H, W, 3 or 4), MASK (B, H, W) -> IMAGE (1, S, S, 3), MASK (1, S, S)."""
        run = StageRun("preprocessing")
        framed = preprocess_picture(
            image_to_picture(image),
            mask=None if mask is None else mask_to_array(mask),
            size=mesh_input_size,
            outline=outline_size,
            method=method,
            progress=run.progress,
        )
        return io.NodeOutput(
            array_to_image(composite_on_gray(framed.rgba)),
            array_to_mask(framed.rgba[..., 3]),
            ui=run.finish(framed.method, framed.warnings, framed.metrics),
        )
