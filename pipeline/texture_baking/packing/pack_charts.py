"""Pack flat charts into a square by their shapes rather than their boxes.

Each chart becomes a bitmap of cells a few texels wide. As charts move by whole texels and turn by quarters
only, they cover the same texels wherever they end up: the gaps between them are exact, and overlaps within a
chart are found beforehand. Packing itself is `nest_bitmaps`; the scale at which the charts just fill the
square is found on coarser bitmaps.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from ...device import tensor_to_array
from ...mesh.areas import measure_double_areas
from ...progress import Progress, span_progress
from ...rasterize import SUBPIXELS
from ...types import Float64Array, Int64Array
from ..chart_raster import bound_charts, iterate_window_texels, make_windows
from .bitmap_nesting import Bitmap, nest_bitmaps

MANY_CHARTS = 2000
"""From this number on charts are packed by their boxes: nesting takes about a millisecond per chart."""
_CELLS_ACROSS = 512
"""Approximate number of cells along the square: more of them pack closer and take longer."""
_EXPECTED_UTILIZATION = 0.68
"""Share of the square that charts can be expected to cover."""
_COARSE_TRIES = 3
_SCALE_TOLERANCE = 0.04
_SCALE_RESERVE = 0.965
"""Factor on the scale found on coarse bitmaps; a second try on fine ones would cost more than this loses."""
_OVERFULL = 4.0
"""The reported height, in squares, if the charts do not even fit into two."""
_ANGLES = 24


class _Drawing(NamedTuple):
    """corners: (F, 3, 2) in texels of their chart's bitmap. bitmaps: one per chart."""

    corners: Float64Array
    bitmaps: list[Bitmap]


def orient_charts(flat: Float64Array, owner: Int64Array) -> Float64Array:
    """Rotate each chart so that its bounding box is smallest: (W, 2). owner: (W,) chart of each vertex."""
    order = np.argsort(owner, kind="stable")
    first = np.flatnonzero(np.diff(owner[order], prepend=-1))
    best, chosen = np.full(len(first), np.inf), np.zeros(len(first))
    for angle in np.arange(_ANGLES) * (math.pi / 2 / _ANGLES):
        turned = flat[order] @ _rotation(angle)
        size = np.maximum.reduceat(turned, first) - np.minimum.reduceat(turned, first)
        better = size.prod(axis=1) < best * (1 - 1e-6)
        best, chosen = np.where(better, size.prod(axis=1), best), np.where(better, angle, chosen)
    turn = np.stack([_rotation(angle) for angle in chosen])
    return np.einsum("wi,wij->wj", flat, turn[owner])


def _rotation(angle: float) -> Float64Array:
    return np.array([(math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))])


def estimate_scale(corners: Float64Array, chart: Int64Array, inner: int) -> float:
    """Texels per metre at which charts, faces (F, 3, 2) in metres, may fit a square of `inner` texels."""
    area = np.abs(measure_double_areas(corners)).sum() / 2
    by_area = inner * math.sqrt(_EXPECTED_UTILIZATION / max(float(area), 1e-20))
    return min(by_area, _find_largest_scale(corners, chart, inner))


