"""The reference implementation's noise schedule: MV-Adapter's shift and diffusers' Euler steps."""

from __future__ import annotations

import copy
from typing import Any

import comfy.model_sampling
import torch

from ...pipeline.errors import WeightsError

SHIFT_SCALE = 8.0
"""Divisor of the signal-to-noise ratio at the noisiest time step, falling to 1 at the cleanest."""


def shift_noise(sampling: Any, scale: float = SHIFT_SCALE) -> Any:
    """Return a copy of ComfyUI's model sampling with shifted noise levels.

    The signal-to-noise ratio 1 / sigma^2 at time t is divided by scale^w with w = t / (T - 1), which makes
    sigma * scale^(w / 2). More views have more pixels and need more noise (section 4.3 of the paper).
    WeightsError if the model has no discrete noise levels.
    """
    if not isinstance(sampling, comfy.model_sampling.ModelSamplingDiscrete):
        raise WeightsError(
            f"IG2MV needs a model with discrete noise levels, as SDXL has; found {type(sampling).__name__}"
        )
    shifted = copy.deepcopy(sampling)
    weight = torch.linspace(0, 1, len(sampling.sigmas), dtype=torch.float64)
    shifted.set_sigmas(sampling.sigmas.double() * scale ** (weight / 2))
    return shifted


def list_sigmas(sampling: Any, steps: int) -> torch.Tensor:
    """Noise levels (steps + 1,) of diffusers' default for SDXL: `leading` time steps with offset 1.

    For 10 steps they equal ComfyUI's `ddim_uniform`.
    """
    count = len(sampling.sigmas)
    times = (torch.arange(steps - 1, -1, -1) * (count // steps) + 1).clamp(max=count - 1)
    return torch.cat((sampling.sigmas[times], torch.zeros(1)))
