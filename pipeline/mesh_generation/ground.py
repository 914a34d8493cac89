"""Flat soles: what ends near the ground is set down on it and continued below."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ..types import BoolArray, FloatArray
from .silhouette import Silhouette

_NEAR_GROUND = 0.025
_SOLE_CURVE = 0.02
"""Shares of the height: what ends so near the ground stands on it, and how far soles curve up."""
_CONTINUED = 0.06
_SETTLED = 0.06
"""Shares of the height: how far below the ground the figure goes on; up to where it is pulled down."""


class Ground(NamedTuple):
    """extended: (H + n, W) bool, the silhouette continued below the ground, which cuts it flat.

    height: (H + n, W) float32, of each cell above the ground once the soles are flat, in cells.
    """

    extended: BoolArray
    height: FloatArray


def settle_on_ground(silhouette: Silhouette) -> Ground:
    """Set down each foot, whose sole the picture may show bent or, farther off, higher up."""
    inside = silhouette.inside
    rows = inside.shape[0] + int(_CONTINUED * silhouette.height)
    lowest = np.where(inside.any(axis=0), inside.shape[0] - 1 - np.argmax(inside[::-1], axis=0), -1)
    stands, gap = _measure_gaps(lowest, silhouette)
    row = np.arange(rows, dtype=np.float32)[:, None]
    extended = np.zeros((rows, inside.shape[1]), dtype=bool)
    extended[: len(inside)] = inside
    extended |= stands & (row > lowest) & (row < rows - 1)
    height = silhouette.ground - row
    pulled = np.clip(1 - (height - gap) / (_SETTLED * silhouette.height), 0.0, 1.0)
    return Ground(extended, (height - gap * pulled).astype(np.float32))


def _measure_gaps(lowest: FloatArray, silhouette: Silhouette) -> tuple[BoolArray, FloatArray]:
    """Which columns (W,) stand on the ground, and how far they end above it."""
    parts, count = ndimage.label(lowest >= silhouette.ground - _NEAR_GROUND * silhouette.height)
    stands, gap = np.zeros(len(parts), dtype=bool), np.zeros(len(parts), dtype=np.float32)
    for part in range(1, count + 1):
        columns = np.flatnonzero(parts == part)
        sole = lowest[columns] >= lowest[columns].max() - _SOLE_CURVE * silhouette.height
        stands[columns] = sole
        gap[columns] = np.maximum(silhouette.ground - 0.5 - lowest[columns], 0.0)
    return stands, gap
