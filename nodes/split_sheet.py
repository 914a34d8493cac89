"""The views of a sheet as pictures of their own."""

from __future__ import annotations

from typing import Any

import torch

from ..pipeline import preprocessing
from ..pipeline.errors import PictureError
from ..pipeline.progress import ignore_progress, span_progress
from ..pipeline.types import FloatArray, FramedPicture
from .compat import io, make_stage_schema
from .inputs import figure_number_input, subject_mask_input
from .preprocessing import PictureNode
from .read_picture import cut_views, describe_views, read_view
from .sockets import array_to_image, array_to_mask, image_to_picture, mask_to_array
from .stage import StageRun

VIEWS = ("front", "left", "right", "back")
_READ_SIZE, _READ_OUTLINE = 512, 64
"""At which a view is looked at; the views themselves keep their pixels."""


class SplitSheet(PictureNode):
    """Makes pictures of the views of one character that a sheet shows side by side."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        tip = "The character from {}; nothing if the sheet does not show it."
        seen = ("the front", "its left", "its right", "behind")
        return make_stage_schema(
            node_id="C3DSplitSheet",
            display_name="Split Sheet",
            category="character3d/1 preprocessing",
            description="Cuts the views of a turnaround sheet apart and tells front, back and sides from "
            "each other by what is seen.",
            search_aliases=["turnaround", "character sheet", "model sheet", "three views"],
            inputs=[
                io.Image.Input("image", tooltip="Several views of one character, side by side."),
                subject_mask_input(),
                figure_number_input(
                    "Which view is the front, if another is taken for it: 0 is the leftmost."
                ),
            ],
            outputs=[
                output
                for name, side in zip(VIEWS, seen, strict=True)
                for output in (
                    io.Image.Output(f"{name}_image", display_name=name, tooltip=tip.format(side)),
                    io.Mask.Output(f"{name}_mask", display_name=f"{name}_mask", tooltip="Its mask."),
                )
            ],
        )

    @classmethod
    def execute(
        cls, image: torch.Tensor, mask: torch.Tensor | None = None, figure: int = -1
    ) -> io.NodeOutput:
        """IMAGE (B, H, W, 3 or 4), MASK (B, H, W) -> IMAGE (1, h, w, 3), MASK (1, h, w), four times."""
        run = StageRun("preprocessing")
        picture, given = image_to_picture(image), None if mask is None else mask_to_array(mask)
        models = cls._load_networks("auto", preprocessing.needs_prior(picture, given, "auto"))
        views = cut_views(picture, models, mask=given, progress=span_progress(run.progress, 0, 0.7))
        if figure >= len(views):
            raise PictureError(f"figure is {figure}, but {len(views)} views were found")
        read = []
        for number, view in enumerate(views, start=1):
            read.append(read_view(_frame(view), models))
            run.progress(0.7 + 0.3 * number / len(views))
        names, left_out = preprocessing.name_views(read, None if figure < 0 else figure)
        found = {name: views[number] for name, number in names.items()}
        note = describe_views(len(views), sorted(names.keys() - {"front"}, key=VIEWS.index), left_out)
        return io.NodeOutput(*_list_outputs(found), ui=run.finish("sheet", [note], {"views": len(views)}))


def _frame(view: FloatArray) -> FramedPicture:
    framed = preprocessing.frame_subject(
        view[..., :3], view[..., 3], _READ_SIZE, _READ_OUTLINE, ignore_progress
    )
    return FramedPicture(framed)


def _list_outputs(views: dict[str, FloatArray]) -> list[Any]:
    """Image and mask of each of VIEWS, None where there is none."""
    outputs: list[Any] = []
    for name in VIEWS:
        view = views.get(name)
        if view is None:
            outputs += [None, None]
        else:
            outputs += [array_to_image(view[..., :3]), array_to_mask(view[..., 3])]
    return outputs
