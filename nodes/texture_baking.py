"""Stage `texture_baking`: six views in, a texture atlas on the unwrapped mesh out."""

from __future__ import annotations

from typing import Any

import torch

from ..pipeline.cameras import build_six_view_rig
from ..pipeline.conventions import VIEW_NAMES
from ..pipeline.errors import PictureError
from ..pipeline.progress import span_progress
from ..pipeline.texture import bake_views, unwrap_mesh
from ..pipeline.types import Mesh, ViewImages
from .compat import io, make_schema
from .inputs import mesh_input
from .sockets import Trimesh, array_to_image, array_to_mask, socket_to_mesh, textured_to_trimesh
from .stage import StageRun


def _read_views(mesh: Mesh, views: torch.Tensor, masks: torch.Tensor) -> ViewImages:
    if len(views) != len(VIEW_NAMES) or len(masks) != len(views):
        raise PictureError(
            f"expected {len(VIEW_NAMES)} views and masks ({', '.join(VIEW_NAMES)}); "
            f"found {len(views)} views and {len(masks)} masks"
        )
    return ViewImages(build_six_view_rig(mesh), views[..., :3].cpu().numpy(), masks.cpu().numpy())


class BakeTexture(io.ComfyNode):
    """Unwraps the mesh and bakes its six views into one texture."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DBakeTexture",
            display_name="Bake Texture",
            category="character3d/4 texture baking",
            description="Unwraps the mesh and bakes the six views into one texture.",
            search_aliases=["uv unwrap", "project texture"],
            is_output_node=True,
            inputs=[
                mesh_input("mesh", "The mesh that the views were made for."),
                io.Image.Input("views", tooltip="Six views from Generate Views, painted over or not."),
                io.Mask.Input("masks", tooltip="Their masks; black texels of a view are not used."),
                io.Combo.Input(
                    "texture_size",
                    options=[1024, 2048, 4096],
                    default=2048,
                    tooltip="Side of the texture in texels.",
                ),
            ],
            outputs=[
                Trimesh.Output(display_name="trimesh", tooltip="The mesh with UVs and texture."),
                io.Image.Output(display_name="texture", tooltip="The texture atlas."),
                io.Mask.Output(display_name="coverage", tooltip="White where a view saw the texel."),
            ],
        )

    @classmethod
    def execute(cls, mesh: Any, views: torch.Tensor, masks: torch.Tensor, texture_size: int) -> io.NodeOutput:
        """TRIMESH, IMAGE (6, V, V, 3), MASK (6, V, V) -> TRIMESH, IMAGE (1, T, T, 3), MASK (1, T, T)."""
        run, shape, side = StageRun("texture_baking"), socket_to_mesh(mesh), int(texture_size)
        images = _read_views(shape, views, masks)
        unwrapped = unwrap_mesh(shape, texture_size=side, progress=span_progress(run.progress, 0, 0.5))
        baked = bake_views(unwrapped, images, texture_size=side, progress=span_progress(run.progress, 0.5, 1))
        return io.NodeOutput(
            textured_to_trimesh(baked.textured),
            array_to_image(baked.textured.material.base_color[..., :3]),
            array_to_mask(baked.coverage),
            ui=run.finish("projection_bake", baked.warnings, baked.metrics),
        )
