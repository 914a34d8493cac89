"""Fine relief of the front: folds, seams and strands that the picture shows as light and shade."""

from __future__ import annotations

import numpy as np

from ..types import BoolArray, FloatArray
from .silhouette import Silhouette, blur_inside

_RELIEF_SCALES = (0.003, 0.018)
_RELIEF_HEIGHT = 0.0045
"""Shares of the height."""
_CARRIED = (0.5, 6.0)
"""Depths, in the largest relief, from which a part carries some of it and all of it."""


def read_relief(silhouette: Silhouette, inside: BoolArray) -> FloatArray:
    """Return the apparent relief (H, W), in cells, of folds, seams and strands: darker is deeper.

    Only detail of 0.3 % to 2 % of the height counts; larger shades are color rather than shape.
    """
    light = np.zeros(inside.shape, dtype=np.float32)
    rows, columns = silhouette.lightness.shape
    light[:rows, :columns] = silhouette.lightness
    seen = np.zeros_like(inside)
    seen[:rows, :columns] = silhouette.inside
    fine, coarse = (blur_inside(light, seen, share * silhouette.height) for share in _RELIEF_SCALES)
    return np.where(seen, np.tanh((fine - coarse) / 0.12), 0.0) * (_RELIEF_HEIGHT * silhouette.height)


def emboss(depth: FloatArray, relief: FloatArray) -> FloatArray:
    """Add relief where the figure is thick enough to carry it."""
    limit = np.abs(relief).max() + 1e-6
    return np.maximum(depth + relief * smoothstep(depth / limit, *_CARRIED), 0.0)


def smoothstep(value: FloatArray, low: float, high: float) -> FloatArray:
    """Rise from 0 at `low` to 1 at `high`, flat at both ends."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)
