"""Corrections of ComfyUI's Hunyuan3D 2.1.

Its forward splits the batch in halves and exchanges their conditions. That is right for one shape whose two
passes, with and without condition, share a batch. With guidance 1 there is one pass only, and with little
memory the two run apart: then it raises, or conditions each shape on another's picture.

Its time embedding and cross attention cast their inputs to the precision in which the weights are stored.
Where that is not the one computed in (float8 files, half precision on old cards) it raises.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from comfy.ldm.modules.attention import optimized_attention


def correct_model(model: Any) -> Any:
    """Patch a MODEL of Hunyuan3D 2.1 as above; others stay as they are."""
    if model.model.model_config.unet_config["image_model"] == "hunyuan3d2_1":
        dit = model.model.diffusion_model
        model.add_object_patch("diffusion_model.forward", functools.partial(_forward, dit))
        for number, block in enumerate(dit.blocks):
            name = f"diffusion_model.blocks.{number}.attn2.forward"
            model.add_object_patch(name, functools.partial(_attend, block.attn2))
    return model


def _forward(
    dit: Any, x: torch.Tensor, t: torch.Tensor, context: torch.Tensor, **unused: Any
) -> torch.Tensor:
    """x (B, C, N), t (B,) noise level 0..1, context (B, T, D) -> (B, C, N), ComfyUI's sign of the velocity.

    The blocks form a U: each of the second half takes its mirror image's output as well.
    """
    tokens = dit.x_embedder(x.movedim(-1, -2))
    embedder = dit.t_embedder
    time = embedder.mlp(embedder.time_embed(1.0 - t).to(tokens.dtype))[:, None]
    tokens = torch.cat([time, tokens], dim=1)
    skips: list[torch.Tensor] = []
    for number, block in enumerate(dit.blocks):
        skip = skips.pop() if number > dit.depth // 2 else None
        tokens = block(tokens, time, context, skip_tensor=skip)
        if number < dit.depth // 2:
            skips.append(tokens)
    return -dit.final_layer(tokens).movedim(-2, -1)


def _attend(attention: Any, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
    """x (B, N, C) attends to context (B, T, D); keys and values are interleaved by head."""
    heads, width = attention.num_heads, attention.head_dim
    query = attention.q_norm(attention.to_q(x).unflatten(-1, (heads, width)))
    both = torch.cat([attention.to_k(context), attention.to_v(context)], dim=-1)
    key, value = both.unflatten(-1, (heads, 2 * width)).split(width, dim=-1)
    parts = (part.flatten(-2) for part in (query, attention.k_norm(key), value))
    return attention.out_proj(optimized_attention(*parts, heads=heads))
