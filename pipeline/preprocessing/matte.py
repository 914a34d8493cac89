"""Refine a coarse cut to a soft matte at full resolution."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..types import BoolArray, FloatArray
from .grabcut import ColorModels, log_ratio
from .graph_cut import recut_band

_CROSS = ndimage.generate_binary_structure(2, 1)
_EDGE_WEIGHT = 0.01
_BAND = 0.008
"""Half width of the band that is cut again, as a fraction of the longer side."""


def refine_matte(rgb: FloatArray, lab: FloatArray, coarse: FloatArray, models: ColorModels) -> FloatArray:
    """Return alpha (H, W) float32 for rgb and lab (H, W, 3).

    coarse: (H, W) the labels of the low-resolution cut, resized, 0..1. A band around their outline is cut
    again at full resolution, and the edge is then softened.
    """
    reach = max(2, round(max(rgb.shape) * _BAND))
    inside = coarse > 0.5
    band = find_edge(inside, reach)
    return soften_edge(rgb, recut_band(lab, inside, band, log_ratio(models, lab, band)))


def soften_edge(rgb: FloatArray, subject: BoolArray) -> FloatArray:
    """Return alpha (H, W): 0 or 1 except within two pixels of the outline of `subject`."""
    edge = find_edge(subject, 2)
    alpha = subject.astype(np.float32)
    if not edge.any():
        return alpha
    window = ndimage.find_objects(ndimage.binary_dilation(edge, iterations=8).astype(np.int8))[0]
    alpha[window][edge[window]] = _share(rgb[window], subject[window], edge[window])[edge[window]]
    return alpha


def _share(rgb: FloatArray, subject: BoolArray, edge: BoolArray) -> FloatArray:
    back = _local_mean(rgb, _clear_of(edge, ~subject), 2.5)
    span = _local_mean(rgb, _clear_of(edge, subject), 2.5) - back
    power = (span**2).sum(axis=-1)
    share = ((rgb - back) * span).sum(axis=-1) / np.maximum(power, 1e-4)
    # Outlines darker than both sides belong to the subject: 5..90 % is stretched to 0..1.
    share = np.clip((share - 0.05) / 0.85, 0.0, 1.0)
    blurred = ndimage.gaussian_filter(subject.astype(np.float32), 0.8)
    # Where both sides have similar colors, the blurred outline decides instead.
    trust = np.clip((power - 0.004) / 0.02, 0.0, 1.0)
    return trust * np.minimum(share, np.minimum(2.0 * blurred, 1.0)) + (1 - trust) * blurred


def find_edge(subject: BoolArray, reach: int) -> BoolArray:
    """Pixels within `reach` (city block) of the outline of `subject`, on both sides."""
    grown = ndimage.binary_dilation(subject, _CROSS, iterations=reach)
    return grown & ~ndimage.binary_erosion(subject, _CROSS, iterations=reach, border_value=1)


def _clear_of(edge: BoolArray, side: BoolArray) -> FloatArray:
    """Weights of the pixels of one side: those of its edge count only where it is too thin for others."""
    return np.where(side, np.where(edge, np.float32(_EDGE_WEIGHT), np.float32(1.0)), np.float32(0.0))


def _local_mean(rgb: FloatArray, weight: FloatArray, sigma: float) -> FloatArray:
    """Gaussian-weighted mean of rgb (H, W, 3) by `weight` (H, W); 0 where nothing lies within 4 sigma."""
    total = ndimage.gaussian_filter(weight, sigma)
    mean = [ndimage.gaussian_filter(rgb[..., c] * weight, sigma) / np.maximum(total, 1e-6) for c in range(3)]
    return np.stack(mean, axis=-1)
