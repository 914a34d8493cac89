"""Which points a closed surface encloses."""

from __future__ import annotations

import numpy as np

from ..types import BoolArray, Float64Array

_INSIDE = 0.5


def are_inside(points: Float64Array, triangles: Float64Array) -> BoolArray:
    """Return (N,) bool, whether points (N, 3) are inside triangles (F, 3, 3) of a closed surface.

    By the winding number: the solid angles of the triangles (A. Van Oosterom, J. Strackee, IEEE Trans.
    Biomed. Eng. 30, 1983) add up to a whole sphere around what is inside, and to nothing elsewhere. Whether
    the surface is wound inward or outward does not matter.
    """
    corners = triangles.reshape(-1, 3)
    inside = ((points >= corners.min(axis=0)) & (points <= corners.max(axis=0))).all(axis=1)
    for number in np.flatnonzero(inside):
        inside[number] = abs(_wind_around(points[number], triangles)) > _INSIDE
    return inside


def _wind_around(point: Float64Array, triangles: Float64Array) -> float:
    """How often a surface goes around a point (3,)."""
    a, b, c = np.moveaxis(triangles - point, 1, 0)
    x, y, z = (np.linalg.norm(corner, axis=1) for corner in (a, b, c))
    volume = np.einsum("ij,ij->i", a, np.cross(b, c))
    ab, bc, ca = (np.einsum("ij,ij->i", *pair) for pair in ((a, b), (b, c), (c, a)))
    return float(np.arctan2(volume, x * y * z + ab * z + bc * x + ca * y).sum() / (2 * np.pi))
