"""Reduce the distortion of charts that are flat already, without folding a face.

Gradient descent on the symmetric Dirichlet energy (Smith and Schaefer, "Bijective Parameterization with Free
Boundaries", SIGGRAPH 2015), which is minimal where lengths are preserved and infinite where a face folds. The
gradients are smoothed by the surface's Laplacian (Sobolev gradients); each chart has its own step length.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from ..mesh.areas import measure_double_areas
from ..progress import Progress, ignore_progress
from ..types import Float64Array, Int64Array

_ROUNDS = 20
_LEAST_GAIN = 3e-4
"""The iteration stops when a round reduces the energy by a smaller share."""
_STEP_TRIALS = 4
_STIFFNESS = 8.0
"""Second derivative of the energy where lengths are preserved, in multiples of that of Dirichlet's."""
_LEAST_AREA_KEPT = 1e-6
"""Faces that keep a smaller share of their area count as folded: ignored at the start, avoided later."""
_LEAST_HEIGHT = 1e-3
"""Least ratio of height to length at which a face enters the energy, which slivers would dominate."""


class _Rest(NamedTuple):
    """The surface as it should look in the charts.

    faces: (F, 3). inverse: (F, 2, 2), maps a face's edges in the chart to its Jacobian.
    areas: (F,), 0 for ignored faces. chart: (F,).
    """

    faces: Int64Array
    inverse: Float64Array
    areas: Float64Array
    chart: Int64Array


def flatten_charts(
    corners: Float64Array,
    flat: Float64Array,
    faces: Int64Array,
    chart: Int64Array,
    progress: Progress = ignore_progress,
) -> Float64Array:
    """Return chart coordinates (W, 2) whose lengths approach those of the surface.

    corners: (F, 3, 3), metres. flat: (W, 2), initial coordinates. faces: (F, 3). chart: (F,). Faces that are
    folded initially may stay so.
    """
    rest = _read_rest(corners, flat, faces, chart)
    charts = int(chart.max()) + 1
    owner = np.zeros(len(flat), np.int64)
    owner[faces] = chart[:, None]
    solve = splu(
        _build_laplacian(rest, len(flat)), "MMD_AT_PLUS_A", 0.0, options={"SymmetricMode": True}
    ).solve
    (energy, slope), step = _measure_energy(rest, flat, charts), np.ones(charts)
    for done in range(_ROUNDS):
        progress(done / _ROUNDS)
        direction, before = solve(slope), energy.sum()
        for _ in range(_STEP_TRIALS):
            tried = flat - step[owner, None] * direction
            after, tried_slope = _measure_energy(rest, tried, charts)
            improves = after <= energy
            if improves.all():
                break
            step[~improves] /= 4
        flat = np.where(improves[owner, None], tried, flat)
        slope = np.where(improves[owner, None], tried_slope, slope)
        energy, step = np.where(improves, after, energy), np.minimum(2 * step, 1.0)
        if energy.sum() > (1 - _LEAST_GAIN) * before:
            break
    return flat


def _read_rest(corners: Float64Array, flat: Float64Array, faces: Int64Array, chart: Int64Array) -> _Rest:
    side, other = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    length = np.maximum(np.linalg.norm(side, axis=1), 1e-12)
    along = (side * other).sum(axis=1) / length
    height = np.linalg.norm(np.cross(side, other), axis=1) / length
    height = np.maximum(height, _LEAST_HEIGHT * np.maximum(length, np.abs(along)))
    inverse = np.zeros((len(faces), 2, 2))
    inverse[:, 0, 0], inverse[:, 1, 1] = 1 / length, 1 / height
    inverse[:, 0, 1] = -along / (length * height)
    areas = np.where(
        measure_double_areas(flat[faces]) > 2 * _LEAST_AREA_KEPT * length * height, length * height / 2, 0.0
    )
    return _Rest(faces, inverse, areas, chart)


def _measure_energy(rest: _Rest, flat: Float64Array, charts: int) -> tuple[Float64Array, Float64Array]:
    """The energy of each chart, (C,), infinite if a face is folded, and its gradient, (W, 2)."""
    u, v = flat[:, 0][rest.faces], flat[:, 1][rest.faces]
    i, j, k = rest.inverse[:, 0, 0], rest.inverse[:, 0, 1], rest.inverse[:, 1, 1]
    a, c = (u[:, 1] - u[:, 0]) * i, (v[:, 1] - v[:, 0]) * i
    b = (u[:, 1] - u[:, 0]) * j + (u[:, 2] - u[:, 0]) * k
    d = (v[:, 1] - v[:, 0]) * j + (v[:, 2] - v[:, 0]) * k
    det = a * d - b * c
    folded = (det <= _LEAST_AREA_KEPT) & (rest.areas > 0)
    det = np.where(det <= _LEAST_AREA_KEPT, 1.0, det)
    size, shrunk = a * a + b * b + c * c + d * d, 1 / det**2
    energy = np.bincount(rest.chart, rest.areas * size * (1 + shrunk), charts).astype(np.float64)
    energy[rest.chart[folded]] = np.inf
    grow, turn = 2 * rest.areas * (1 + shrunk), 2 * rest.areas * size * shrunk / det
    slopes = []
    for one, two, co_one, co_two in ((a, b, d, -c), (c, d, -b, a)):
        x, y = grow * one - turn * co_one, grow * two - turn * co_two
        first, second = x * i + y * j, y * k
        parts = np.stack((-first - second, first, second), axis=1)
        slopes.append(np.bincount(rest.faces.ravel(), parts.ravel(), len(flat)))
    return energy, np.stack(slopes, axis=1).astype(np.float64, copy=False)


def _build_laplacian(rest: _Rest, count: int) -> sparse.csc_matrix:
    """Cotangent Laplacian of the surface, plus a small multiple of the identity that anchors each chart."""
    i, j, k = rest.inverse[:, 0, 0], rest.inverse[:, 0, 1], rest.inverse[:, 1, 1]
    zero = np.zeros_like(i)
    slopes = np.stack((np.stack((-i, i, zero), axis=1), np.stack((-j - k, j, k), axis=1)), axis=1)
    weights = np.einsum("f,fka,fkb->fab", _STIFFNESS * rest.areas, slopes, slopes)
    rows, columns = np.repeat(rest.faces, 3, axis=1), np.tile(rest.faces, 3)
    matrix = sparse.coo_matrix((weights.ravel(), (rows.ravel(), columns.ravel())), shape=(count, count))
    return (matrix + 1e-6 * sparse.eye(count)).tocsc()
