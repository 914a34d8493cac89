"""Stage `preprocessing`: cut the subject out of a picture and frame it."""

from __future__ import annotations

from typing import Any

import torch

from ..backends import u2net
from ..pipeline.preprocessing import composite_on_gray, needs_prior, preprocess_picture
from ..pipeline.types import FloatArray
from .compat import io, make_schema
from .model_node import ModelNode, fingerprint_files
from .sockets import array_to_image, array_to_mask, image_to_picture, mask_to_array
from .stage import StageRun


class PreprocessPicture(ModelNode):
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
                    options=["auto", "alpha", "u2netp", "grabcut"],
                    default="auto",
                    tooltip="auto: the mask, else the picture's own transparency, else the network u2netp "
                    "where it is installed, else GrabCut from the border's colors.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The framed character."),
                io.Mask.Output(display_name="mask", tooltip="White where the character is."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, method: str, **inputs: Any) -> str:
        """The network's file, where this run may read it."""
        return fingerprint_files(lambda: [u2net.find_file()]) if method in ("auto", "u2netp") else ""

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
        picture, given = image_to_picture(image), None if mask is None else mask_to_array(mask)
        framed = preprocess_picture(
            picture,
            mask=given,
            prior=cls._predict_prior(picture, given, method),
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

    @classmethod
    def _predict_prior(cls, picture: FloatArray, mask: FloatArray | None, method: str) -> FloatArray | None:
        """The network's mask, if this run needs one; None where `auto` has to do without its file."""
        if not needs_prior(picture, mask, method) or (method == "auto" and not u2net.is_installed()):
            cls.release_models()
            return None
        model = cls.load_models(u2net.find_file(), u2net.load_model)
        return u2net.predict_mask(model, picture[..., :3])
