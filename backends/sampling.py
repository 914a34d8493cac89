"""Euler sampling at given noise levels with ComfyUI's sampler, shared by both diffusion stages."""

from __future__ import annotations

from typing import Any

import comfy.sample
import comfy.samplers
import torch

from ..pipeline.progress import Progress


def sample_euler(
    model: Any,
    noise: torch.Tensor,
    guidance: float,
    sigmas: torch.Tensor,
    positive: Any,
    negative: Any,
    progress: Progress,
) -> torch.Tensor:
    """Denoise `noise` with a MODEL at the noise levels `sigmas` (steps + 1,), which end with 0.

    guidance: classifier-free guidance scale, 1 for none. positive, negative: ComfyUI's CONDITIONING.
    Progress is reported, and cancellation checked, once a step. Returns a latent shaped like `noise`.
    """

    def report(step: int, _denoised: torch.Tensor, _x: torch.Tensor, total: int) -> None:
        progress((step + 1) / total)

    progress(0.0)
    return comfy.sample.sample_custom(
        model,
        noise,
        guidance,
        comfy.samplers.ksampler("euler"),
        sigmas,
        positive,
        negative,
        torch.zeros_like(noise),
        callback=report,
        disable_pbar=True,
    )
