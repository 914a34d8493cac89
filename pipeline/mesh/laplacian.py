"""Laplacians of a surface's edges: smoothing, diffusion, and functions harmonic along the surface."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from ..progress import Progress, ignore_progress
from ..types import BoolArray, FloatArray, IntArray
from .topology import list_directed_edges

_SHRINK, _GROW = 0.5, -0.53
_SHORTEST_EDGE = 1e-3
"""Shorter edges, as a share of the mean length, weigh no more: the system stays well conditioned."""
_TOLERANCE = 1e-4
_MAX_STEPS = 500


def link_neighbors(faces: IntArray, count: int, weights: FloatArray | None = None) -> sparse.csr_array:
    """Return the symmetric adjacency (count, count) of the edges of faces (F, 3).

    weights: (3 F,) of the directed edges, by default 1. An edge that two faces share counts twice.
    """
    start, end = list_directed_edges(faces)
    values = np.ones(len(start), np.float32) if weights is None else weights
    ends = np.concatenate((start, end)), np.concatenate((end, start))
    return sparse.csr_array((np.concatenate((values, values)), ends), shape=(count, count))


def weigh_edges(positions: FloatArray, faces: IntArray) -> FloatArray:
    """Return the weight (3 F,) of every directed edge, one over its length."""
    start, end = list_directed_edges(faces)
    length = np.linalg.norm(positions[start].astype(np.float64) - positions[end], axis=1)
    return 1.0 / np.maximum(length, _SHORTEST_EDGE * max(float(length.mean()), 1e-9))


def smooth_positions(
    positions: FloatArray,
    faces: IntArray,
    rounds: int,
    *,
    held: FloatArray | float = 0.0,
    progress: Progress = ignore_progress,
) -> FloatArray:
    """Smooth positions (V, 3) without shrinking them.

    held: (V, 3) 0..1, how far each coordinate is kept where it is. Taubin, "A Signal Processing Approach
    to Fair Surface Design", SIGGRAPH 1995.
    """
    links = link_neighbors(faces, len(positions))
    degree = np.maximum(links.sum(axis=1), 1)[:, None].astype(positions.dtype)
    result = positions
    for done in range(rounds):
        for step in (_SHRINK, _GROW):
            result = result + step * (1 - held) * (links @ result / degree - result)
        progress((done + 1) / rounds)
    return result


def solve_harmonic(
    links: sparse.csr_array,
    values: FloatArray,
    known: BoolArray,
    *,
    spring: float,
    progress: Progress = ignore_progress,
) -> FloatArray:
    """Return (U, C): at each unknown node the mean of its neighbors, weighted by `links` (N, N).

    values: (N, C); those of unknown nodes are the start, and pull with the small weight `spring`, which
    keeps parts without a known node solvable.
    """
    strength = links.sum(axis=1)
    rows = links[~known]
    system = (sparse.diags_array(strength[~known] * (1 + spring)) - rows[:, ~known]).tocsr()
    target = rows[:, known] @ values[known] + spring * strength[~known, None] * values[~known]
    return _solve_definite(system, target, values[~known], progress)


def diffuse_values(positions: FloatArray, faces: IntArray, values: FloatArray, length: float) -> FloatArray:
    """Spread values (V, C) along a surface: their influence falls by e in `length`, in metres.

    One implicit step of diffusion, with edges weighted as by Fujiwara, "Eigenvalues of Laplacians on a Closed
    Riemannian Manifold and Its Nets", 1995.
    """
    weights = weigh_edges(positions, faces)
    links, lengths = (link_neighbors(faces, len(positions), item) for item in (weights, 1 / weights))
    mass = 0.25 * lengths.sum(axis=1)
    system = (sparse.diags_array(mass + length**2 * links.sum(axis=1)) - length**2 * links).tocsr()
    start = values.astype(np.float64)
    return _solve_definite(system, mass[:, None] * start, start, ignore_progress)


def _solve_definite(
    system: sparse.csr_array, target: FloatArray, start: FloatArray, progress: Progress
) -> FloatArray:
    """Solve a symmetric positive definite system (M, M) for the columns of target (M, C), from `start`.

    Conjugate gradients with Jacobi's preconditioner, all columns at once. scipy's version takes one
    column, and its dot products wait for BLAS threads that a busy machine does not run.
    """
    found, residual = start.copy(), target - system @ start
    scale = 1 / np.maximum(system.diagonal(), 1e-12)[:, None]
    direction = scale * residual
    power = (residual * direction).sum(axis=0)
    enough = _TOLERANCE**2 * (target**2).sum(axis=0)
    for step in range(_MAX_STEPS):
        if ((residual**2).sum(axis=0) <= enough).all():
            break
        progress(step / _MAX_STEPS)
        pushed = system @ direction
        reach = power / np.maximum((direction * pushed).sum(axis=0), 1e-30)
        found += reach * direction
        residual -= reach * pushed
        steepest = scale * residual
        before, power = power, (residual * steepest).sum(axis=0)
        direction = steepest + direction * (power / np.maximum(before, 1e-30))
    return found
