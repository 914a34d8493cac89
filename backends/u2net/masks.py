"""From a picture to the mask of its subject."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...pipeline.types import FloatArray
from ..mask_prediction import predict_resized
from ..network_files import PublishedNetwork, read_onnx

_SIDE = 320
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
"""Of ImageNet's pictures, on which the network was trained."""
_MEMORY = 200 << 20
_MARGIN = 0.06
"""Around the subject where it is looked at again, as a share of its longer side."""
_LARGE = 0.7
"""Share of the picture from which its surroundings fill too little to be left out."""

NETWORK = PublishedNetwork(
    file="u2netp.onnx",
    folder="u2net",
    read=read_onnx,
    picture=(1, 3, _SIDE, _SIDE),
    outputs=((1, 1, _SIDE, _SIDE),),
)


def predict_mask(model: Any, rgb: FloatArray) -> FloatArray:
    """Predict which pixels belong to the subject, 0..1: rgb (H, W, 3) 0..1 -> (H, W) float32.

    model: from load_model. The picture is read in 320 × 320, so edges are 2 to 4 pixels of 1024 soft.
    """
    return predict_resized(model, rgb, _SIDE, _MEAN, _DEVIATION, _MEMORY)


def predict_mask_closely(model: Any, rgb: FloatArray) -> FloatArray:
    """Predict as predict_mask, and again from the subject's surroundings alone; returns the mean of both.

    Thin limbs get more of the 320 pixels, and things far off count half. Where the subject fills most of the
    picture, it is predicted once. A first look of 192 pixels would take a third of the time and loses up to
    0.15 of the mask's IoU before shelves.
    """
    mask = predict_mask(model, rgb)
    rows, columns = (np.flatnonzero((mask > 0.5).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return mask
    margin = round(_MARGIN * max(np.ptp(rows), np.ptp(columns)))
    window = tuple(slice(max(0, line[0] - margin), line[-1] + 1 + margin) for line in (rows, columns))
    if mask[window].size > _LARGE * mask.size:
        return mask
    result = mask / 2
    result[window] += predict_mask(model, rgb[window]) / 2
    return result
