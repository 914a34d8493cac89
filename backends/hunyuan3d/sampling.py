"""Flow matching with the reference implementation's schedules and ComfyUI's sampler."""

from __future__ import annotations

from typing import Any

import torch

from ...pipeline.progress import Progress
from ..sampling import sample_euler
from .loading import ShapeModel

_TRAINING_STEPS, _DISTILLATION_STEPS = 1000, 100
"""Time steps used in training, and in the consistency distillation of the turbo models."""


def build_sigmas(steps: int, *, turbo: bool) -> torch.Tensor:
    """Noise levels from 1 to 0, float32.

    Flow matching spaces `steps` levels evenly from 1 to 0. The reference also evaluates the model at the last
    level, where the step size is zero; skipping that gives the same result with steps - 1 evaluations. Turbo
    models take their levels from the time grid of their distillation (phased consistency, Wang et al. 2024)
    and need `steps` evaluations.
    """
    if turbo:
        grid = torch.arange(_DISTILLATION_STEPS) * (_TRAINING_STEPS // _DISTILLATION_STEPS) - 1
        time = grid.clamp(min=0) / (_TRAINING_STEPS - 1)
        chosen = torch.floor(torch.arange(steps, dtype=torch.float64) * _DISTILLATION_STEPS / steps).long()
        return 1.0 - torch.cat([time[chosen], torch.ones(1)])
    return torch.linspace(1.0, 0.0, steps) if steps > 1 else torch.tensor([1.0, 0.0])


def sample_latent(
    shape: ShapeModel,
    positive: Any,
    negative: Any,
    *,
    steps: int,
    guidance_scale: float,
    noise: torch.Tensor,
    progress: Progress,
) -> torch.Tensor:
    """Denoise `noise` (1, C, N) with Euler steps. positive, negative: ComfyUI's CONDITIONING.

    Returns the latent (1, C, N) as ComfyUI's VAEs expect it.
    """
    return sample_euler(
        shape.model,
        noise,
        1.0 if shape.has_guidance_embedding else guidance_scale,
        build_sigmas(steps, turbo=shape.traits.turbo),
        positive,
        negative,
        progress,
    )
