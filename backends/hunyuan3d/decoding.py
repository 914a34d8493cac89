"""Decoding a latent to a field with the VAE's own decoder, sampled near the surface only."""

from __future__ import annotations

from typing import Any

import comfy.model_management
import torch

from ...pipeline.mesh_generation import Query, SampledField, sample_field
from ...pipeline.progress import Progress, ignore_progress

_FREE_MEMORY_FRACTION = 0.4
_MIN_POINTS, _MAX_POINTS = 1_000, 200_000
_MAX_POINTS_ON_CPU = 10_000


def decode_field(
    vae: Any, latent: torch.Tensor, resolution: int, *, progress: Progress = ignore_progress
) -> SampledField:
    """Decode a latent (1, C, N) with ComfyUI's VAE of a Hunyuan3D model."""
    query, chunk = open_decoder(vae, latent)
    return sample_field(query, resolution, chunk=chunk, progress=progress)


def open_decoder(vae: Any, latent: torch.Tensor) -> tuple[Query, int]:
    """Return a function that evaluates the field at points, and how many points to pass it at once.

    Points are embedded in float32 regardless of the decoder's precision: half precision would misplace them
    by up to an eighth of a cell.
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
    """How many points can be decoded at once in the device's free memory."""
    attention = decoder.geo_decoder.cross_attn_decoder.attn
    width, hidden = attention.width, decoder.geo_decoder.cross_attn_decoder.mlp.c_fc.out_features
    values = 8 * width + 2 * hidden
    if device.type == "cpu":
        # On the CPU, attention may materialize its whole matrix.
        values += attention.heads * tokens.shape[1]
    free = comfy.model_management.get_free_memory(device)
    fitting = int(_FREE_MEMORY_FRACTION * free / (values * tokens.element_size()))
    return min(max(fitting, _MIN_POINTS), _MAX_POINTS_ON_CPU if device.type == "cpu" else _MAX_POINTS)
