"""Squares of a picture, cut out for a network that looks at the figure in it."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from ..pipeline.errors import PictureError
from ..pipeline.figure.square import Square
from ..pipeline.types import BoolArray, FloatArray

_STRAY = 0.005
"""Share of the mask's pixels to the left of the box, and to its right: ribbons and specks."""
_GRAY = 128


def find_square(mask: BoolArray, around: float) -> Square:
    """The square around the mask (H, W), `around` times its longer side. PictureError if it is empty."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        raise PictureError("the mask is empty: there is no figure to read")
    share = np.cumsum(mask.sum(axis=0)) / mask.sum()
    left, right = np.searchsorted(share, (_STRAY, 1 - _STRAY)) + np.array((0, 1))
    top, bottom = rows[0], rows[-1] + 1
    side = around * max(right - left, bottom - top)
    return Square(float(left + right - side) / 2, float(top + bottom - side) / 2, float(side))


def cut_square(rgb: FloatArray, mask: FloatArray, square: Square, side: int) -> FloatArray:
    """The square of rgb (H, W, 3), plain gray outside mask (H, W), as (side, side, 3); all 0..1."""
    reach = math.ceil(square.side / side) + 1  # of the resampling beyond the square
    left, top = math.floor(square.left) - reach, math.floor(square.top) - reach
    size = math.ceil(square.side) + 2 * reach + 1
    rows, columns = (slice(max(start, 0), max(start + size, 0)) for start in (top, left))
    gray, seen = _GRAY / 255, mask[rows, columns, None]
    figure = Image.fromarray(np.rint((gray + seen * (rgb[rows, columns] - gray)) * 255).astype(np.uint8))
    around = Image.new("RGB", (size, size), (_GRAY,) * 3)
    around.paste(figure, (max(left, 0) - left, max(top, 0) - top))
    x, y = square.left - left, square.top - top
    box = (x, y, x + square.side, y + square.side)
    return np.asarray(around.resize((side, side), Image.Resampling.BILINEAR, box=box), np.float32) / 255
