"""Rasterize many charts at once, each in a window of its own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from ..rasterize import list_covered_samples

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Windows(NamedTuple):
    """Texels of all windows lie one after another, row by row.

    corners: (F, 3, 2) in texels of the face's window. start: (C,) each window's first texel. sides: (C, 2)
    its width and height.
    """

    corners: Floats
    start: Ints
    sides: Ints


def open_windows(corners: Floats, chart: Ints, cell: int = 1, margin: int = 0) -> Windows:
    """Move charts, corners (F, 3, 2) in texels, by whole texels into windows of whole cells.

    margin: empty cells on each side.
    """
    low, high = bound_charts(corners, chart)
    low = np.floor(low)
    sides = (np.floor((high - low) / cell).astype(np.int64) + 1 + 2 * margin) * cell
    texels = sides.prod(axis=1)
    return Windows(corners - low[chart][:, None] + margin * cell, np.cumsum(texels) - texels, sides)


def bound_charts(corners: Floats, chart: Ints) -> tuple[Floats, Floats]:
    """Lowest and highest coordinates of charts with corners (F, 3, 2): two (C, 2)."""
    order = np.argsort(chart, kind="stable")
    first = np.flatnonzero(np.diff(chart[order], prepend=-1))
    low = np.minimum.reduceat(corners.min(axis=1)[order], first)
    return low, np.maximum.reduceat(corners.max(axis=1)[order], first)


def double_areas(corners: Floats) -> Floats:
    """Twice the signed areas (F,) of faces (F, 3, 2), positive from the first axis to the second."""
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    doubled: Floats = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    return doubled


def list_texels(windows: Windows, chart: Ints) -> tuple[Ints, Ints]:
    """Every face and texel, two (N,), where the texel's centre is the face's."""
    side = int(windows.sides.max())
    flat = torch.from_numpy(windows.corners.reshape(-1, 2))
    triangles = torch.arange(len(flat)).reshape(-1, 3)
    face, pixel = (item.numpy() for item in list_covered_samples(flat, triangles, (side, side)))
    row, owner = pixel // side, chart[face]
    return face, windows.start[owner] + row * (windows.sides[owner, 0] - side) + pixel
