"""A latent to the field of its shape, through the VAE's own decoder, near the surface only."""

from __future__ import annotations

from typing import Any

import comfy.model_management
import torch

from ...pipeline.mesh_generation import Query, SampledField, sample_field
from ...pipeline.progress import Progress, ignore_progress

_SHARE_OF_FREE = 0.4
_FEWEST, _MOST = 1_000, 200_000


def decode_field(
    vae: Any, latent: torch.Tensor, resolution: int, *, progress: Progress = ignore_progress
) -> SampledField:
    """Decode a latent (1, C, N) with ComfyUI's VAE of a Hunyuan3D model."""
    query, chunk = open_decoder(vae, latent)
    return sample_field(query, resolution, chunk=chunk, progress=progress)


def open_decoder(vae: Any, latent: torch.Tensor) -> tuple[Query, int]:
    """The function that answers points with the field's values, and how many points to ask for at once.

    The points are embedded in float32 whatever the decoder's precision: half precision would place them up to
    an eighth of a cell off.
    """
    required = vae.memory_used_decode(latent.shape, vae.vae_dtype)
    comfy.model_management.load_models_gpu([vae.patcher], memory_required=required)
    decoder = vae.first_stage_model
    tokens = latent.to(device=vae.device, dtype=vae.vae_dtype).movedim(-2, -1)
    with torch.inference_mode():
        tokens = decoder.transformer(decoder.post_kl(tokens))

    @torch.inference_mode()
    def query(points: torch.Tensor) -> torch.Tensor:
        return decoder.geo_decoder(queries=points[None].to(vae.device), latents=tokens)[0, :, 0]

    return query, choose_chunk(decoder, tokens, vae.device)


def choose_chunk(decoder: Any, tokens: torch.Tensor, device: torch.device) -> int:
    """How many points to decode at once, so that they fit the memory that is free on the device."""
    attention = decoder.geo_decoder.cross_attn_decoder.attn
    width, hidden = attention.width, decoder.geo_decoder.cross_attn_decoder.mlp.c_fc.out_features
    values = 8 * width + 2 * hidden
    if device.type == "cpu":
        # There, attention may keep its whole matrix.
        values += attention.heads * tokens.shape[1]
    free = comfy.model_management.get_free_memory(device)
    most = int(_SHARE_OF_FREE * free / (values * tokens.element_size()))
    return min(max(most, _FEWEST), _MOST if device.type != "cpu" else _MOST // 20)
