"""Joints along the lines of a curve skeleton: at its bends, and at even lengths between them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ...types import Float64Array, Int64Array

_BEND, _STEP = 0.035, 0.17
"""Shares of the mesh's longest side: how far a line bends off the straight one, and from joint to joint."""


def split_line(points: Float64Array, size: float, *, fewest: int = 1) -> Int64Array:
    """The numbers of the points (K, 3) at which a line has joints, with its first and last.

    size: the mesh's longest side. fewest: segments at least, as far as there are points.
    """
    chosen = [0, len(points) - 1]
    while (split := _find_split(points, chosen, size, fewest)) is not None:
        chosen = sorted({*chosen, split})
    return np.array(chosen)


def _find_split(points: Float64Array, chosen: list[int], size: float, fewest: int) -> int | None:
    """Where the segment that needs it most is split; None if none does."""
    worst, split = 1.0, None
    for first, last in pairwise(chosen):
        if last - first < 2:
            continue
        off, bend = _measure_bend(points[first : last + 1])
        along = np.concatenate(
            ([0.0], np.cumsum(np.linalg.norm(np.diff(points[first : last + 1], axis=0), axis=1)))
        )
        middle = int(np.clip(np.searchsorted(along, 0.5 * along[-1]), 1, last - first - 1))
        need = off / (_BEND * size)
        if need > worst:
            worst, split = need, first + bend
        need = along[-1] / (_STEP * size) / 1.5
        if len(chosen) - 1 < fewest:
            need = max(need, 1.0 + along[-1] / size)
        if need > worst:
            worst, split = need, first + middle
    return split


def _measure_bend(points: Float64Array) -> tuple[float, int]:
    """How far a line strays from the straight one between its ends, and the number of that point."""
    way = points[-1] - points[0]
    length = max(float(np.linalg.norm(way)), 1e-12)
    offset = points - points[0]
    across = np.linalg.norm(offset - np.outer(offset @ way / length**2, way), axis=1)
    return float(across.max()), int(across.argmax())