def find_scale(
    corners: Float64Array,
    chart: Int64Array,
    scale: float,
    size: int,
    padding: int,
    device: torch.device,
    progress: Progress,
) -> float:
    """Refine a scale, texels per metre, until the charts just fit a square of `size` texels.

    Measured at half the resolution, at a quarter of the cost; the padding is reduced accordingly.
    """
    cell, inner = _measure_cell(size), size - 2 * padding
    largest = _find_largest_scale(corners, chart, inner - 2 * cell)
    scale, coarse_padding = min(scale, largest), max(padding - cell, 0) // 2
    for done in range(_COARSE_TRIES):
        part = span_progress(progress, done / _COARSE_TRIES, (done + 1) / _COARSE_TRIES)
        drawing = _draw_charts(corners * (scale / 2), chart, cell, coarse_padding, device)
        columns = max(inner // (2 * cell), 1)
        nesting = nest_bitmaps(drawing.bitmaps, columns, 2 * columns, part)
        filled = _OVERFULL if nesting is None else nesting.rows / columns
        scale = min(scale / math.sqrt(filled), largest)
        if abs(filled - 1) < _SCALE_TOLERANCE:
            break
    return scale * _SCALE_RESERVE


def _find_largest_scale(corners: Float64Array, chart: Int64Array, inner: int) -> float:
    """Texels per metre at which the longest chart is `inner` texels long."""
    low, high = bound_charts(corners, chart)
    return max(inner, 1) / max(float((high - low).max()), 1e-20)


def _measure_cell(size: int) -> int:
    """Texels along one side of a cell."""
    return max(round(size / _CELLS_ACROSS), 1)


def snap_corners(corners: Float64Array) -> Float64Array:
    """Round to the rasterizer's subpixels, so that a chart covers the same texels wherever it is placed."""
    return np.round(corners * SUBPIXELS) / SUBPIXELS


def _draw_charts(
    corners: Float64Array, chart: Int64Array, cell: int, padding: int, device: torch.device
) -> _Drawing:
    """Draw charts, faces (F, 3, 2) in texels, into bitmaps whose cells are `cell` texels wide."""
    margin = -(-padding // cell)
    windows = make_windows(snap_corners(corners), chart, cell, margin)
    covered = torch.zeros(int(windows.sides.prod(axis=1).sum()), device=device)
    for _, texel in iterate_window_texels(windows, chart, device):
        covered[texel] = 1
    drawn = tensor_to_array(covered)
    # Faces too thin to cover the centers of all texels that they cross need room too.
    face, points = _trace_thin_faces(windows.corners)
    column, row = np.floor(points).astype(np.int64).T
    drawn[windows.start[chart[face]] + row * windows.sides[chart[face], 0] + column] = 1
    bitmaps = [
        _shrink_window(drawn[start : start + wide * high].reshape(high, wide), cell, padding, margin)
        for start, (wide, high) in zip(windows.start, windows.sides, strict=True)
    ]
    return _Drawing(windows.corners - margin * cell, bitmaps)


def _trace_thin_faces(corners: Float64Array) -> tuple[Int64Array, Float64Array]:
    """Faces less than two texels high, and points on their sides half a texel apart: (N,) and (N, 2)."""
    sides = np.roll(corners, -1, axis=1) - corners
    longest = np.linalg.norm(sides, axis=2).max(axis=1)
    thin = np.flatnonzero(np.abs(measure_double_areas(corners)) <= 2 * longest)
    steps = np.ceil(2 * longest[thin]).astype(np.int64) + 1
    face = np.repeat(thin, steps)
    along = (np.arange(len(face)) - np.repeat(np.cumsum(steps) - steps, steps)) / np.repeat(steps, steps)
    points = corners[face] + along[:, None, None] * sides[face]
    return np.repeat(face, 3), points.reshape(-1, 2)


def _shrink_window(window: npt.NDArray[np.float32], cell: int, padding: int, margin: int) -> Bitmap:
    """The cells that contain a drawn texel, and those that have one within the padding."""
    pooled = torch.from_numpy(window)[None]
    inner = slice(margin, -margin or None)
    mask = torch.nn.functional.max_pool2d(pooled, cell)[0].numpy()[inner, inner] > 0
    reach = cell + 2 * padding
    pooled = torch.nn.functional.max_pool2d(pooled, (1, reach), (1, cell), (0, padding))
    pooled = torch.nn.functional.max_pool2d(pooled, (reach, 1), (cell, 1), (padding, 0))
    return Bitmap(mask, pooled[0].numpy() > 0)


def nest_charts(
    corners: Float64Array,
    chart: Int64Array,
    size: int,
    padding: int,
    device: torch.device,
    progress: Progress,
) -> tuple[Float64Array, float]:
    """Pack charts, faces (F, 3, 2) in texels, into a square of `size` texels without scaling them.

    Returns the new corners and the used share of the square's height, which exceeds 1 if they do not fit.
    """
    cell = _measure_cell(size)
    drawing = _draw_charts(corners, chart, cell, padding, device)
    columns = max((size - 2 * padding) // cell, 1)
    nesting = nest_bitmaps(drawing.bitmaps, columns, 2 * columns, progress)
    if nesting is None:
        return corners, _OVERFULL
    high, wide = (np.array([item.mask.shape for item in drawing.bitmaps])[chart] * cell).T[..., None]
    row, column, turn = nesting.places[chart].T[..., None]
    u, v = drawing.corners[..., 0], drawing.corners[..., 1]
    x = np.choose(turn, (u, v, wide - u, high - v)) + column * cell
    y = np.choose(turn, (v, wide - u, high - v, u)) + row * cell
    return np.stack((x, y), axis=-1) + padding, nesting.rows / columns


def pack_boxes(corners: Float64Array, chart: Int64Array, size: int, padding: int) -> Float64Array:
    """Pack charts, faces (F, 3, 2), by their bounding boxes in rows: (F, 3, 2) in texels.

    Fast for any number of charts, at a lower utilization. The padding shrinks if there are too many charts.
    """
    low, high = bound_charts(corners, chart)
    sides = high - low
    order = np.argsort(-sides[:, 1], kind="stable")
    gap = min(padding, size / (4 * math.sqrt(len(sides))))
    inner, best = size - 2 * gap, None
    scale, step = inner / max(float(sides.max()), 1e-20), 0.5
    for _ in range(24):
        place, used = _fill_rows(sides[order] * scale + gap, inner + gap)
        if used <= inner + gap:
            best = scale, place
        scale *= 1 + step if used <= inner + gap else 1 / (1 + step)
        step = step if best is None else 0.8 * step
    scale, place = best or (0.0, np.zeros_like(sides))
    offset = np.empty_like(sides)
    offset[order] = place + gap
    return (corners - low[chart][:, None]) * scale + offset[chart][:, None]


def _fill_rows(boxes: Float64Array, width: float) -> tuple[Float64Array, float]:
    """Place boxes (C, 2), sorted by height, in rows: their first corners (C, 2) and the total height."""
    usable = width - float(boxes[:, 0].max())
    if usable <= 0:
        return boxes, math.inf if len(boxes) > 1 or usable < 0 else float(boxes[0, 1])
    before = np.cumsum(boxes[:, 0]) - boxes[:, 0]
    _, first, row = np.unique(np.floor(before / usable), return_index=True, return_inverse=True)
    bottom = np.concatenate(([0.0], np.cumsum(boxes[first, 1])))
    place = np.stack((before - before[first][row], bottom[row]), axis=1)
    return place, float(bottom[-1])
