"""Extract the surface of a sampled field as triangles."""

from __future__ import annotations

import numpy as np

from ..errors import MeshError
from ..types import FloatArray, IntArray
from .sparse_field_sampling import SampledField

_CLEARANCE = 1e-3
"""Smallest distance of values from zero, as a share of the field's mean magnitude near the surface. Values
closer to zero would put several vertices onto one grid point and make triangles without area."""


def extract_surface(field: SampledField) -> tuple[FloatArray, IntArray]:
    """Positions (V, 3) float32 and faces (F, 3) int32 where the field is zero, closed and outward-wound.

    Marching cubes (Lewiner et al., "Efficient implementation of Marching Cubes' cases with topological
    guarantees", 2003). Parts that reach the side of the cube are closed there. MeshError: no surface.
    """
    from skimage.measure import marching_cubes

    values = field.values.numpy()
    if not (values > 0).any() or not (values < 0).any():
        raise MeshError(
            f"the shape has no surface: expected a field that is positive inside and negative outside, "
            f"found values from {values.min():.3g} to {values.max():.3g} at all {field.points} points"
        )
    window = _bound_positive(values)
    inside = np.pad(values[window], 1, constant_values=-1.0)
    least = _CLEARANCE * float(np.abs(inside).mean())
    inside = np.where(np.abs(inside) < least, np.copysign(least, inside), inside)
    vertices, faces, _, _ = marching_cubes(inside, 0.0)
    corner = np.array([part.start - 1 for part in window])
    positions = (vertices + corner) * (2 * field.half_extent / field.resolution) - field.half_extent
    return positions.astype(np.float32), faces[:, ::-1].astype(np.int32)


def _bound_positive(values: FloatArray) -> tuple[slice, slice, slice]:
    """Return the smallest window with all positive values and, where there is one, a negative margin."""
    positive, window = values > 0, []
    for axis in range(3):
        rows = np.flatnonzero(positive.any(axis=tuple({0, 1, 2} - {axis})))
        window.append(slice(max(int(rows[0]) - 1, 0), min(int(rows[-1]) + 2, len(values))))
    return window[0], window[1], window[2]
