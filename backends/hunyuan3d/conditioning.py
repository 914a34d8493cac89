"""Pictures to what the diffusion model is conditioned on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from comfy.ldm.modules.diffusionmodules.mmdit import get_1d_sincos_pos_embed_from_grid_torch

from ...pipeline.errors import PictureError
from ...pipeline.preprocessing import frame_subject
from ...pipeline.types import FramedPicture
from .loading import ShapeModel

VIEWS = ("front", "left", "back", "right")
"""In the order of the multiview models; left is the character's left side."""

_SIDE = 518
_BORDER = 0.15
"""Of the picture's side, the empty border that all Hunyuan3D models were trained with."""


def picture_to_image(picture: FramedPicture) -> torch.Tensor:
    """The subject on white, (1, 518, 518, 3) float32, with the border that the models expect."""
    outline = round(_SIDE * _BORDER / 2)
    rgba = frame_subject(picture.rgba[..., :3], picture.rgba[..., 3], _SIDE, outline)
    alpha = rgba[..., 3:]
    return torch.from_numpy((rgba[..., :3] * alpha + (1.0 - alpha)).astype(np.float32))[None]


def encode_pictures(
    shape: ShapeModel, pictures: Mapping[str, FramedPicture], guidance_scale: float
) -> tuple[Any, Any]:
    """Encode the pictures, by view name, to positive and negative CONDITIONING.

    A multiview model marks each picture's tokens with its view. PictureError: other views than the front
    for a model that takes one picture.
    """
    if not shape.traits.multiview and set(pictures) != {"front"}:
        others = ", ".join(sorted(set(pictures) - {"front"}))
        raise PictureError(
            f"{shape.name} takes one picture, from the front; found {others} as well. A multiview model "
            f"(2mv, a file with 'mv' in its name) takes them"
        )
    tokens = [
        encode_view(shape, pictures[view], place) for place, view in enumerate(VIEWS) if view in pictures
    ]
    embeds = torch.cat(tokens, dim=1)
    options = {"guidance": guidance_scale}
    return [[embeds, options]], [[torch.zeros_like(embeds), dict(options)]]


def encode_view(shape: ShapeModel, picture: FramedPicture, place: int) -> torch.Tensor:
    """Tokens (1, T, D) of one picture."""
    tokens = shape.image_encoder.encode_image(picture_to_image(picture))["last_hidden_state"]
    if not shape.traits.multiview:
        return tokens
    mark = get_1d_sincos_pos_embed_from_grid_torch(tokens.shape[-1], torch.arange(len(VIEWS)))[place]
    return tokens + mark.to(tokens)
