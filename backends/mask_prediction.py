"""From a picture to the mask of its subject, by a network that sees it at a size of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from ..pipeline.types import FloatArray
from .network_files import run_network


def predict_resized(
    model: Any, rgb: FloatArray, side: int, mean: FloatArray, deviation: FloatArray, memory: int
) -> FloatArray:
    """Predict which pixels belong to the subject, 0..1: rgb (H, W, 3) 0..1 -> (H, W) float32.

    model: of a PublishedNetwork from (1, 3, side, side) to (1, 1, side, side), for values of which mean (3,)
    was taken before they were divided by deviation (3,). memory: bytes that a run takes. The answer is
    stretched so that its highest value is 1 and its lowest 0, as the authors of U²-Net and IS-Net do.
    """
    picture = Image.fromarray(np.rint(rgb * 255).astype(np.uint8)).resize(
        (side, side), Image.Resampling.LANCZOS
    )
    values = np.asarray(picture, np.float32) / 255
    values = (values / max(float(values.max()), 1e-6) - mean) / deviation
    (mask,) = run_network(model, values.transpose(2, 0, 1)[None], memory)
    stretched = (mask[0, 0] - mask.min()) / max(float(np.ptp(mask)), 1e-12)
    return np.asarray(Image.fromarray(stretched).resize(rgb.shape[1::-1], Image.Resampling.BILINEAR))
