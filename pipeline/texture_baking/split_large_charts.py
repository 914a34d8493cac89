"""Cut sprawling charts, a body with its limbs spread, into pieces that pack without large gaps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import find_objects, label

from ..rasterize import list_covered_samples
from ..types import BoolArray

_GRID = 48
"""Cells across the longer side of a chart when cuts are looked for."""
_LARGE_CHART = 0.04
"""Share of the whole surface below which a chart's shape does not matter."""
_LEAST_GAIN = 0.2
"""Share of a chart's bounding box that a cut must save."""
_CUT_COST = 2.0
"""Cells of saved box that one cell of new seam must be worth."""


def cut_sprawling_charts(
    corners: npt.NDArray[np.float64], chart: npt.NDArray[np.int64], areas: npt.NDArray[np.float64]
) -> BoolArray:
    """Return (F,), True for the faces on the far side of their chart's cut; all False where none pays.

    corners: (F, 3, 2) in the chart's plane, metres. chart: (F,). areas: (F,).
    """
    far = np.zeros(len(chart), np.bool_)
    share = np.bincount(chart, areas) / max(float(areas.sum()), 1e-20)
    for index in np.flatnonzero(share > _LARGE_CHART):
        rows = np.flatnonzero(chart == index)
        far[rows] = _cut_chart(corners[rows])
    return far


def _cut_chart(corners: npt.NDArray[np.float64]) -> BoolArray:
    low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
    cells = (corners - low) * (_GRID / max(float((high - low).max()), 1e-12))
    cut = _find_best_cut(_draw_mask(cells))
    if cut is None:
        return np.zeros(len(corners), np.bool_)
    axis, position = cut
    return cells.mean(axis=1)[:, axis] >= position


def _draw_mask(cells: npt.NDArray[np.float64]) -> BoolArray:
    """(X, Y) bool: cells whose centre a face covers; trimmed to what is drawn on the far sides."""
    faces = torch.arange(3 * len(cells)).reshape(-1, 3)
    _, pixel = list_covered_samples(torch.from_numpy(cells.reshape(-1, 2)), faces, (_GRID, _GRID))
    mask = np.zeros(_GRID * _GRID, np.bool_)
    mask[pixel.numpy()] = True
    return mask.reshape(_GRID, _GRID).T


def _find_best_cut(mask: BoolArray) -> tuple[int, int] | None:
    """The axis and position of the straight cut that saves most bounding box, or None."""
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
    """Cells in the bounding boxes of the connected parts."""
    parts, _ = label(mask)
    boxes = (item for item in find_objects(parts) if item is not None)
    return float(sum(np.prod([side.stop - side.start for side in box]) for box in boxes))
