"""Erase the lines that a face is drawn with: dark strokes, which are no material of it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..color import srgb_to_lab
from ..types import BoolArray, FloatArray
from .figure_layout import FigureLayout

_WIDTH = 0.05
"""Widest stroke, as a share of the head's height: the hair beside a face is wider."""
_OUTLINED = 0.7
"""Share of the head's rim that is ink where a figure is drawn with outlines."""
_DARK, _DARKER = 35.0, 20.0
"""Lightness of ink at most, and how much darker than what is beside it ink is at least."""


def erase_ink(color: FloatArray, layout: FigureLayout, mask: BoolArray) -> FloatArray:
    """The picture (H, W, 3) sRGB with the strokes of its head in the color of what is nearest to them.

    Only where the head is outlined in ink: else dark strands and shadows are what they look like.
    """
    ink = _find_strokes(color, mask, round(_WIDTH * layout.head_height / 2)) & layout.head
    rim = layout.head & mask & ~ndimage.binary_erosion(mask)
    plain = mask & ~ink
    if not plain.any() or ink[rim].sum() <= _OUTLINED * rim.sum():
        return color
    rows, columns = ndimage.distance_transform_edt(~plain, return_distances=False, return_indices=True)
    return np.where(ink[..., None], color[rows, columns], color)


def _find_strokes(color: FloatArray, mask: BoolArray, half: int) -> BoolArray:
    """Where (H, W) it is dark, and lighter within 2 `half` + 1 pixels: a black-hat transform.

    What is outside the mask is taken for light.
    """
    lightness = np.where(mask, srgb_to_lab(color)[..., 0], 100.0)
    filled = ndimage.grey_closing(lightness, size=(2 * half + 1, 2 * half + 1))
    strokes = mask & (lightness < _DARK) & (filled - lightness > _DARKER)
    # The soft border of a stroke is mixed with its color.
    return ndimage.binary_dilation(strokes) & mask
