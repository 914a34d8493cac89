"""Corrections of ComfyUI's Hunyuan3D 2.1, applied only while the running ComfyUI needs them.

Its forward pass splits the batch in halves and exchanges their conditions. That is right for one shape whose
passes with and without condition share a batch. With guidance 1 there is only one pass, and when memory is
short the two run separately: it then raises, or conditions each shape on another one's picture.

Its time embedding and cross attention cast their inputs to the precision the weights are stored in. If that
differs from the precision of the computation (float8 files, half precision on old cards) they raise.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import comfy.model_management
import torch
from comfy.ldm.modules.attention import optimized_attention
from comfy.patcher_extension import CallbacksMP

from ..layers import manual_cast

_PROBE: Mapping[str, Any] = {
    "in_channels": 8,
    "hidden_size": 32,
    "context_dim": 8,
    "depth": 2,
    "num_heads": 2,
    "guidance_cond_proj_dim": None,
}
"""Sizes of the model that tells whether ComfyUI needs the corrections."""


def correct_model(model: Any) -> Any:
    """Patch a MODEL of Hunyuan3D 2.1 if ComfyUI runs it wrongly. Other models are returned as they are."""
    config = model.model.model_config.unet_config
    dit_class = type(model.model.diffusion_model)
    if config["image_model"] == "hunyuan3d2_1" and not runs_correctly(dit_class, config):
        _patch_model(model)
        model.add_callback(CallbacksMP.ON_CLONE, _patch_clone)
    return model


def _patch_model(model: Any) -> None:
    dit = model.model.diffusion_model
    model.add_object_patch("diffusion_model.forward", functools.partial(_forward, dit))
    for number, block in enumerate(dit.blocks):
        name = f"diffusion_model.blocks.{number}.attn2.forward"
        model.add_object_patch(name, functools.partial(_attend, block.attn2))


def _patch_clone(model: Any, clone: Any) -> None:
    """Since 2026 a clone may have weights of its own."""
    if clone.model is not model.model:
        _patch_model(clone)


def runs_correctly(dit_class: Any, config: Mapping[str, Any]) -> bool:
    """Whether a tiny model with weights in half precision treats each entry of a float32 batch on its own."""
    device = comfy.model_management.get_torch_device()
    placement = {"dtype": torch.float16, "device": device, "operations": manual_cast}
    probe = dit_class(**{**config, **_PROBE, **placement})
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(device)

    with torch.inference_mode():
        for weight in probe.parameters():
            weight.copy_(0.1 * draw(*weight.shape))
        x, time, context = draw(3, 8, 4), draw(3).sigmoid(), draw(3, 5, 8)
        try:
            together = probe(x, time, context)
            alone = [probe(x[n : n + 1], time[n : n + 1], context[n : n + 1]) for n in range(3)]
        except (RuntimeError, ValueError):  # mismatched precisions; a batch that cannot be halved
            return False
    return torch.allclose(together, torch.cat(alone), atol=1e-3)


def _forward(
    dit: Any,
    x: torch.Tensor,
    t: torch.Tensor,
    context: torch.Tensor,
    transformer_options: Mapping[str, Any] | None = None,
    **_unused: Any,
) -> torch.Tensor:
    """x (B, C, N), t (B,) noise level 0..1, context (B, T, D) -> velocity (B, C, N) with ComfyUI's sign.

    The blocks form a U: each block of the second half also takes the output of its mirror image.
    transformer_options may replace blocks (patches_replace, "dit"), as in ComfyUI's own forward pass.
    """
    replacements = ((transformer_options or {}).get("patches_replace") or {}).get("dit", {})
    tokens = dit.x_embedder(x.movedim(-1, -2))
    embedder = dit.t_embedder
    time = embedder.mlp(embedder.time_embed(1.0 - t).to(tokens.dtype))[:, None]
    tokens = torch.cat([time, tokens], dim=1)
    skips: list[torch.Tensor] = []
    for number, block in enumerate(dit.blocks):
        skip = skips.pop() if number > dit.depth // 2 else None
        inputs = {"x": tokens, "t": time, "cond": context, "skip": skip}
        run = functools.partial(_run_block, block)
        replacement = replacements.get(("block", number))
        tokens = replacement(inputs, {"original_block": run}) if replacement else run(inputs)
        if number < dit.depth // 2:
            skips.append(tokens)
    return -dit.final_layer(tokens).movedim(-2, -1)


def _run_block(block: Any, inputs: Mapping[str, Any]) -> torch.Tensor:
    tokens: torch.Tensor = block(inputs["x"], inputs["t"], inputs["cond"], skip_tensor=inputs["skip"])
    return tokens


def _attend(attention: Any, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
    """x (B, N, C) attends to context (B, T, D). Keys and values are interleaved by head."""
    heads, width = attention.num_heads, attention.head_dim
    query = attention.q_norm(attention.to_q(x).unflatten(-1, (heads, width)))
    both = torch.cat([attention.to_k(context), attention.to_v(context)], dim=-1)
    key, value = both.unflatten(-1, (heads, 2 * width)).split(width, dim=-1)
    parts = (part.flatten(-2) for part in (query, attention.k_norm(key), value))
    # As ComfyUI since 2026; earlier releases ignore it.
    return attention.out_proj(optimized_attention(*parts, heads=heads, low_precision_attention=False))
