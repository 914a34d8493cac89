"""Take the light out of the front picture, before it is projected or shown to a model."""

from __future__ import annotations

from typing import Any

import torch

from ..pipeline import generating_multiview_texture as multiview
from .compat import io, make_schema
from .inputs import mesh_input, picture_inputs
from .sockets import array_to_image, array_to_mask, socket_to_mesh, sockets_to_framed
from .stage import reserve_device

_UNLIT = "no light was found in the picture; it stays as it is"


class DelightPicture(io.ComfyNode):
    """Estimates the colors of a shaded picture without its light."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DDelightPicture",
            display_name="De-light Picture",
            category="character3d/3 multiview texture",
            description="Takes shading and shadows out of the framed picture, so that the texture has the "
            "colors of the surface alone. Flat drawings stay as they are.",
            search_aliases=["delight", "albedo", "remove shading", "intrinsic image", "retinex"],
            inputs=[
                *picture_inputs(),
                mesh_input(
                    "mesh", "The mesh made from the picture: its normals say where light can come from."
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="image", tooltip="The picture in even light, for Generate Views."
                ),
                io.Mask.Output(display_name="shading", tooltip="The light that was divided out, linear."),
            ],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, mask: torch.Tensor, mesh: Any) -> io.NodeOutput:
        """IMAGE (1, S, S, 3), MASK (1, S, S), mesh -> IMAGE (1, S, S, 3), MASK (1, S, S)."""
        picture, shape = sockets_to_framed(image, mask), socket_to_mesh(mesh)
        found = multiview.delight_picture(picture, shape, device=reserve_device(len(picture.rgba) ** 2))
        said = f"certainty that the picture was lit: {found.certainty:.0%}" if found.certainty else _UNLIT
        return io.NodeOutput(
            array_to_image(found.color), array_to_mask(found.shading.clip(0, 1)), ui={"text": [said]}
        )
