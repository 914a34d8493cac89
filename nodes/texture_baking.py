"""Stage `texture_baking`: unwrap a mesh and bake views of it into its material."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ..pipeline import texture_baking
from ..pipeline.cameras import build_six_view_rig
from ..pipeline.conventions import TEXTURE_SIZES, VIEW_NAMES
from ..pipeline.errors import PictureError
from ..pipeline.progress import span_progress
from ..pipeline.types import FloatArray, Mesh, PictureSet, TexturedMesh, ViewImages
from .compat import CameraSocket, io, make_schema, make_stage_schema
from .core_cameras import read_cameras
from .inputs import mesh_input, pictures_input
from .sockets import (
    Trimesh,
    array_to_image,
    array_to_mask,
    image_to_picture,
    mesh_lists,
    mesh_outputs,
    mesh_to_core,
    mesh_to_trimesh,
    socket_to_mesh,
    socket_to_surfaces,
)
from .stage import StageRun, reserve_device
from .unwrapped import unwrap_again

_MESH_TOOLTIP = "The same as core's MESH; it has UVs and texture if this ComfyUI's MESH can hold them."


_NO_VIEWS = (
    ". Connect views and masks of Generate Views, which must not be bypassed, or of Load Views; or connect "
    "cameras, one for each view"
)
_MAPS = {
    "metallic_roughness": "Views of roughness (green) and metalness (blue), as in glTF; linear.",
    "normal": "Views of the surface's normals in the axes of their camera: x right, y up, z towards it, as "
    "core's Render Mesh draws them.",
    "emissive": "Views of the light that the surface gives off.",
}


def _read_views(mesh: Mesh, views: torch.Tensor, masks: torch.Tensor, cameras: Any) -> ViewImages:
    if cameras is None:
        rig, names, advice = build_six_view_rig(mesh), f" ({', '.join(VIEW_NAMES)})", _NO_VIEWS
    else:
        rig, names, advice = read_cameras(cameras, mesh, views.shape[2] / views.shape[1]), "", ""
    if len(views) != len(rig) or len(masks) != len(rig):
        raise PictureError(
            f"views: expected {len(rig)} views and masks{names}, one for each camera; "
            f"found {len(views)} views and {len(masks)} masks{advice}"
        )
    if views.shape[:3] != masks.shape:
        raise PictureError(
            f"masks: expected masks of the views' size; found views {tuple(views.shape[1:3])}, "
            f"masks {tuple(masks.shape[1:])}"
        )
    return ViewImages(rig, _pad_square(views[..., :3]), _pad_square(masks[..., None])[..., 0])


def _pad_square(views: torch.Tensor) -> FloatArray:
    """(N, H, W, C) -> (N, S, S, C), S the longer side, with 0 at both ends of the shorter one."""
    height, width = views.shape[1:3]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    edges = ((0, 0), (top, side - height - top), (left, side - width - left), (0, 0))
    return np.pad(views.cpu().numpy(), edges)


def _crop_views(padded: FloatArray, like: torch.Tensor) -> FloatArray:
    """(N, S, S) -> (N, H, W), what `_pad_square` had of views `like`."""
    height, width = like.shape[1:3]
    top, left = (padded.shape[1] - height) // 2, (padded.shape[2] - width) // 2
    return padded[:, top : top + height, left : left + width]


def _give_back_uvs(textured: TexturedMesh, mesh: Mesh, own: texture_baking.OwnUvs) -> TexturedMesh:
    """The texture on the mesh with its uvs as they were; those in other tiles need a repeated texture."""
    material = textured.material
    if own.is_moved:
        material = replace(material, wrap=("REPEAT", "REPEAT"))
    return TexturedMesh(mesh, material)


def _describe_uvs(own: texture_baking.OwnUvs) -> list[str]:
    if not own.note:
        return []
    if own.uvs is None:
        return [f"the mesh's own uvs could not be kept and it was unwrapped anew: {own.note}"]
    return [f"the mesh's own uvs were kept: {own.note}"]


class BakeTexture(io.ComfyNode):
    """Unwraps the mesh and bakes views of it into its texture and maps."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_stage_schema(
            node_id="C3DBakeTexture",
            display_name="Bake Texture",
            category="character3d/4 texture baking",
            description="Unwraps the mesh, or keeps its UVs, and bakes views of it into one texture, views "
            "of metallic-roughness, normals and light into the maps beside it.",
            search_aliases=["uv unwrap", "project texture", "bake texture from views", "pbr"],
            inputs=[
                mesh_input("mesh", "The mesh that the views were made for."),
                io.Image.Input(
                    "views",
                    tooltip="Six views from Generate Views, painted over or not; or one for each camera.",
                ),
                io.Mask.Input("masks", tooltip="Their masks; where a mask is black, the view is not used."),
                io.Combo.Input(
                    "texture_size",
                    options=["auto", *TEXTURE_SIZES],
                    default="auto",
                    tooltip="Side length of the texture in texels. auto: 1024 for views of up to 768 pixels, "
                    "2048 for views of 1024; more texels would show no more of them.",
                ),
                io.Mask.Input(
                    "weights",
                    optional=True,
                    tooltip="view_weights of an earlier bake, painted over: how much each pixel counts.",
                ),
                io.Boolean.Input(
                    "keep_uvs",
                    default=False,
                    optional=True,
                    tooltip="Bake into the mesh's own UVs. If they cannot be baked, because islands overlap "
                    "or repeat, the mesh is unwrapped all the same and the report says why.",
                ),
                CameraSocket.Input(
                    "cameras",
                    optional=True,
                    tooltip="The cameras that the views were rendered with: core's, one or a list of them. "
                    "Without: the six of Generate Views.",
                ),
                *(io.Image.Input(role, optional=True, tooltip=tip) for role, tip in _MAPS.items()),
                pictures_input("The pictures that Generate Views got: their views count as the front does."),
            ],
            outputs=[
                Trimesh.Output(display_name="trimesh", tooltip="The mesh with UVs and texture."),
                io.Image.Output(display_name="texture", tooltip="The texture atlas."),
                io.Mask.Output(display_name="coverage", tooltip="White where a view saw the texel."),
                io.Mask.Output(
                    display_name="view_weights", tooltip="How much each pixel of each view counted."
                ),
                io.Mesh.Output(display_name="mesh", tooltip=_MESH_TOOLTIP),
            ],
        )

    @classmethod
    def execute(
        cls,
        mesh: Any,
        views: torch.Tensor,
        masks: torch.Tensor,
        texture_size: int | str,
        weights: torch.Tensor | None = None,
        keep_uvs: bool = False,
        cameras: Any = None,
        pictures: PictureSet | None = None,
        **maps: torch.Tensor | None,
    ) -> io.NodeOutput:
        """TRIMESH, IMAGE (N, H, W, 3), MASK (N, H, W) -> TRIMESH, IMAGE (1, T, T, 3), 2 MASK, MESH."""
        run, shape = StageRun("texture_baking"), socket_to_mesh(mesh)
        images = _read_views(shape, views, masks, cameras)
        longest = images.mask.shape[1]
        side = texture_baking.choose_texture_size(longest) if texture_size == "auto" else int(texture_size)
        device = reserve_device(side**2)
        progress = span_progress(run.progress, 0, 0.5)
        own = (
            texture_baking.read_own_uvs(shape, texture_size=side, device=device)
            if keep_uvs
            else texture_baking.OwnUvs(None)
        )
        if own.uvs is None:
            ready = unwrap_again(shape, texture_size=side, device=device, progress=progress)
        else:
            ready = replace(shape, uvs=own.uvs)
        baked = texture_baking.bake_views(
            ready,
            images,
            maps={
                role: _pad_square(own_views[..., :3])
                for role, own_views in maps.items()
                if own_views is not None
            },
            pictured=("front", *(pictures.sides if pictures is not None else ())),
            texture_size=side,
            weights=None if weights is None else _pad_square(weights[..., None])[..., 0],
            device=device,
            progress=span_progress(run.progress, 0.5, 1),
        )
        textured = baked.textured if own.uvs is None else _give_back_uvs(baked.textured, shape, own)
        return io.NodeOutput(
            mesh_to_trimesh(textured),
            array_to_image(textured.material.base_color[..., :3]),
            array_to_mask(baked.coverage),
            array_to_mask(_crop_views(baked.weights, views)),
            mesh_to_core(textured),
            ui=run.finish("projection_bake", [*_describe_uvs(own), *baked.warnings], baked.metrics),
        )


