"""Take the stretch out of charts that lie flat already, without folding a face over.

Descends the symmetric Dirichlet energy (Smith and Schaefer, "Bijective Parameterization with Free
Boundaries", SIGGRAPH 2015), which is least where lengths are kept and infinite where a face folds, along
gradients smoothed by the surface's Laplacian (Sobolev gradients), with a step length for each chart.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.linalg import splu

from ..progress import Progress, ignore_progress
from .chart_raster import double_areas

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_ROUNDS = 20
_LEAST_GAIN = 3e-4
"""Share of the energy that a round must take away, or it is the last."""
_SHORTENINGS = 4
_STIFFNESS = 8.0
"""Of the energy where lengths are kept, in multiples of Dirichlet's."""
_LEAST_SIZE = 1e-6
"""Faces that have lost more of their area count as folded: at the start they are left out, later avoided."""
_LEAST_HEIGHT = 1e-3
"""Faces flatter than this, height to length, count as that high: their energy would rule their chart."""


class _Rest(NamedTuple):
    """inverse: (F, 2, 2), from edges in the chart to the Jacobian. areas: (F,), 0 to leave a face out."""

    faces: Ints
    inverse: Floats
    areas: Floats
    chart: Ints


def flatten_charts(
    corners: Floats, flat: Floats, faces: Ints, chart: Ints, progress: Progress = ignore_progress
) -> Floats:
    """Return (W, 2), near the lengths of the surface; faces that are folded to begin with may stay so.

    corners: (F, 3, 3), metres. flat: (W, 2), where to start. faces: (F, 3). chart: (F,).
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
        way, before = solve(slope), energy.sum()
        for _ in range(_SHORTENINGS):
            tried = flat - step[owner, None] * way
            after, tried_slope = _measure_energy(rest, tried, charts)
            moves = after <= energy
            if moves.all():
                break
            step[~moves] /= 4
        flat = np.where(moves[owner, None], tried, flat)
        slope = np.where(moves[owner, None], tried_slope, slope)
        energy, step = np.where(moves, after, energy), np.minimum(2 * step, 1.0)
        if energy.sum() > (1 - _LEAST_GAIN) * before:
            break
    return flat


def _read_rest(corners: Floats, flat: Floats, faces: Ints, chart: Ints) -> _Rest:
    side, other = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    length = np.maximum(np.linalg.norm(side, axis=1), 1e-12)
    along = (side * other).sum(axis=1) / length
    height = np.linalg.norm(np.cross(side, other), axis=1) / length
    height = np.maximum(height, _LEAST_HEIGHT * np.maximum(length, np.abs(along)))
    inverse = np.zeros((len(faces), 2, 2))
    inverse[:, 0, 0], inverse[:, 1, 1] = 1 / length, 1 / height
    inverse[:, 0, 1] = -along / (length * height)
    areas = np.where(double_areas(flat[faces]) > 2 * _LEAST_SIZE * length * height, length * height / 2, 0.0)
    return _Rest(faces, inverse, areas, chart)


def _measure_energy(rest: _Rest, flat: Floats, charts: int) -> tuple[Floats, Floats]:
    """Of each chart, infinite if it holds a folded face, (C,), and its slope at each vertex, (W, 2)."""
    u, v = flat[:, 0][rest.faces], flat[:, 1][rest.faces]
    i, j, k = rest.inverse[:, 0, 0], rest.inverse[:, 0, 1], rest.inverse[:, 1, 1]
    a, c = (u[:, 1] - u[:, 0]) * i, (v[:, 1] - v[:, 0]) * i
    b = (u[:, 1] - u[:, 0]) * j + (u[:, 2] - u[:, 0]) * k
    d = (v[:, 1] - v[:, 0]) * j + (v[:, 2] - v[:, 0]) * k
    det = a * d - b * c
    folded = (det <= _LEAST_SIZE) & (rest.areas > 0)
    det = np.where(det <= _LEAST_SIZE, 1.0, det)
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
    """Cotangent weights of the surface, and a trace of the unit matrix, which holds each chart in place."""
    i, j, k = rest.inverse[:, 0, 0], rest.inverse[:, 0, 1], rest.inverse[:, 1, 1]
    zero = np.zeros_like(i)
    slopes = np.stack((np.stack((-i, i, zero), axis=1), np.stack((-j - k, j, k), axis=1)), axis=1)
    weights = np.einsum("f,fka,fkb->fab", _STIFFNESS * rest.areas, slopes, slopes)
    rows, columns = np.repeat(rest.faces, 3, axis=1), np.tile(rest.faces, 3)
    matrix = sparse.coo_matrix((weights.ravel(), (rows.ravel(), columns.ravel())), shape=(count, count))
    return (matrix + 1e-6 * sparse.eye(count)).tocsc()
