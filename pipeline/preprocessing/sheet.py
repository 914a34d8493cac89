"""The sheet of paper in a photograph, and the lines that are printed on it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..types import BoolArray, FloatArray

_STEEP = 1.2
"""Change of lightness a pixel at the sheet's edge; light and soft shadows change less."""
_MIN_LIGHTNESS = 40.0
_MIN_SHARE = 0.3
"""Share of the picture that a sheet fills."""
_EDGE = 0.012
"""Width of the sheet's edge, with its shadow, as a share of the longer side."""
_RULE = 0.4
"""Least length of a rule as a share of the longer side."""
_SOLID = 0.85
"""Share of a rule that is drawn."""
_SLOPES = np.linspace(-0.12, 0.12, 13)
"""Of rules, to the picture's sides."""
_MIN_RULES = 8
"""Fewer lines are of the drawing: a staff, straight legs."""


def find_sheet(light: FloatArray) -> BoolArray | None:
    """The largest even area of the lightness `light` (H, W), without its edge; None if dark or small."""
    steps = np.hypot(*np.gradient(light))
    labels, count = ndimage.label(steps < _STEEP)
    if count == 0:
        return None
    sheet = _fill_holes(labels == 1 + np.argmax(np.bincount(labels.ravel())[1:]))
    if sheet.mean() < _MIN_SHARE or light[sheet].mean() < _MIN_LIGHTNESS:
        return None
    return ndimage.binary_erosion(sheet, iterations=round(_EDGE * max(sheet.shape)), border_value=1)


def remove_rules(ink: BoolArray) -> BoolArray:
    """The ink (H, W) without many long straight lines along the sides."""
    height, width = ink.shape
    # At half the size: enough for lines, and four times as fast.
    padded = np.pad(ink, ((0, height % 2), (0, width % 2)))
    half = np.logical_or.reduce(padded.reshape(len(padded) // 2, 2, -1, 2), axis=(1, 3))
    rules = _find_rules(half) | _find_rules(half.T).T
    return ink & ~rules.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]


def _find_rules(ink: BoolArray) -> BoolArray:
    """Where ink (H, W) lies on nearly horizontal lines; nowhere if they are few."""
    height, width = ink.shape
    length = round(_RULE * max(ink.shape))
    rows, columns = np.mgrid[0:height, 0:width]
    rules = np.zeros_like(ink)
    for slope in _SLOPES:
        sheared = np.clip(rows + np.round(slope * (columns - width / 2)).astype(int), 0, height - 1)
        share = ndimage.uniform_filter1d(ink[sheared, columns].astype(np.float32), length, axis=1)
        if share.max() > _SOLID:
            near = ndimage.maximum_filter1d(share, length, axis=1) > _SOLID
            rules[sheared[near], columns[near]] = True
    rules &= ink
    count = ndimage.label(rules, np.ones((3, 3)))[1]
    return rules if count >= _MIN_RULES else np.zeros_like(ink)


def _fill_holes(region: BoolArray) -> BoolArray:
    """As scipy's binary_fill_holes, in a single pass."""
    labels, _ = ndimage.label(np.pad(~region, 1, constant_values=True))
    return labels[1:-1, 1:-1] != labels[0, 0]
