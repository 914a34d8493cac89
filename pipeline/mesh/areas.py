"""Areas of triangles, in space and in the plane."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..types import FloatArray, IntArray
from .normals import compute_face_normals


def measure_areas(positions: FloatArray, faces: IntArray) -> FloatArray:
    """Return the area (F,) of every triangle; positions (V, 3), faces (F, 3)."""
    return compute_face_normals(positions.astype(np.float64), faces)[1]


def measure_double_areas(corners: Any) -> Any:
    """Return twice the signed area (F,) of plane triangles (F, 3, 2), as a tensor for a tensor.

    Positive where the corners run from the first axis towards the second.
    """
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
