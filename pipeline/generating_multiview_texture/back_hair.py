"""Paint hair (or the hat) over the back of a head by extending the strands seen above the face downwards."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..types import BoolArray, FloatArray, IntArray
from .head_detection import Head
from .masked_images import sample_bilinear

_MAX_STRETCH = 2.2
"""Largest factor by which strands are stretched; beyond, they would look smeared and are mirrored instead."""

_NAPE_SHADE = 0.14


def draw_hair(color: FloatArray, head: Head, crown: BoolArray, covered: BoolArray) -> FloatArray:
    """Paint the pixels `covered` of a picture (H, W, 3) with the hair above them, column by column.

    crown: (H, W) bool, visible hair. covered: (H, W) bool, where hair is wanted: the crown and the face.
    Columns without covered pixels stay as they are.
    """
    columns = np.flatnonzero(covered.any(axis=0))
    if len(columns) == 0:
        return color
    top, end = _find_strands(head, crown, covered)
    nape = _find_nape(covered, columns, head)
    rows, xs = np.nonzero(covered)
    length = np.maximum(end - top, 1.0)[xs]
    stretch = np.clip((nape - top)[xs] / length, 1.0, _MAX_STRETCH)
    along = (rows - top[xs]) / (length * stretch)
    mirrored = 1 - np.abs((along % 2) - 1)
    strand = sample_bilinear(color, xs.astype(np.float32), top[xs] + mirrored * length)
    depth = np.clip((rows - head.top) / max(head.height, 1), 0, 1)
    shade = 1 - _NAPE_SHADE * np.clip((depth - 0.55) / 0.45, 0, 1)
    painted = color.copy()
    painted[covered] = strand * shade[:, None]
    return painted


def _find_nape(covered: BoolArray, columns: IntArray, head: Head) -> FloatArray:
    """The row, smoothed over columns, at which painted hair ends: (W,)."""
    height, width = covered.shape
    last = (height - 1 - covered[::-1].argmax(axis=0)).astype(np.float32)
    nearest = columns[np.abs(np.arange(width)[:, None] - columns).argmin(axis=1)]
    span = max(3, int(0.12 * head.half_width))
    return ndimage.gaussian_filter1d(ndimage.maximum_filter1d(last[nearest], 2 * span + 1), span * 0.7)


def _find_strands(head: Head, crown: BoolArray, covered: BoolArray) -> tuple[FloatArray, FloatArray]:
    """The first row of hair in each column, and a row up to which there is hair, both smoothed: (W,) each."""
    height, width = crown.shape
    top = np.where(crown.any(axis=0), crown.argmax(axis=0), head.top).astype(np.float32)
    below = np.arange(height)[:, None] > top
    gap = below & ~crown
    end = np.where(gap.any(axis=0), gap.argmax(axis=0), height).astype(np.float32)
    end = np.minimum(end, head.neck)
    span = max(3, int(0.12 * head.half_width))
    # Stay a little above the tips, where shadow and outlines are.
    end = ndimage.minimum_filter1d(end, 2 * span + 1) - 0.02 * head.height
    end = ndimage.gaussian_filter1d(end, span * 0.7)
    top = ndimage.gaussian_filter1d(top + 0.03 * head.height, span * 0.7)
    columns = np.flatnonzero(covered.any(axis=0))
    enough = end[columns] - top[columns] > 0.06 * head.height
    if not enough.any():
        return top, np.maximum(end, top + 1)
    good = columns[enough]
    near = np.abs(np.arange(width)[:, None] - good).argmin(axis=1)
    poor = np.ones(width, dtype=bool)
    poor[good] = False
    length = np.where(poor, (end - top)[good][near], end - top)
    return top, top + length
