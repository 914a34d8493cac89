"""Encoding pictures as the conditioning of the diffusion model."""

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
"""In the order that multiview models expect; left is the character's left side."""

_SIDE = 518
_BORDER = 0.15
"""Empty border that all Hunyuan3D models were trained with, as a fraction of the picture's side."""


def picture_to_image(picture: FramedPicture) -> torch.Tensor:
    """Place the subject on white with the border that the models expect: (1, 518, 518, 3) float32."""
    outline = round(_SIDE * _BORDER / 2)
    rgba = frame_subject(picture.rgba[..., :3], picture.rgba[..., 3], _SIDE, outline)
    alpha = rgba[..., 3:]
    return torch.from_numpy((rgba[..., :3] * alpha + (1.0 - alpha)).astype(np.float32))[None]


def encode_pictures(
    shape: ShapeModel, pictures: Mapping[str, FramedPicture], guidance_scale: float
) -> tuple[Any, Any]:
    """Encode pictures, keyed by view name, as positive and negative CONDITIONING.

    For a multiview model each picture's tokens carry an embedding of its view. PictureError if a
    single-picture model is given views other than the front.
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
    """Encode one picture as tokens (1, T, D). place: index of its view in VIEWS."""
    tokens = shape.image_encoder.encode_image(picture_to_image(picture))["last_hidden_state"]
    if not shape.traits.multiview:
        return tokens
    embedding = get_1d_sincos_pos_embed_from_grid_torch(tokens.shape[-1], torch.arange(len(VIEWS)))[place]
    return tokens + embedding.to(tokens)
