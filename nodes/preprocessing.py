"""Stage `preprocessing`: cut the subject out of a picture and frame it."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import comfy.model_management
import torch

from ..pipeline import preprocessing
from ..pipeline.conventions import CUT_OUT_METHODS, PICTURE_VIEWS, SIDE_NAMES
from ..pipeline.errors import PictureError
from ..pipeline.progress import Progress, span_progress
from ..pipeline.types import FloatArray
from .compat import io, make_stage_schema
from .inputs import figure_number_input, further_picture_inputs, subject_mask_input
from .kept_readings import READINGS
from .model_node import ModelNode, fingerprint_files
from .read_picture import FrontPicture, Reading, cut_picture, list_networks, read_front, read_points
from .sockets import (
    FigureSocket,
    PicturesSocket,
    array_to_image,
    array_to_mask,
    image_to_picture,
    mask_to_array,
)
from .stage import StageRun

_TURNED = ("left", "right")
"""Pictures whose figure says which way it faces."""


class PictureNode(ModelNode):
    """A node that looks at pictures with the networks that are installed."""

    @classmethod
    def fingerprint_inputs(cls, method: str = "auto", **inputs: Any) -> str:
        """The networks' files that this run may read."""
        return fingerprint_files(lambda: [network.find_file() for network in list_networks(method, True)])

    @classmethod
    def _load_networks(cls, method: str, needs_prior: bool) -> Mapping[ModuleType, Any]:
        """The models of this run by their network; without a file `auto` does without."""
        networks = list_networks(method, needs_prior)
        files = tuple(network.find_file() for network in networks)
        models: Mapping[ModuleType, Any] = cls.load_models(
            files, lambda: {network: network.load_model() for network in networks}
        )
        return models


class PreprocessPicture(PictureNode):
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
                subject_mask_input(),
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
                    options=list(CUT_OUT_METHODS),
                    default="auto",
                    tooltip="auto: the mask, else the picture's own transparency, else the inside of a line "
                    "drawing's outline, else the first of the networks birefnet, isnet and u2netp that is "
                    "installed, else GrabCut from the border's colors.",
                ),
                figure_number_input(
                    "Which one, if the picture shows several figures: 0 is the leftmost. -1 takes the first "
                    "view of a sheet, else the largest."
                ),
                *further_picture_inputs(),
                io.Combo.Input(
                    "views",
                    options=list(PICTURE_VIEWS),
                    default=PICTURE_VIEWS[0],
                    optional=True,
                    tooltip="Of a picture that shows several views of one character. auto: all are used, "
                    "each for its side. front: one of them alone.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The framed character."),
                io.Mask.Output(display_name="mask", tooltip="White where the character is."),
                FigureSocket.Output(display_name="figure", tooltip="Kind, landmarks, head and parts."),
                PicturesSocket.Output(
                    display_name="pictures", tooltip="The pictures from other sides, at the front's scale."
                ),
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
        figure: int = -1,
        views: str = PICTURE_VIEWS[0],
        **sides: torch.Tensor | None,
    ) -> io.NodeOutput:
        """IMAGE (B, H, W, 3 or 4), MASK (B, H, W) -> IMAGE (1, S, S, 3), MASK (1, S, S), C3D_FIGURE.

        For each of `sides` as well; they become C3D_PICTURES.
        """
        run, further = StageRun("preprocessing"), _read_sides(sides)
        given = None if mask is None else mask_to_array(mask)
        front = FrontPicture(
            image_to_picture(image), given, figure, views, mesh_input_size, outline_size, method
        )
        needs = any(preprocessing.needs_prior(*item, method) for item in (front[:2], *further.values()))
        models = cls._load_networks(method, needs)
        share = 0.9 / (1 + len(further))
        framed, read, seen = _read_once(front, models, span_progress(run.progress, 0, share))
        options: dict[str, Any] = {"size": mesh_input_size, "outline": outline_size, "method": method}
        framed_sides = {name: view.picture for name, view in seen.items()}
        figures = {name: view.figure for name, view in seen.items()}
        for number, (name, (side, its_mask)) in enumerate(further.items(), start=1):
            options["progress"] = span_progress(run.progress, number * share, (number + 1) * share)
            framed_sides[name] = cut = cut_picture(side, models, mask=its_mask, **options)
            if name in _TURNED:
                figures[name] = preprocessing.read_figure.read_figure(cut, *read_points(cut, models))
        pictures = preprocessing.bring_together(framed, framed_sides, figures)
        if pictures.sides.keys() & set(_TURNED):
            read = preprocessing.measure_depths(read, figures.values())
        return io.NodeOutput(
            array_to_image(preprocessing.composite_on_gray(framed.rgba)),
            array_to_mask(framed.rgba[..., 3]),
            read,
            pictures,
            ui=run.finish(
                framed.method, [*read.warnings, *pictures.notes], {**framed.metrics, **read.metrics}
            ),
        )


def _read_once(front: FrontPicture, models: Mapping[ModuleType, Any], progress: Progress) -> Reading:
    """What a check has read in a front, or is reading, else what is read now."""
    key = front.identify(front.list_networks(), comfy.model_management.get_torch_device().type)
    return READINGS.take(key, progress) or read_front(front, models, progress)


def _read_sides(
    sides: Mapping[str, torch.Tensor | None],
) -> dict[str, tuple[FloatArray, FloatArray | None]]:
    """The further pictures that are connected, each with its mask."""
    read = {}
    for name in SIDE_NAMES:
        image, mask = sides.get(name), sides.get(f"{name}_mask")
        if image is None and mask is not None:
            raise PictureError(f"expected {name} and {name}_mask together, found only the mask")
        if image is not None:
            read[name] = image_to_picture(image), None if mask is None else mask_to_array(mask)
    return read
