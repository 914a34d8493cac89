"""Swords, staffs and spears beside a figure: pieces that are long, narrow and thin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..types import BoolArray, IntArray
from .pieces import MAX_PIECES, Pieces

_LENGTH, _WIDTH, _THICKNESS = 0.3, 0.25, 0.1
"""Length at least, as a share of the whole mesh; width and thickness at most, as shares of the length."""


def find_blades(pieces: Pieces) -> list[BoolArray]:
    """Return the faces (F,) bool of each such piece; none if the mesh is nothing but such pieces."""
    if not 1 < len(pieces.area) <= MAX_PIECES:
        return []
    size = pieces.size(np.ones(len(pieces.area), bool))
    found = []
    for index in np.flatnonzero(np.linalg.norm(pieces.high - pieces.low, axis=1) >= _LENGTH * size):
        points = pieces.points(index) - pieces.points(index).mean(axis=0)
        axes = np.linalg.svd(points, full_matrices=False)[2]
        thickness, width, length = np.sort(np.ptp(points @ axes.T, axis=0))
        if length >= _LENGTH * size and width <= _WIDTH * length and thickness <= _THICKNESS * length:
            found.append(pieces.label == index)
    return [] if len(found) == len(pieces.area) else found


def drop_blades(faces: IntArray, blades: Sequence[BoolArray]) -> IntArray:
    """Return the faces (F, 3) that are of none of `blades`."""
    return faces[~np.any(blades, axis=0)] if blades else faces
