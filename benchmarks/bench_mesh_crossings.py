"""How many pairs of faces of a mesh cross each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
_ROWS = 500


def count_crossings(points: Array, faces: Array) -> int:
    """Return how many pairs of the faces (F, 3), without a common point, cross; tested edge against face."""
    low, high = points[faces].min(axis=1), points[faces].max(axis=1)
    crossing = 0
    for at in range(0, len(faces), _ROWS):
        rows = slice(at, at + _ROWS)
        near = ((low[rows, None] <= high[None]) & (low[None] <= high[rows, None])).all(axis=2)
        first, second = np.nonzero(near)
        first = first + at
        kept = first < second
        first, second = first[kept], second[kept]
        apart = ~(faces[first][:, :, None] == faces[second][:, None]).any(axis=(1, 2))
        first, second = first[apart], second[apart]
        crossed = np.zeros(len(first), bool)
        for one, other in ((first, second), (second, first)):
            for corner in range(3):
                ends = points[faces[one, corner]], points[faces[one, (corner + 1) % 3]]
                crossed |= _cross_faces(*ends, points[faces[other]])
        crossing += int(crossed.sum())
    return crossing


def _cross_faces(start: Array, end: Array, corners: Array) -> Array:
    """(K,) whether segments (K, 3) pass through triangles (K, 3, 3): T. Möller, B. Trumbore, 1997."""
    along, b, c = end - start, corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    across = np.cross(along, c)
    scale = np.einsum("ij,ij->i", b, across)
    scale = np.where(np.abs(scale) < 1e-15, np.inf, scale)
    offset = start - corners[:, 0]
    u = np.einsum("ij,ij->i", offset, across) / scale
    turned = np.cross(offset, b)
    v = np.einsum("ij,ij->i", along, turned) / scale
    t = np.einsum("ij,ij->i", c, turned) / scale
    return np.isfinite(scale) & (u >= 0) & (v >= 0) & (u + v <= 1) & (t >= 0) & (t <= 1)
