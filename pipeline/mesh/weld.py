"""Weld vertices that lie at one place: exporters split them along UV seams and hard edges."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..types import FloatArray, Int64Array

GRID_STEPS = 1 << 20
"""Cells along the longest axis in which `weld_near` merges vertices; three axes fit one int64."""


class WeldedVertices(NamedTuple):
    """Distinct positions, and how they relate to the vertices they came from.

    points: (P, 3). first: (P,) the first vertex at each point. inverse: (V,) the point of each vertex.
    """

    points: FloatArray
    first: Int64Array
    inverse: Int64Array


def weld_equal(positions: FloatArray) -> WeldedVertices:
    """Weld vertices (V, 3) with equal coordinates; points are sorted by x, y, z."""
    codes = np.zeros(len(positions), np.int64)
    for column in positions.T:  # three times as fast as rows compared as a whole, in the same order
        values, number = np.unique(column, return_inverse=True)
        _, first, codes = np.unique(
            codes * len(values) + number.reshape(-1), return_index=True, return_inverse=True
        )
    return WeldedVertices(positions[first], first, codes.reshape(-1))


def weld_near(positions: FloatArray) -> WeldedVertices:
    """Weld vertices (V, 3) that share a cell of a millionth of the mesh's extent.

    Each point is the position of the first vertex in its cell, float64.
    """
    points = positions.astype(np.float64)
    low = points.min(axis=0)
    extent = max(float(np.ptp(points, axis=0).max()), 1e-30)
    cell = np.rint((points - low) / extent * (GRID_STEPS - 1)).astype(np.int64)
    keys = (cell[:, 0] * GRID_STEPS + cell[:, 1]) * GRID_STEPS + cell[:, 2]
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return WeldedVertices(points[first], first, inverse.reshape(-1))
