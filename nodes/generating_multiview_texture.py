"""Stage `generating_multiview_texture`: from mesh and picture to six views."""

from __future__ import annotations

from typing import Any

import torch

from ..backends import mv_adapter
from ..backends.installed import list_installed_adapters
from ..backends.weight_files import WeightsFile
from ..pipeline import generating_multiview_texture as multiview
from ..pipeline.cameras import build_six_view_rig
from ..pipeline.conventions import VIEW_NAMES
from ..pipeline.figure import Figure
from ..pipeline.progress import span_progress
from ..pipeline.types import PictureSet
from .compat import io, make_stage_schema
from .inputs import (
    figure_input,
    mesh_input,
    method_input,
    picture_inputs,
    pictures_input,
    seed_input,
    view_size_input,
)
from .model_node import ModelNode, fingerprint_files
from .sockets import array_to_image, array_to_mask, socket_to_mesh, sockets_to_framed
from .stage import StageRun, choose_method, reserve_device
from .unwrapped import find_baked_size, unwrap_beside

_METHODS = ("ig2mv", "projection")
_VIEWS = ", ".join(VIEW_NAMES)
_MODEL_INPUTS = ("prompt", "negative_prompt", "steps", "cfg_scale", "model_name")
_CHECKPOINT = ("model", "clip", "vae")
"""Inputs that take the place of model_name, once all three are connected."""


def _choose(method: str, model_name: str, is_connected: bool) -> str:
    """Resolve `auto` by the weights that are on disk or connected."""
    has_base = is_connected or model_name in mv_adapter.list_checkpoints()
    ready = _METHODS if has_base and list_installed_adapters() else _METHODS[1:]
    return choose_method(method, _METHODS, ready)


def _find_files(model_name: str, is_connected: bool) -> tuple[WeightsFile, ...]:
    """The files that ig2mv reads."""
    return (
        (mv_adapter.find_adapter(),)
        if is_connected
        else (mv_adapter.find_checkpoint(model_name), mv_adapter.find_adapter())
    )


def _load(model_name: str) -> tuple[mv_adapter.BaseModel, Any]:
    """The checkpoint, and the adapter for it."""
    base = mv_adapter.load_base(model_name)
    return base, mv_adapter.load_adapter("auto", base.model)


def _read_connected(inputs: dict[str, Any]) -> mv_adapter.BaseModel | None:
    """Take the connected checkpoint out of `inputs`. ValueError if only part of it is connected."""
    parts = {name: inputs.pop(name) for name in _CHECKPOINT if inputs.get(name) is not None}
    missing = [name for name in _CHECKPOINT if name not in parts]
    if parts and missing:
        raise ValueError(f"expected model, clip and vae together; found no {' and no '.join(missing)}")
    return mv_adapter.BaseModel(**parts) if parts else None


def _checkpoint_inputs() -> list[io.Input]:
    tip = "{} of an SDXL checkpoint that is loaded elsewhere in the graph, in place of model_name."
    kinds = (io.Model, io.Clip, io.Vae)
    return [
        kind.Input(name, optional=True, lazy=True, tooltip=tip.format(kind.io_type))
        for name, kind in zip(_CHECKPOINT, kinds, strict=True)
    ]


class GenerateViews(ModelNode):
    """Generates six views of the character from its mesh and its picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        unused = "projection ignores it."
        return make_stage_schema(
            node_id="C3DGenerateViews",
            display_name="Generate Views",
            category="character3d/3 multiview texture",
            description=f"Six orthographic views of the character: {_VIEWS}. Paint over them and bake again.",
            search_aliases=["multiview", "texture"],
            inputs=[
                mesh_input("mesh", "The mesh to texture."),
                *picture_inputs(),
                figure_input(
                    "What was read in the picture: head and trunk, for their backs. Projection uses it."
                ),
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
                *_checkpoint_inputs(),
                pictures_input("Pictures from other sides, from Preprocess Picture: each becomes its view."),
            ],
            outputs=[
                io.Image.Output(display_name="views", tooltip=f"Six images: {_VIEWS}."),
                io.Mask.Output(display_name="masks", tooltip="White where the character is, per view."),
            ],
            hidden=[io.Hidden.prompt],
        )

    @classmethod
    def fingerprint_inputs(cls, method: str, model_name: str, **inputs: Any) -> str:
        """The weight files that this run reads; nothing for projection."""
        is_connected = "model" in inputs
        if _choose(method, model_name, is_connected) == "projection":
            return ""
        return fingerprint_files(lambda: _find_files(model_name, is_connected))

    @classmethod
    def check_lazy_status(cls, method: str, model_name: str, **inputs: Any) -> list[str]:
        """The connected checkpoint is loaded only for ig2mv."""
        if _choose(method, model_name, "model" in inputs) == "projection":
            return []
        return [name for name in _CHECKPOINT if name in inputs]

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
        figure: Figure | None = None,
        pictures: PictureSet | None = None,
        **model_inputs: Any,
    ) -> io.NodeOutput:
        """TRIMESH or MESH, IMAGE (1, S, S, 3), MASK (1, S, S) -> IMAGE (6, V, V, 3), MASK (6, V, V)."""
        chosen = _choose(method, model_name, "model" in model_inputs)
        run, shape = StageRun("generating_multiview_texture"), socket_to_mesh(mesh)
        device, rig = reserve_device(int(image_size) ** 2), build_six_view_rig(shape)
        picture = sockets_to_framed(image, mask)
        sides = {} if pictures is None else pictures.sides
        baked_size = find_baked_size(cls.hidden and cls.hidden.prompt, int(image_size))
        with unwrap_beside(shape, texture_size=baked_size, device=device):
            progress = span_progress(run.progress, 0, 0.1)
            maps = multiview.render_view_maps(shape, rig, int(image_size), device=device, progress=progress)
            progress = span_progress(run.progress, 0.1, 1)
            if chosen == "projection":
                cls.release_models()
                views = multiview.synthesize_views(
                    shape,
                    picture,
                    maps,
                    sides=sides,
                    figure=figure,
                    seed=seed,
                    device=device,
                    progress=progress,
                )
                report = run.finish(chosen, views.warnings, views.metrics, _MODEL_INPUTS)
                return io.NodeOutput(array_to_image(views.color), array_to_mask(views.mask), ui=report)
            base, adapter = cls._load_base_and_adapter(model_name, _read_connected(model_inputs))
            color = mv_adapter.generate_views(
                base,
                adapter,
                multiview.frame_reference(picture, int(image_size)),
                multiview.maps_to_condition(maps),
                seed=seed,
                progress=progress,
                **model_inputs,
            )
        shown = multiview.show_pictures(color, picture, sides, maps)
        return io.NodeOutput(array_to_image(shown), array_to_mask(maps.mask), ui=run.finish(chosen))

    @classmethod
    def _load_base_and_adapter(
        cls, model_name: str, connected: mv_adapter.BaseModel | None
    ) -> tuple[mv_adapter.BaseModel, Any]:
        files = _find_files(model_name, connected is not None)
        if connected is None:
            return cls.load_models(files, lambda: _load(model_name))
        return connected, cls.load_models(files, lambda: mv_adapter.load_adapter("auto", connected.model))
