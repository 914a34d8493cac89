"""Flatten the soles: what ends near the ground is moved down to it and extended below."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ..types import BoolArray, FloatArray
from .silhouette import Silhouette

_NEAR_GROUND = 0.025
_SOLE_CURVE = 0.02
"""Shares of the height: the distance to the ground within which a part stands on it; the soles' curve."""
_CONTINUED = 0.06
_SETTLED = 0.06
"""Shares of the height: the extension below the ground; the height up to which feet are moved down."""


class Ground(NamedTuple):
    """extended: (H + n, W) bool, the silhouette extended below the ground, which cuts it flat.

    height: (H + n, W) float32, height of each cell above the ground with flat soles, in cells.
    """

    extended: BoolArray
    height: FloatArray


def settle_on_ground(silhouette: Silhouette) -> Ground:
    """Put each foot on the ground: its sole may look bent, or higher up because it is farther away."""
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
    """Return which columns (W,) stand on the ground, and how far above it they end."""
    parts, count = ndimage.label(lowest >= silhouette.ground - _NEAR_GROUND * silhouette.height)
    stands, gap = np.zeros(len(parts), dtype=bool), np.zeros(len(parts), dtype=np.float32)
    for part in range(1, count + 1):
        columns = np.flatnonzero(parts == part)
        sole = lowest[columns] >= lowest[columns].max() - _SOLE_CURVE * silhouette.height
        stands[columns] = sole
        gap[columns] = np.maximum(silhouette.ground - 0.5 - lowest[columns], 0.0)
    return stands, gap
