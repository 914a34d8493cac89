"""The bounding box of a mask."""

from __future__ import annotations

import numpy as np

from .frozen import BoolArray


def find_box(mask: BoolArray) -> tuple[int, int, int, int]:
    """Bounding box of a non-empty mask: first column, first row, last column + 1, last row + 1."""
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
