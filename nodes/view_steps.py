"""Stage `generating_multiview_texture` step by step, around ComfyUI's own loaders and its KSampler."""

from __future__ import annotations

from typing import Any

import torch

from ..backends import mv_adapter
from ..pipeline import generating_multiview_texture as multiview
from ..pipeline.cameras import build_six_view_rig
from ..pipeline.conventions import VIEW_NAMES
from ..pipeline.errors import PictureError
from .compat import CameraSocket, io, make_schema
from .core_cameras import camera_to_core
from .inputs import adapter_input, mesh_input, picture_inputs, view_size_input
from .model_node import ModelNode, fingerprint_files
from .sockets import array_to_image, array_to_mask, socket_to_surfaces, sockets_to_framed, surface_to_mesh
from .stage import StageRun, reserve_device

_CATEGORY = "character3d/3 multiview texture"


def _check_maps(position: torch.Tensor, normal: torch.Tensor) -> None:
    shape = (len(VIEW_NAMES), *position.shape[2:3] * 2, 3)
    if position.shape != normal.shape or tuple(position.shape) != shape or position.shape[1] % 64:
        raise PictureError(
            f"expected position and normal maps of six square views from Render View Maps, their side a "
            f"multiple of 64; found {tuple(position.shape)} and {tuple(normal.shape)}"
        )


class RenderViewMaps(io.ComfyNode):
    """Renders position and normal maps of the mesh from six cameras, for texture models that need them."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DRenderViewMaps",
            display_name="Render View Maps",
            category=_CATEGORY,
            description=f"Position, normal and mask of the mesh from six sides: {', '.join(VIEW_NAMES)}.",
            search_aliases=["position map", "normal map", "render mesh"],
            inputs=[mesh_input("mesh", "The mesh to look at."), view_size_input()],
            outputs=[
                io.Image.Output(
                    display_name="position",
                    tooltip="Position in MV-Adapter's frame (x right, y back, z up), 0..1 per axis.",
                    is_output_list=True,
                ),
                io.Image.Output(
                    display_name="normal",
                    tooltip="Normal in that frame, -1..1 as 0..1 per axis.",
                    is_output_list=True,
                ),
                io.Mask.Output(display_name="mask", tooltip="White where the mesh is.", is_output_list=True),
                CameraSocket.Output(
                    display_name="cameras",
                    tooltip="The six cameras, one after the other, for core's Render Mesh and Preview 3D.",
                    is_output_list=True,
                ),
            ],
        )

    @classmethod
    def execute(cls, mesh: Any, image_size: int) -> io.NodeOutput:
        """Mesh -> IMAGE (6, S, S, 3), IMAGE (6, S, S, 3), MASK (6, S, S), 6 cameras, for each of a batch."""
        side, found, cameras = int(image_size), [], []
        for surface in socket_to_surfaces(mesh):
            run, shape = StageRun("generating_multiview_texture"), surface_to_mesh(surface)
            rig, device = build_six_view_rig(shape), reserve_device(side**2)
            maps = multiview.render_view_maps(shape, rig, side, device=device, progress=run.progress)
            position, normal = multiview.maps_to_condition(maps)
            found.append((array_to_image(position), array_to_image(normal), array_to_mask(maps.mask)))
            cameras += [camera_to_core(camera) for camera in rig.cameras]
        return io.NodeOutput(*(list(column) for column in zip(*found, strict=True)), cameras)


class ApplyIG2MV(ModelNode):
    """Patches an SDXL model to paint six views of one mesh from one picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DApplyIG2MV",
            display_name="Apply IG2MV (MV-Adapter)",
            category=_CATEGORY,
            description="Patches any SDXL model with MV-Adapter's image and geometry to multi-view adapter. "
            "Sample the latent with KSampler: euler, ddim_uniform.",
            search_aliases=["mv-adapter", "multiview", "ig2mv", "texture"],
            inputs=[
                io.Model.Input("model", tooltip="An SDXL model, with LoRAs or without."),
                io.Vae.Input("vae", tooltip="Its VAE."),
                adapter_input(),
                *picture_inputs(),
                io.Image.Input("position", tooltip="Position maps from Render View Maps."),
                io.Image.Input("normal", tooltip="Normal maps from Render View Maps."),
            ],
            outputs=[
                io.Model.Output(display_name="patched", tooltip="The model, which now samples six views."),
                io.Latent.Output(display_name="latent", tooltip="An empty latent of six views."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, adapter: str, **inputs: Any) -> str:
        """The file that this run reads."""
        return fingerprint_files(lambda: [mv_adapter.find_adapter(adapter)])

    @classmethod
    def execute(
        cls,
        model: Any,
        vae: Any,
        adapter: str,
        image: torch.Tensor,
        mask: torch.Tensor,
        position: torch.Tensor,
        normal: torch.Tensor,
    ) -> io.NodeOutput:
        """MODEL, VAE, IMAGE (1, S, S, 3), MASK (1, S, S), 2 IMAGE (6, V, V, 3) -> MODEL, LATENT."""
        _check_maps(position, normal)
        weights = cls.load_models(
            mv_adapter.find_adapter(adapter), lambda: mv_adapter.load_adapter(adapter, model)
        )
        size = position.shape[1]
        reference = multiview.frame_reference(sockets_to_framed(image, mask), size)
        latent = mv_adapter.encode_reference(vae, array_to_image(reference))
        patched = mv_adapter.apply_ig2mv(model, weights, latent, mv_adapter.stack_maps(position, normal))
        return io.NodeOutput(patched, {"samples": mv_adapter.empty_latent(size)})
