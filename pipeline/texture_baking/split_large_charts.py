"""Split sprawling charts, such as a body with its limbs spread, so that they pack without large gaps."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import find_objects, label

from ..rasterize import list_covered_samples
from ..types import BoolArray, Float64Array, Int64Array

_GRID = 32
"""Resolution of the search for cuts: cells along the longer side of a chart."""
_LARGE_CHART = 0.04
"""Charts with a smaller share of the surface are never split."""
_LEAST_GAIN = 0.2
"""Least share of a chart's bounding box that a cut must save."""
_CUT_COST = 2.0
"""Cells of bounding box that a cut must save per cell of new seam."""


def cut_sprawling_charts(corners: Float64Array, chart: Int64Array, areas: Float64Array) -> BoolArray:
    """Mark the faces (F,) on the far side of their chart's best cut; none in charts not worth cutting.

    corners: (F, 3, 2) in the chart's plane, metres. chart: (F,). areas: (F,).
    """
    far = np.zeros(len(chart), np.bool_)
    share = np.bincount(chart, areas) / max(float(areas.sum()), 1e-20)
    for index in np.flatnonzero(share > _LARGE_CHART):
        rows = np.flatnonzero(chart == index)
        far[rows] = _cut_chart(corners[rows])
    return far


def _cut_chart(corners: Float64Array) -> BoolArray:
    low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
    cells = (corners - low) * (_GRID / max(float((high - low).max()), 1e-12))
    cut = _find_best_cut(_draw_mask(cells))
    if cut is None:
        return np.zeros(len(corners), np.bool_)
    axis, position = cut
    return cells.mean(axis=1)[:, axis] >= position


def _draw_mask(cells: Float64Array) -> BoolArray:
    """Cells whose centers lie in a face of the chart: (_GRID, _GRID) bool, x first."""
    faces = torch.arange(3 * len(cells)).reshape(-1, 3)
    _, pixel = list_covered_samples(torch.from_numpy(cells.reshape(-1, 2)), faces, (_GRID, _GRID))
    mask = np.zeros(_GRID * _GRID, np.bool_)
    mask[pixel.numpy()] = True
    return mask.reshape(_GRID, _GRID).T


def _find_best_cut(mask: BoolArray) -> tuple[int, int] | None:
    """Axis and position of the axis-aligned cut that saves most of the bounding boxes, or None."""
    before = _measure_boxes(mask)
    best, found = _LEAST_GAIN * before, None
    for axis, turned in ((0, mask), (1, mask.T)):
        for position in range(2, _GRID - 1):
            length = int((turned[position - 1] & turned[position]).sum())
            if length == 0:
                continue
            after = _measure_boxes(turned[:position]) + _measure_boxes(turned[position:])
            gain = before - after - _CUT_COST * length
            if gain > best:
                best, found = gain, (axis, position)
    return found


def _measure_boxes(mask: BoolArray) -> float:
    """Total area of the bounding boxes of the mask's connected parts, in cells."""
    parts, _ = label(mask)
    boxes = (item for item in find_objects(parts) if item is not None)
    return float(sum(np.prod([side.stop - side.start for side in box]) for box in boxes))
