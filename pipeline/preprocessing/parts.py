"""Connected parts of a cut: islands are dropped, pinholes closed."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..types import BoolArray, FloatArray

_ISLAND = 0.01
_SPECK = 2e-5
"""Holes smaller than this share of the picture are noise."""


def keep_large_parts(region: BoolArray, share: float = _ISLAND) -> BoolArray:
    """Drop the connected parts of region (H, W) smaller than `share` of the largest part's area."""
    labels, count = ndimage.label(region, structure=np.ones((3, 3)))
    if count < 2:
        return region
    area = np.bincount(labels.ravel())
    area[0] = 0
    return (area >= share * area.max())[labels] & region


def remove_islands(alpha: FloatArray) -> FloatArray:
    """Clear the parts of alpha (H, W) that are tiny compared to the largest, and close pinholes."""
    subject = alpha >= 0.5
    kept = keep_large_parts(subject)
    reach = ndimage.binary_dilation(kept, iterations=3)
    cleaned = np.where(reach & ~(subject & ~kept), alpha, 0.0)
    holes, count = ndimage.label(~kept)
    if count > 1:
        small = np.bincount(holes.ravel()) < max(2.0, _SPECK * alpha.size)
        small[0] = False
        cleaned = np.where(small[holes], 1.0, cleaned)
    return cleaned.astype(np.float32)


def isolate_region(alpha: FloatArray, region: BoolArray) -> FloatArray:
    """Clear what of alpha (H, W) does not belong to `region` (H, W) or to its soft edge."""
    others = (alpha >= 0.5) & ~region
    near = ndimage.binary_dilation(region, iterations=3)
    return np.where(near & ~ndimage.binary_dilation(others), alpha, np.float32(0.0)).astype(np.float32)
