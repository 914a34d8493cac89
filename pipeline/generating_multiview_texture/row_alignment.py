"""Align a side's picture with the front, row by row, and each row with the mesh's silhouette from there.

Drawings of one character from several sides disagree by a few per cent in the heights of belt, neckline, eyes
and hem. Rows that hold the same materials are brought to one height by dynamic programming, as dynamic time
warping does for sequences (Sakoe and Chiba 1978, Dynamic Programming Algorithm Optimization for Spoken Word
Recognition), with a shift of few rows and a slope that costs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from scipy.spatial.distance import cdist

from ..boxes import find_box
from ..color import srgb_to_lab
from ..device import array_to_tensor, tensor_to_array
from ..types import BoolArray, Float64Array, FloatArray
from .color_segmentation import cluster_colors, weigh_lab

_ROWS = 192
"""Rows of the subject that are compared."""
_MOST_SHIFT = 0.03
"""Largest difference in height, as a share of the subject's."""
_SLOPE_COST = 0.4
"""Of a change of the shift by one row, in units of the distance between rows of wholly other materials."""
_SHIFT_COST = 0.01
"""Of each row of shift: where nothing tells, there is none."""
_EVEN = 0.02
"""Rows over which shifts are smoothed, as a share of the subject's height."""
_OUTLINE_EVEN = 0.008
"""The same for the fit to the silhouette, as a share of the side."""
_NEAR, _STEEPEST = 0.3, 2.5
"""How far inside an outline a row is bent so that outlines meet: a share of its extent, and at least this
many times as far as the outline moves. Farther inside, the picture stays as it is."""


class Part(NamedTuple):
    """A view's color (S, S, 3), its silhouette (S, S), and how much its pixels tell of the surface (S, S)."""

    color: FloatArray
    mask: BoolArray
    weight: FloatArray


def weigh_columns(mask: BoolArray, towards: int) -> FloatArray:
    """Weights (S, S) of a silhouette's pixels that grow in each row towards its left (-1), right (1) or both
    ends (0): the more a pixel lies there, the more another side sees its surface as well."""
    first, last = _find_extents(mask)
    across = 2 * (np.arange(mask.shape[1]) - first[:, None]) / np.maximum(last - first, 1)[:, None] - 1
    near = np.abs(across) if towards == 0 else across * towards
    return np.where(mask, near, 0).clip(0, 1)


def match_rows(front: Part, side: Part) -> Float64Array:
    """For each row (S,) of the view, the row of the side's picture that shows the same height of the figure.

    The rows of both silhouettes begin and end alike.
    """
    size, (_, top, _, bottom) = len(front.mask), find_box(front.mask)
    one, two = _describe_rows(front, side, top, bottom)
    most = max(1, round(_MOST_SHIFT * _ROWS))
    shift = _find_shifts(_compare_rows(one, two, most), most)
    # At the crown and at the soles the boxes agree.
    ends = np.minimum(np.arange(_ROWS), _ROWS - 1 - np.arange(_ROWS)) / (2 * _EVEN * _ROWS)
    even = ndimage.gaussian_filter1d(shift * np.minimum(ends, 1), _EVEN * _ROWS)
    place = (np.arange(size) + 0.5 - top) / (bottom - top) * _ROWS - 0.5
    return np.arange(size) + np.interp(place, np.arange(_ROWS), even) * (bottom - top) / _ROWS


