"""The whole model: pictures in, the field of a shape out."""

from __future__ import annotations

from collections.abc import Mapping

import comfy.sample
import torch

from ...pipeline.mesh_generation import SampledField
from ...pipeline.progress import Progress, ignore_progress, span_progress
from ...pipeline.types import FramedPicture
from .conditioning import encode_pictures
from .decoding import decode_field
from .loading import ShapeModel
from .sampling import sample_latent

_CHANNELS = 64


def generate_field(
    shape: ShapeModel,
    pictures: Mapping[str, FramedPicture],
    *,
    steps: int,
    guidance_scale: float,
    seed: int,
    resolution: int,
    progress: Progress = ignore_progress,
) -> SampledField:
    """Generate a shape from pictures keyed by view name (front, left, back, right).

    steps: noise levels of the schedule. guidance_scale: classifier-free guidance scale or, for fast and turbo
    models, the value of the guidance embedding. seed: gives the same noise as in ComfyUI's KSampler.
    resolution: cells along each side of the field's cube.
    """
    progress(0.0)
    positive, negative = encode_pictures(shape, pictures, guidance_scale)
    empty = torch.zeros((1, _CHANNELS, shape.latent_count))
    latent = sample_latent(
        shape,
        positive,
        negative,
        steps=steps,
        guidance_scale=guidance_scale,
        noise=comfy.sample.prepare_noise(empty, seed),
        progress=span_progress(progress, 0.05, 0.6),
    )
    return decode_field(shape.vae, latent, resolution, progress=span_progress(progress, 0.6, 1.0))
