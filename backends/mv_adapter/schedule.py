"""Noise schedules of the reference: MV-Adapter's shift, and the steps of diffusers' Euler scheduler."""

from __future__ import annotations

import copy
from typing import Any

import comfy.model_sampling
import torch

from ...pipeline.errors import WeightsError

SHIFT_SCALE = 8.0
"""Signal-to-noise ratio is divided by this at the noisiest time step, by less towards the cleanest."""


def shift_noise(sampling: Any, scale: float = SHIFT_SCALE) -> Any:
    """A copy of ComfyUI's model sampling whose noise levels are shifted, interpolated over the time steps.

    With SNR = 1 / sigma^2, dividing it by scale^w at time t, w = t / (T - 1), is sigma * scale^(w / 2).
    More views hold more pixels, which need more noise (section 4.3 of the paper). WeightsError: a model
    without discrete noise levels.
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

    For 10 steps ComfyUI's `ddim_uniform` gives the same.
    """
    count = len(sampling.sigmas)
    times = torch.arange(steps - 1, -1, -1) * (count // steps) + 1
    return torch.cat((sampling.sigmas[times], torch.zeros(1)))
