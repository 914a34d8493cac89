"""Polygons as triangles."""

from __future__ import annotations

from typing import Any

import numpy as np


def fan_polygons(sizes: Any, starts: Any = None) -> tuple[Any, Any]:
    """(T, 3) corners of the triangles of polygons, each a fan, and the polygon (T,) of each.

    sizes: (P,) numbers of corners. starts: (P,) first corners; None where the polygons follow one another.
    """
    starts = np.cumsum(sizes) - sizes if starts is None else starts
    counts = np.maximum(sizes - 2, 0)
    owner = np.repeat(np.arange(len(sizes)), counts)
    step = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    first = starts[owner]
    return np.stack((first, first + step + 1, first + step + 2), axis=1), owner
