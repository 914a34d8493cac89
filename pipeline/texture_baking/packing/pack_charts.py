"""Pack flat charts into a square by their shapes, not their boxes.

Each chart becomes a bitmap of cells a few texels wide. The texels are those that the rasterizer will give
the chart, as every chart moves by whole texels and turns by quarters; so gaps are exact, and texels that
two faces of a chart would own are found before they are. Packing itself is `place_bitmaps`; the scale at
which it just fills the square is found on coarse bitmaps.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from ...progress import Progress, span_progress
from ...rasterize import SUBPIXELS
from ..chart_raster import bound_charts, double_areas, list_texels, open_windows
from .bitmap_nesting import Bitmap, place_bitmaps

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_CELLS = 512
"""Cells across the square, about: finer ones pack closer and take longer."""
_EXPECTED = 0.68
"""Share of the square that charts may cover."""
_COARSE_TRIES = 3
_CLOSE = 0.04
_CAUTION = 0.965
"""Of the scale found on coarse bitmaps: a second try on fine ones costs more than these few percent."""
_OVERFULL = 4.0
"""Stands for the filling where not even two squares hold the charts."""
_ANGLES = 24


class _Drawing(NamedTuple):
    """corners: (F, 3, 2) texels, each chart's in its window. bitmaps: of each chart."""

    corners: Floats
    bitmaps: list[Bitmap]


def stand_charts(flat: Floats, owner: Ints) -> Floats:
    """Turn each chart to its smallest box: (W, 2). owner: (W,) each vertex's chart."""
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


def _rotation(angle: float) -> Floats:
    return np.array([(math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))])


def estimate_scale(corners: Floats, chart: Ints, inner: int) -> float:
    """Texels per metre at which charts, corners (F, 3, 2) in metres, may fit a square of so many texels."""
    area = np.abs(double_areas(corners)).sum() / 2
    by_area = inner * math.sqrt(_EXPECTED / max(float(area), 1e-20))
    return min(by_area, _find_largest_scale(corners, chart, inner))