class MergeMaterials(io.ComfyNode):
    """Makes one material with one atlas of several."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DMergeMaterials",
            display_name="Merge Materials",
            category="character3d/4 texture baking",
            description="Makes one material of several: their textures become one atlas, each with as many "
            "texels as it has, and with its tint, alpha and maps.",
            search_aliases=["texture atlas", "bake materials", "combine textures"],
            inputs=[
                mesh_input("mesh", "A mesh with several materials, or with a repeated texture."),
                io.Combo.Input(
                    "texture_size",
                    options=[1024, 2048, 4096],
                    default=2048,
                    tooltip="Largest side of the atlas in texels; it is smaller if the textures fit.",
                ),
            ],
            outputs=mesh_outputs("The mesh with one material.", is_output_list=True),
        )

    @classmethod
    def execute(cls, mesh: Any, texture_size: int) -> io.NodeOutput:
        """TRIMESH, MESH or FILE_3D -> TRIMESH, MESH, one of each for each mesh of a batch."""
        side, meshes = int(texture_size), []
        notes: list[str] = []
        for surface in socket_to_surfaces(mesh):
            merged, said = _merge(surface, side)
            meshes.append(merged)
            notes += said
        return io.NodeOutput(*mesh_lists(meshes), ui={"text": notes})


def _merge(surface: Mesh | TexturedMesh, side: int) -> tuple[Mesh | TexturedMesh, Sequence[str]]:
    if isinstance(surface, Mesh):
        return surface, ["the mesh has no materials"]
    run, device = StageRun("texture_baking"), reserve_device(side**2)
    merged = texture_baking.merge_materials(surface, most_texels=side, device=device, progress=run.progress)
    return merged.textured, merged.notes


class ApplyTexture(io.ComfyNode):
    """Puts an edited texture back onto its mesh."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DApplyTexture",
            display_name="Apply Texture",
            category="character3d/4 texture baking",
            description="Puts an edited texture atlas, painted over or upscaled, onto the unwrapped mesh.",
            search_aliases=["paint texture", "replace texture"],
            inputs=[
                mesh_input("mesh", "The mesh from Bake Texture, or any mesh with UVs."),
                io.Image.Input("texture", tooltip="The atlas, of any size."),
            ],
            outputs=[
                Trimesh.Output(display_name="trimesh", tooltip="The mesh with that texture."),
                io.Mesh.Output(display_name="mesh", tooltip=_MESH_TOOLTIP),
            ],
        )

    @classmethod
    def execute(cls, mesh: Any, texture: torch.Tensor) -> io.NodeOutput:
        """TRIMESH with UVs, IMAGE (1, H, W, 3) -> TRIMESH, MESH."""
        textured = texture_baking.apply_texture(socket_to_mesh(mesh), image_to_picture(texture))
        return io.NodeOutput(mesh_to_trimesh(textured), mesh_to_core(textured))
