"""Stage `preprocessing`: cut the subject out of a picture and frame it."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import torch

from ..pipeline.preprocessing import METHODS, composite_on_gray, needs_prior
from ..pipeline.progress import span_progress
from .compat import io, make_stage_schema
from .model_node import ModelNode, fingerprint_files
from .read_picture import list_networks, read_picture
from .sockets import FigureSocket, array_to_image, array_to_mask, image_to_picture, mask_to_array
from .stage import StageRun


class PreprocessPicture(ModelNode):
    """Cuts the subject out of the picture and frames it in a square."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_stage_schema(
            node_id="C3DPreprocessPicture",
            display_name="Preprocess Picture",
            category="character3d/1 preprocessing",
            description="Cuts the character out of the picture, centers it and frames it in a square.",
            search_aliases=["remove background", "cutout", "matting"],
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
                    options=list(METHODS),
                    default="auto",
                    tooltip="auto: the mask, else the picture's own transparency, else the inside of a line "
                    "drawing's outline, else the first of the networks birefnet, isnet and u2netp that is "
                    "installed, else GrabCut from the border's colors.",
                ),
                io.Int.Input(
                    "figure",
                    default=-1,
                    min=-1,
                    max=99,
                    optional=True,
                    tooltip="Which one, if the picture shows several figures: 0 is the leftmost. -1 takes "
                    "the first view of a sheet, else the largest.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The framed character."),
                io.Mask.Output(display_name="mask", tooltip="White where the character is."),
                FigureSocket.Output(display_name="figure", tooltip="Kind, landmarks, head and parts."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, method: str, **inputs: Any) -> str:
        """The networks' files that this run may read."""
        return fingerprint_files(lambda: [network.find_file() for network in list_networks(method, True)])

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        mesh_input_size: int,
        outline_size: int,
        method: str,
        mask: torch.Tensor | None = None,
        figure: int = -1,
    ) -> io.NodeOutput:
        """IMAGE (B, H, W, 3 or 4), MASK (B, H, W) -> IMAGE (1, S, S, 3), MASK (1, S, S), C3D_FIGURE."""
        run = StageRun("preprocessing")
        picture, given = image_to_picture(image), None if mask is None else mask_to_array(mask)
        models = cls._load_networks(method, needs_prior(picture, given, method))
        framed, read = read_picture(
            picture,
            models,
            mask=given,
            size=mesh_input_size,
            outline=outline_size,
            method=method,
            figure=figure,
            progress=span_progress(run.progress, 0, 0.9),
        )
        return io.NodeOutput(
            array_to_image(composite_on_gray(framed.rgba)),
            array_to_mask(framed.rgba[..., 3]),
            read,
            ui=run.finish(framed.method, read.warnings, {**framed.metrics, **read.metrics}),
        )

    @classmethod
    def _load_networks(cls, method: str, needs_prior: bool) -> Mapping[ModuleType, Any]:
        """The models of this run by their network; without a file `auto` does without."""
        networks = list_networks(method, needs_prior)
        files = tuple(network.find_file() for network in networks)
        models: Mapping[ModuleType, Any] = cls.load_models(
            files, lambda: {network: network.load_model() for network in networks}
        )
        return models
