"""A correction of ComfyUI's Hunyuan3D 2.1, which runs only on pairs of one with and one without guidance.

ComfyUI's forward splits its batch in halves and exchanges the conditions of the two. That is right for one
shape whose two passes share a batch. With guidance 1 there is only one pass, and with little memory the two
run apart: then it raises, or conditions each shape on another's picture.
"""

from __future__ import annotations

import functools
from typing import Any

import torch

_FORWARD = "diffusion_model.forward"


def allow_any_batch(model: Any) -> Any:
    """Make a MODEL of Hunyuan3D 2.1 treat each entry of its batch by itself; others stay as they are."""
    if model.model.model_config.unet_config["image_model"] == "hunyuan3d2_1":
        model.add_object_patch(_FORWARD, functools.partial(_forward, model.model.diffusion_model))
    return model


def _forward(
    dit: Any, x: torch.Tensor, t: torch.Tensor, context: torch.Tensor, **unused: Any
) -> torch.Tensor:
    """x (B, C, N), t (B,) noise level 0..1, context (B, T, D) -> (B, C, N), ComfyUI's sign of the velocity.

    The blocks form a U: each of the second half takes its mirror image's output as well.
    """
    tokens = dit.x_embedder(x.movedim(-1, -2))
    time = dit.t_embedder(1.0 - t, condition=None)
    tokens = torch.cat([time, tokens], dim=1)
    skips: list[torch.Tensor] = []
    for number, block in enumerate(dit.blocks):
        skip = skips.pop() if number > dit.depth // 2 else None
        tokens = block(tokens, time, context, skip_tensor=skip)
        if number < dit.depth // 2:
            skips.append(tokens)
    return -dit.final_layer(tokens).movedim(-2, -1)