def _describe_rows(front: Part, side: Part, top: int, bottom: int) -> tuple[FloatArray, FloatArray]:
    """The square roots of the shares of each material in the rows of both, (_ROWS, C) each."""
    step = max(1, len(front.mask) // 256)
    labs = [srgb_to_lab(part.color[::step, ::step]) for part in (front, side)]
    weights = [part.weight[::step, ::step] for part in (front, side)]
    centers = cluster_colors(np.concatenate(labs), np.concatenate(weights) > 0)
    rows = (top + (np.arange(_ROWS) + 0.5) * (bottom - top) / _ROWS - 0.5) / step
    described = []
    for lab, weight in zip(labs, weights, strict=True):
        near = cdist(weigh_lab(lab).reshape(-1, 3), centers).argmin(axis=1).reshape(weight.shape)
        amounts = ((near[..., None] == np.arange(len(centers))) * weight[..., None]).sum(axis=1)
        shares = amounts / np.maximum(amounts.sum(axis=1), 1e-6)[:, None]
        described.append(np.stack([np.interp(rows, np.arange(len(shares)), column) for column in shares.T]).T)
    return np.sqrt(described[0]), np.sqrt(described[1])


def _compare_rows(one: FloatArray, two: FloatArray, most: int) -> Float64Array:
    """Hellinger distances (_ROWS, 2 most + 1) of each row of `one` and the rows around it of `two`."""
    columns = []
    for shift in range(-most, most + 1):
        rows = np.clip(np.arange(_ROWS) + shift, 0, _ROWS - 1)
        distance = np.linalg.norm(one - two[rows], axis=1) / np.sqrt(2)
        columns.append(ndimage.uniform_filter1d(distance, 3) + _SHIFT_COST * abs(shift))
    return np.stack(columns, axis=1)


def _find_shifts(cost: Float64Array, most: int) -> Float64Array:
    """Shifts (_ROWS,) of the least total of costs (_ROWS, 2 most + 1) and slopes, by at most one a row."""
    total, came = cost[0].copy(), np.zeros(cost.shape, np.int64)
    for row in range(1, len(cost)):
        padded = np.pad(total, 1, constant_values=np.inf)
        choices = np.stack((padded[:-2] + _SLOPE_COST, total, padded[2:] + _SLOPE_COST))
        best = choices.argmin(axis=0)
        came[row] = best - 1
        total = np.take_along_axis(choices, best[None], axis=0)[0] + cost[row]
    path = np.empty(len(cost), np.int64)
    path[-1] = total.argmin()
    for row in range(len(cost) - 1, 0, -1):
        path[row - 1] = path[row] + came[row, path[row]]
    return (path - most).astype(np.float64)


def warp_rows(image: FloatArray, rows: Float64Array, mask: BoolArray) -> FloatArray:
    """Take the rows (S,) of an image (S, S, 4), and fit the subject in each to that of a mask (S, S)."""
    size = len(mask)
    alpha = ndimage.map_coordinates(
        image[..., 3], np.meshgrid(rows, np.arange(size), indexing="ij"), order=1, mode="nearest"
    )
    first, last = _find_extents(alpha >= 0.5)
    left, right = _find_extents(mask)
    from_left, from_right = (_smooth(item, mask) for item in (first - left, last - right))
    columns = np.arange(size) + np.zeros((size, 1))
    for end, shift, inward in ((left, from_left, 1), (right, from_right, -1)):
        zone = np.maximum(_NEAR * (right - left), _STEEPEST * np.abs(shift))[:, None]
        depth = ((np.arange(size) - end[:, None]) * inward / zone).clip(0, 1)
        columns += shift[:, None] * (1 - depth) ** 2
    columns = np.where(np.isnan(columns), np.arange(size), columns)
    if max(np.abs(columns - np.arange(size))[mask].max(), np.abs(rows - np.arange(size)).max()) < 0.5:
        return image
    grid = (2 * np.stack((columns, np.broadcast_to(rows[:, None], columns.shape)), axis=2) + 1) / size - 1
    layers = array_to_tensor(image).permute(2, 0, 1)[None]
    found = torch.nn.functional.grid_sample(
        layers, array_to_tensor(grid.astype(np.float32))[None], "bicubic", "border", align_corners=False
    )
    return tensor_to_array(found[0].permute(1, 2, 0))


def _find_extents(mask: BoolArray) -> tuple[FloatArray, FloatArray]:
    """First and last column (H,) of each row of a mask (H, W); NaN in empty rows."""
    seen, size = mask.any(axis=1), mask.shape[1]
    ends = mask.argmax(axis=1), size - 1 - mask[:, ::-1].argmax(axis=1)
    first, last = (np.where(seen, end, np.nan) for end in ends)
    return first, last


def _smooth(shift: FloatArray, mask: BoolArray) -> FloatArray:
    """Shifts (H,) of outlines, even over neighboring rows; NaN is filled in."""
    size, known = len(shift), np.flatnonzero(~np.isnan(shift))
    filled = np.interp(np.arange(size), known, shift[known])
    window = 2 * round(_OUTLINE_EVEN * size) + 1
    return ndimage.gaussian_filter1d(ndimage.median_filter(filled, window), _OUTLINE_EVEN * size)
