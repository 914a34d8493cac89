"""Areas of triangles, in space and in the plane."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..types import Float64Array, FloatArray, Int64Array, IntArray
from .normals import compute_face_normals


def measure_areas(positions: FloatArray, faces: IntArray) -> FloatArray:
    """Return the area (F,) of every triangle; positions (V, 3), faces (F, 3)."""
    return compute_face_normals(positions.astype(np.float64), faces)[1]


def sample_surface(positions: FloatArray, faces: IntArray, count: int) -> Float64Array:
    """Return `count` points (N, 3) spread over a surface by area; always the same ones for the same mesh."""
    return spread_points(positions, faces, count)[0]


def spread_points(positions: FloatArray, faces: IntArray, count: int) -> tuple[Float64Array, Int64Array]:
    """Return the points of `sample_surface`, and the face (N,) that each lies in."""
    rng = np.random.default_rng(0)
    corners = positions[faces].astype(np.float64)
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    total = np.cumsum(np.linalg.norm(np.cross(one, two), axis=1))
    chosen = np.searchsorted(total, (np.arange(count) + rng.random(count)) / count * total[-1])
    chosen = np.minimum(chosen, len(faces) - 1)
    across, along = np.sqrt(rng.random(count))[:, None], rng.random(count)[:, None]
    return corners[chosen, 0] + across * ((1 - along) * one[chosen] + along * two[chosen]), chosen


def measure_double_areas(corners: Any) -> Any:
    """Return twice the signed area (F,) of plane triangles (F, 3, 2), as a tensor for a tensor.

    Positive where the corners run from the first axis towards the second.
    """
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
