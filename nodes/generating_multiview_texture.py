"""Stage `generating_multiview_texture`: mesh and picture in, six views out."""

from __future__ import annotations

from typing import Any

import torch

from ..backends.mv_adapter import generate_views, list_checkpoints, list_installed_adapters, load_base
from ..pipeline.cameras import build_six_view_rig
from ..pipeline.conventions import VIEW_NAMES
from ..pipeline.generating_multiview_texture import (
    frame_reference,
    maps_to_condition,
    render_view_maps,
    synthesize_views,
)
from ..pipeline.progress import span_progress
from .compat import io, make_schema
from .inputs import mesh_input, method_input, picture_inputs, seed_input, view_size_input
from .sockets import array_to_image, array_to_mask, socket_to_mesh, sockets_to_framed
from .stage import StageRun, choose_method, reserve_device

_METHODS = ("ig2mv", "projection")
_VIEWS = ", ".join(VIEW_NAMES)
_OF_THE_MODEL = ("prompt", "negative_prompt", "steps", "cfg_scale", "model_name")


def _list_ready(model_name: str) -> tuple[str, ...]:
    """The methods whose weights are on disk, best first."""
    return _METHODS if list_installed_adapters() and model_name in list_checkpoints() else _METHODS[1:]


class GenerateViews(io.ComfyNode):
    """Makes the character's six views from its mesh and its picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        unused = "projection ignores it."
        return make_schema(
            node_id="C3DGenerateViews",
            display_name="Generate Views",
            category="character3d/3 multiview texture",
            description=f"Six orthographic views of the character: {_VIEWS}. Paint over them and bake again.",
            search_aliases=["multiview", "texture"],
            is_output_node=True,
            inputs=[
                mesh_input("mesh", "The mesh to texture."),
                *picture_inputs(),
                method_input(_METHODS, "projection"),
                view_size_input(),
                io.String.Input(
                    "prompt",
                    default="Highly Detailed",
                    multiline=True,
                    tooltip=f"What a texture model should paint. {unused}",
                ),
                io.String.Input(
                    "negative_prompt",
                    default="watermark, ugly, deformed, noisy, blurry, low contrast",
                    multiline=True,
                    tooltip=f"What a texture model should avoid. {unused}",
                ),
                io.Int.Input(
                    "steps",
                    default=10,
                    min=1,
                    max=100,
                    tooltip=f"Steps of a texture model. {unused}",
                ),
                io.Float.Input(
                    "cfg_scale",
                    default=2.0,
                    min=0.0,
                    max=20.0,
                    step=0.1,
                    tooltip=f"Guidance of a texture model. {unused}",
                ),
                io.String.Input(
                    "model_name",
                    default="dreamshaper.safetensors",
                    tooltip=f"SDXL file in models/checkpoints that ig2mv paints with. {unused}",
                ),
                seed_input("Seed of everything random in the views."),
            ],
            outputs=[
                io.Image.Output(display_name="views", tooltip=f"Six images: {_VIEWS}."),
                io.Mask.Output(display_name="masks", tooltip="White where the character is, per view."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> str:
        """Weights that were installed since make `auto` run again."""
        return "\n".join((*list_installed_adapters(), *list_checkpoints()))

    @classmethod
    def execute(
        cls,
        mesh: Any,
        image: torch.Tensor,
        mask: torch.Tensor,
        method: str,
        image_size: int,
        model_name: str,
        seed: int,
        **model_inputs: Any,
    ) -> io.NodeOutput:
        """TRIMESH, IMAGE (1, S, S, 3), MASK (1, S, S) -> IMAGE (6, V, V, 3), MASK (6, V, V)."""
        chosen = choose_method(method, _METHODS, _list_ready(model_name))
        run, shape = StageRun("generating_multiview_texture"), socket_to_mesh(mesh)
        device, rig = reserve_device(int(image_size) ** 2), build_six_view_rig(shape)
        progress = span_progress(run.progress, 0, 0.1)
        maps = render_view_maps(shape, rig, int(image_size), device=device, progress=progress)
        picture, progress = sockets_to_framed(image, mask), span_progress(run.progress, 0.1, 1)
        if chosen == "projection":
            views = synthesize_views(shape, picture, maps, seed=seed, device=device, progress=progress)
            report = run.finish(chosen, views.warnings, views.metrics, _OF_THE_MODEL)
            return io.NodeOutput(array_to_image(views.color), array_to_mask(views.mask), ui=report)
        color = generate_views(
            load_base(model_name),
            frame_reference(picture, int(image_size)),
            maps_to_condition(maps),
            seed=seed,
            progress=progress,
            **model_inputs,
        )
        return io.NodeOutput(array_to_image(color), array_to_mask(maps.mask), ui=run.finish(chosen))
