"""Continue the colors of a part into a hole: each row of it of one material, with the light around it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..types import BoolArray, FloatArray, IntArray
from .front_details import Materials
from .masked_images import blur_masked, enlarge, shrink

_BORDER = 1.0
"""Rows over which one material passes into the next."""
_FEWEST = 0.08
"""Share of a row from which on a material counts in it."""
_EVEN = 0.015
"""Rows over which the materials are counted, as a share of the height."""
Scales = tuple[tuple[float, float], ...]
ALONG = ((0.2, 0.3), (0.05, 0.2), (0.015, 0.15), (0.02, 0.02))
"""Gaussian widths down and across, shares of the height, from far to near: belts go on along rows."""
ROUND = tuple((width, width) for width in (0.2, 0.08, 0.03, 0.012))
"""The same for what has no rows: hair, fur, skin."""


def choose_by_row(shares: FloatArray) -> IntArray:
    """The commonest material (H,) of each row's shares (H, C); that of the row above where there is none."""
    even = ndimage.gaussian_filter1d(shares, _EVEN * len(shares), axis=0)
    known = np.flatnonzero(even.max(axis=1) >= _FEWEST)
    if not len(known):
        return np.full(len(shares), shares.sum(axis=0).argmax())
    nearest = known[np.maximum(np.searchsorted(known, np.arange(len(shares)), side="right") - 1, 0)]
    return even[nearest].argmax(axis=1)


def continue_rows(
    color: FloatArray, materials: Materials, source: BoolArray, hole: BoolArray, chosen: IntArray
) -> FloatArray:
    """Colors (H, W, 3) in the hole, of the material that is chosen (H,) for each row, smooth within it."""
    total = np.zeros_like(color)
    for material in np.unique(chosen[hole.any(axis=1)]):
        own = source * materials.kinship[material][materials.labels]
        base = continue_shades(color, own if own.any() else source, ALONG)
        share = ndimage.gaussian_filter1d((chosen == material).astype(np.float32), _BORDER)
        total += base * share[:, None, None]
    return total


def continue_shades(color: FloatArray, weight: BoolArray | FloatArray, scales: Scales) -> FloatArray:
    """Continue the colors (H, W, 3) of weighted pixels (H, W) everywhere, at half the size.

    scales: ALONG or ROUND.
    """
    if not weight.any():
        return color
    weighted = np.concatenate((color * weight[..., None], weight[..., None].astype(np.float32)), axis=2)
    half = shrink(weighted, 2)
    amount = half[..., 3]
    near = half[..., :3] / np.maximum(amount, 1e-6)[..., None]
    guess = np.broadcast_to(half[..., :3].sum(axis=(0, 1)) / amount.sum(), near.shape)
    for down, across in scales:
        blurred, share = blur_masked(near, amount, (down * len(half), across * len(half)))
        trust = share / (share + 0.02)
        guess = blurred * trust + guess * (1 - trust)
    return enlarge(guess, color.shape[:2])