def find_scale(
    corners: Floats, chart: Ints, scale: float, size: int, padding: int, progress: Progress
) -> float:
    """A scale, from one near it, at which charts just fit the square of `size` texels with its padding.

    Measured on cells twice as wide: with so much less padding they leave like gaps, at a quarter of the work.
    """
    cell, inner = _measure_cell(size), size - 2 * padding
    largest = _find_largest_scale(corners, chart, inner - 2 * cell)
    scale, spared = min(scale, largest), max(padding - cell, 0) // 2
    for done in range(_COARSE_TRIES):
        watch = span_progress(progress, done / _COARSE_TRIES, (done + 1) / _COARSE_TRIES)
        drawing = _draw_charts(corners * (scale / 2), chart, cell, spared)
        columns = max(inner // (2 * cell), 1)
        found = place_bitmaps(drawing.bitmaps, columns, 2 * columns, watch)
        filled = _OVERFULL if found is None else found.rows / columns
        scale = min(scale / math.sqrt(filled), largest)
        if abs(filled - 1) < _CLOSE:
            break
    return scale * _CAUTION


def _find_largest_scale(corners: Floats, chart: Ints, inner: int) -> float:
    """Texels per metre at which the longest chart is so many texels long."""
    low, high = bound_charts(corners, chart)
    return max(inner, 1) / max(float((high - low).max()), 1e-20)


def _measure_cell(size: int) -> int:
    """Texels across one cell."""
    return max(round(size / _CELLS), 1)


def snap_corners(corners: Floats) -> Floats:
    """Keep to the rasterizer's subpixels, so that a chart owns the same texels wherever it goes."""
    return np.round(corners * SUBPIXELS) / SUBPIXELS


def _draw_charts(corners: Floats, chart: Ints, cell: int, padding: int) -> _Drawing:
    """Draw charts, corners (F, 3, 2) in texels, each into a window of its own, in cells of so many texels."""
    margin = -(-padding // cell)
    windows = open_windows(snap_corners(corners), chart, cell, margin)
    _, texel = list_texels(windows, chart)
    drawn = np.zeros(int(windows.sides.prod(axis=1).sum()), np.float32)
    drawn[texel] = 1
    # Faces too thin to own all texels that they cross need their place too.
    face, points = _trace_thin_faces(windows.corners)
    column, row = np.floor(points).astype(np.int64).T
    drawn[windows.start[chart[face]] + row * windows.sides[chart[face], 0] + column] = 1
    bitmaps = [
        _shrink_window(drawn[start : start + wide * high].reshape(high, wide), cell, padding, margin)
        for start, (wide, high) in zip(windows.start, windows.sides, strict=True)
    ]
    return _Drawing(windows.corners - margin * cell, bitmaps)


def _trace_thin_faces(corners: Floats) -> tuple[Ints, Floats]:
    """Faces less than two texels high and points on their sides, half a texel apart: (N,) and (N, 2)."""
    sides = np.roll(corners, -1, axis=1) - corners
    longest = np.linalg.norm(sides, axis=2).max(axis=1)
    doubled = sides[:, 0, 0] * sides[:, 1, 1] - sides[:, 0, 1] * sides[:, 1, 0]
    thin = np.flatnonzero(np.abs(doubled) <= 2 * longest)
    steps = np.ceil(2 * longest[thin]).astype(np.int64) + 1
    face = np.repeat(thin, steps)
    along = (np.arange(len(face)) - np.repeat(np.cumsum(steps) - steps, steps)) / np.repeat(steps, steps)
    points = corners[face] + along[:, None, None] * sides[face]
    return np.repeat(face, 3), points.reshape(-1, 2)


def _shrink_window(window: npt.NDArray[np.float32], cell: int, padding: int, margin: int) -> Bitmap:
    """Cells that hold a drawn texel, and those that hold one within the padding."""
    pooled = torch.from_numpy(window)[None]
    inner = slice(margin, -margin or None)
    solid = torch.nn.functional.max_pool2d(pooled, cell)[0].numpy()[inner, inner] > 0
    reach = cell + 2 * padding
    pooled = torch.nn.functional.max_pool2d(pooled, (1, reach), (1, cell), (0, padding))
    pooled = torch.nn.functional.max_pool2d(pooled, (reach, 1), (cell, 1), (padding, 0))
    return Bitmap(solid, pooled[0].numpy() > 0)


def place_charts(
    corners: Floats, chart: Ints, size: int, padding: int, progress: Progress
) -> tuple[Floats, float]:
    """Place charts, corners (F, 3, 2) in texels, by whole texels and quarter turns, in a square of `size`.

    Returns the new corners and how much of the square's height they take; above 1 they reach out of it.
    """
    cell = _measure_cell(size)
    drawing = _draw_charts(corners, chart, cell, padding)
    columns = max((size - 2 * padding) // cell, 1)
    found = place_bitmaps(drawing.bitmaps, columns, 2 * columns, progress)
    if found is None:
        return corners, _OVERFULL
    high, wide = (np.array([item.solid.shape for item in drawing.bitmaps])[chart] * cell).T[..., None]
    row, column, turn = found.places[chart].T[..., None]
    u, v = drawing.corners[..., 0], drawing.corners[..., 1]
    x = np.choose(turn, (u, v, wide - u, high - v)) + column * cell
    y = np.choose(turn, (v, wide - u, high - v, u)) + row * cell
    return np.stack((x, y), axis=-1) + padding, found.rows / columns


def shelve_charts(corners: Floats, chart: Ints, size: int, padding: int) -> Floats:
    """Corners (F, 3, 2) in texels, of any number of charts in rows, each in its box: quick, and not close.

    The padding gives way where there are too many charts for it.
    """
    low, high = bound_charts(corners, chart)
    sides = high - low
    order = np.argsort(-sides[:, 1], kind="stable")
    gap = min(padding, size / (4 * math.sqrt(len(sides))))
    inner, best = size - 2 * gap, None
    scale, step = inner / max(float(sides.max()), 1e-20), 0.5
    for _ in range(24):
        place, used = _fill_shelves(sides[order] * scale + gap, inner + gap)
        if used <= inner + gap:
            best = scale, place
        scale *= 1 + step if used <= inner + gap else 1 / (1 + step)
        step = step if best is None else 0.8 * step
    scale, place = best or (0.0, np.zeros_like(sides))
    offset = np.empty_like(sides)
    offset[order] = place + gap
    return (corners - low[chart][:, None]) * scale + offset[chart][:, None]


def _fill_shelves(boxes: Floats, width: float) -> tuple[Floats, float]:
    """Lower corners (C, 2) of boxes, from high to low, in rows, and the height of all."""
    usable = width - float(boxes[:, 0].max())
    if usable <= 0:
        return boxes, math.inf if len(boxes) > 1 or usable < 0 else float(boxes[0, 1])
    before = np.cumsum(boxes[:, 0]) - boxes[:, 0]
    shelf = np.floor(before / usable)
    _, first, shelf_of = np.unique(shelf, return_index=True, return_inverse=True)
    bottom = np.concatenate(([0.0], np.cumsum(boxes[first, 1])))
    place = np.stack((before - before[first][shelf_of], bottom[shelf_of]), axis=1)
    return place, float(bottom[-1])
