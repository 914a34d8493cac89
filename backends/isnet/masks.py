"""From a picture to the mask of its subject."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...pipeline.types import FloatArray
from ..mask_prediction import predict_resized
from ..network_files import PublishedNetwork, read_onnx

_SIDE = 1024
_MEAN, _DEVIATION = np.full(3, 0.5, np.float32), np.ones(3, np.float32)
_MEMORY = 3 << 30

NETWORK = PublishedNetwork(
    file="isnet-general-use.onnx",
    folder="isnet",
    read=read_onnx,
    picture=(1, 3, _SIDE, _SIDE),
    outputs=((1, 1, _SIDE, _SIDE),),
    catalogue="cutout_models",
)


def predict_mask(model: Any, rgb: FloatArray) -> FloatArray:
    """Predict which pixels belong to the subject, 0..1: rgb (H, W, 3) 0..1 -> (H, W) float32.

    model: from load_model. The picture is read in 1024 × 1024.
    """
    return predict_resized(model, rgb, _SIDE, _MEAN, _DEVIATION, _MEMORY)
