"""Stage `generating_multiview_texture`: mesh and picture in, six views out."""

from __future__ import annotations

from typing import Any

import torch

from ..pipeline.cameras import build_six_view_rig
from ..pipeline.progress import span_progress
from ..pipeline.views import render_view_maps, synthesize_views
from .compat import io, make_schema
from .inputs import mesh_input, method_input, picture_inputs, seed_input
from .sockets import array_to_image, array_to_mask, socket_to_mesh, sockets_to_framed
from .stage import StageRun, choose_method

_METHODS = ("projection",)
_VIEW_SIZES = (512, 768, 1024)
_VIEWS = "front, right, back, left, top, bottom"


def _size_input() -> io.Input:
    return io.Combo.Input(
        "image_size", options=list(_VIEW_SIZES), default=768, tooltip="Side of each view in pixels."
    )


class RenderViewMaps(io.ComfyNode):
    """Renders what the six cameras see of the mesh, for texture models that want maps."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DRenderViewMaps",
            display_name="Render View Maps",
            category="character3d/3 multiview texture",
            description=f"Position, normal and mask of the mesh from six sides: {_VIEWS}.",
            inputs=[mesh_input("mesh", "The mesh to look at."), _size_input()],
            outputs=[
                io.Image.Output(
                    display_name="position",
                    tooltip="Position in the cameras' cube, 0..1 per axis.",
                ),
                io.Image.Output(display_name="normal", tooltip="Normal, -1..1 mapped to 0..1 per axis."),
                io.Mask.Output(display_name="mask", tooltip="White where the mesh is."),
            ],
        )

    @classmethod
    def execute(cls, mesh: Any, image_size: int) -> io.NodeOutput:
        """TRIMESH -> IMAGE (6, S, S, 3), IMAGE (6, S, S, 3), MASK (6, S, S)."""
        run, shape = StageRun("generating_multiview_texture"), socket_to_mesh(mesh)
        rig = build_six_view_rig(shape)
        maps = render_view_maps(shape, rig, int(image_size), progress=run.progress)
        camera, inside = rig.cameras[0], maps.mask[..., None]
        position = (maps.position - camera.target) / (2 * camera.half_extent) + 0.5
        return io.NodeOutput(
            array_to_image(position * inside),
            array_to_image((maps.normal * 0.5 + 0.5) * inside),
            array_to_mask(maps.mask),
        )


class GenerateViews(io.ComfyNode):
    """Makes the character's six views from its mesh and its picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        unused = "The projection method ignores it."
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
                _size_input(),
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
                    tooltip=f"Checkpoint of a texture model. {unused}",
                ),
                seed_input("Seed of everything random in the views."),
            ],
            outputs=[
                io.Image.Output(display_name="views", tooltip=f"Six images: {_VIEWS}."),
                io.Mask.Output(display_name="masks", tooltip="White where the character is, per view."),
            ],
        )

    @classmethod
    def execute(
        cls,
        mesh: Any,
        image: torch.Tensor,
        mask: torch.Tensor,
        method: str,
        image_size: int,
        seed: int,
        **unused: object,
    ) -> io.NodeOutput:
        """TRIMESH, IMAGE (1, S, S, 3), MASK (1, S, S) -> IMAGE (6, V, V, 3), MASK (6, V, V)."""
        chosen = choose_method(method, _METHODS)
        run, shape = StageRun("generating_multiview_texture"), socket_to_mesh(mesh)
        maps = render_view_maps(
            shape, build_six_view_rig(shape), int(image_size), progress=span_progress(run.progress, 0, 0.2)
        )
        picture, progress = sockets_to_framed(image, mask), span_progress(run.progress, 0.2, 1)
        views = synthesize_views(shape, picture, maps, seed=seed, progress=progress)
        return io.NodeOutput(
            array_to_image(views.color),
            array_to_mask(views.mask),
            ui=run.finish(chosen, views.warnings, views.metrics, sorted(unused)),
        )
