"""Split sprawling charts, such as a body with its limbs spread, so that they pack without large gaps."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import find_objects, generate_binary_structure, label

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
_CUTS = tuple((axis, position) for axis in (0, 1) for position in range(2, _GRID - 1))
"""Axis and position of all cuts that are tried."""
_BEHIND = np.stack([np.indices((_GRID, _GRID))[axis] >= position for axis, position in _CUTS])
_IN_ONE_MASK = np.stack((np.zeros((3, 3)), generate_binary_structure(2, 1), np.zeros((3, 3))))
"""Neighbours of a cell in masks (N, H, W): labelled in one call, at a tenth of the cost of a hundred."""


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
    lengths = np.array([(mask.take(at - 1, axis) & mask.take(at, axis)).sum() for axis, at in _CUTS])
    boxes = _measure_boxes(np.concatenate((mask[None], mask & ~_BEHIND, mask & _BEHIND)))
    before, after = boxes[0], boxes[1:].reshape(2, -1).sum(axis=0)
    gains = np.where(lengths > 0, before - after - _CUT_COST * lengths, 0.0)
    best = int(gains.argmax())
    return _CUTS[best] if gains[best] > _LEAST_GAIN * before else None


def _measure_boxes(masks: BoolArray) -> Float64Array:
    """Total area (N,) of the bounding boxes of the connected parts of each mask (N, H, W), in cells."""
    totals = np.zeros(len(masks))
    parts, _ = label(masks, _IN_ONE_MASK)
    for mask, rows, columns in find_objects(parts):
        totals[mask.start] += (rows.stop - rows.start) * (columns.stop - columns.start)
    return totals
