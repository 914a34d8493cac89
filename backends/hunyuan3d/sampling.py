"""Flow matching with the schedules of the reference, sampled by ComfyUI."""

from __future__ import annotations

from typing import Any

import torch

from ...pipeline.progress import Progress
from ..sampling import sample_euler
from .loading import ShapeModel

_TRAINED, _CONSISTENT = 1000, 100
"""Time steps of the training, and of the consistency distillation that made the turbo models."""


def build_sigmas(steps: int, *, turbo: bool) -> torch.Tensor:
    """Noise levels from 1 to 0, float32.

    Flow matching spaces `steps` levels evenly from 1 to 0; the reference evaluates the last of them too and
    moves by nothing, which is left out here: steps - 1 evaluations, the same result. Turbo models take their
    levels from the grid of their distillation (phased consistency, Wang et al. 2024): steps evaluations.
    """
    if turbo:
        grid = torch.arange(_CONSISTENT) * (_TRAINED // _CONSISTENT) - 1
        time = grid.clamp(min=0) / (_TRAINED - 1)
        chosen = torch.floor(torch.arange(steps, dtype=torch.float64) * _CONSISTENT / steps).long()
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
    """Denoise `noise` (1, C, N) with Euler steps; positive, negative: ComfyUI's CONDITIONING.

    Returns the latent (1, C, N) as ComfyUI's VAEs take it.
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
