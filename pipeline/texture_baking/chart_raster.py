"""Rasterize many charts in one call, each into its own window."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from ..device import CPU, array_to_tensor, tensor_to_array
from ..rasterize import iterate_covered_samples
from ..types import Float64Array, Int64Array


class ChartWindows(NamedTuple):
    """One window per chart; the texels of all windows are numbered consecutively, row by row.

    corners: (F, 3, 2) faces, in texels of their window. start: (C,) number of each window's first texel.
    sides: (C, 2) width and height.
    """

    corners: Float64Array
    start: Int64Array
    sides: Int64Array


def make_windows(corners: Float64Array, chart: Int64Array, cell: int = 1, margin: int = 0) -> ChartWindows:
    """Shift charts, faces (F, 3, 2) in texels, by whole texels into windows of their own.

    The sides are multiples of `cell` texels. margin: empty cells on each side.
    """
    low, high = bound_charts(corners, chart)
    low = np.floor(low)
    sides = (np.floor((high - low) / cell).astype(np.int64) + 1 + 2 * margin) * cell
    texels = sides.prod(axis=1)
    return ChartWindows(corners - low[chart][:, None] + margin * cell, np.cumsum(texels) - texels, sides)


def bound_charts(corners: Float64Array, chart: Int64Array) -> tuple[Float64Array, Float64Array]:
    """Lowest and highest coordinates, (C, 2) each, of charts with faces (F, 3, 2)."""
    order = np.argsort(chart, kind="stable")
    first = np.flatnonzero(np.diff(chart[order], prepend=-1))
    low = np.minimum.reduceat(corners.min(axis=1)[order], first)
    return low, np.maximum.reduceat(corners.max(axis=1)[order], first)


def iterate_window_texels(
    windows: ChartWindows, chart: Int64Array, device: torch.device = CPU
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Faces and numbers, (N,) int64, of texels whose centers lie in a face, block by block; chart: (F,)."""
    side = int(windows.sides.max())
    flat = array_to_tensor(windows.corners.reshape(-1, 2), device)
    triangles = torch.arange(len(flat), device=device).reshape(-1, 3)
    # A row of a window is shorter than a row of the square that all windows are rasterized in.
    shortening = array_to_tensor(windows.sides[chart, 0] - side, device)
    start = array_to_tensor(windows.start[chart], device)
    for face, pixel in iterate_covered_samples(flat, triangles, (side, side)):
        row, starts = pixel.div(side, rounding_mode="floor"), start.index_select(0, face)
        yield face, starts + row * shortening.index_select(0, face) + pixel


def list_shared_texels(
    windows: ChartWindows, chart: Int64Array, device: torch.device = CPU
) -> tuple[Int64Array, Int64Array]:
    """As `iterate_window_texels`, but only the texels that several faces cover, as arrays of all."""
    blocks = list(iterate_window_texels(windows, chart, device))
    if not blocks:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    face, texel = map(torch.cat, zip(*blocks, strict=True))
    shared = torch.bincount(texel)[texel] > 1
    return tensor_to_array(face[shared]), tensor_to_array(texel[shared])
