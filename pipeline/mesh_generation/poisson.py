"""Round cross-sections from a Poisson problem over the silhouette."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve

from ..types import BoolArray, FloatArray
from .silhouette_triangulation import Outline

_LINKS = ((0, 1), (1, 0), (0, -1), (-1, 0))


def solve_roundness(domain: BoolArray, outline: Outline) -> FloatArray:
    """Solve laplace(u) = -2 over domain (H, W), u = 0 on its border; returns u (H, W), cells squared.

    Across a strip of half width w this gives u = w² - x²: sqrt(u) is a circle, without a ridge along
    the middle. The border lies between cells at the outline's crossings (Gibou et al., "A Second-Order-
    Accurate Symmetric Discretization of the Poisson Equation", J. Comput. Phys. 2002), and midway to
    the next cell elsewhere.
    """
    count = int(domain.sum())
    u = np.zeros(domain.shape, dtype=np.float32)
    if count == 0:
        return u
    node = np.full(domain.shape, -1)
    node[domain] = np.arange(count)
    rows, columns = np.nonzero(domain)
    diagonal, tails, heads = np.zeros(count), [], []
    distance = _border_distances(domain, outline)
    for link, (down, right) in enumerate(_LINKS):
        other = node[rows + down, columns + right]
        within = other >= 0
        diagonal += np.where(within, 1.0, 1.0 / distance[link][rows, columns])
        tails.append(np.flatnonzero(within))
        heads.append(other[within])
    tail, head = np.concatenate([*tails, np.arange(count)]), np.concatenate([*heads, np.arange(count)])
    values = np.concatenate([np.full(len(tail) - count, -1.0), diagonal])
    matrix = sparse.csc_matrix((values, (tail, head)), shape=(count, count))
    u[domain] = np.maximum(spsolve(matrix, np.full(count, 2.0), permc_spec="MMD_AT_PLUS_A"), 0.0)
    return u


def _border_distances(domain: BoolArray, outline: Outline) -> list[FloatArray]:
    """Return, per link direction, the distance (H, W) from each cell to a border in that direction."""
    distance = [np.full(domain.shape, 0.5, dtype=np.float32) for _ in _LINKS]
    step = outline.stop - outline.start
    for link, direction in enumerate(_LINKS):
        crossed = (step == direction).all(axis=1)
        distance[link][tuple(outline.start[crossed].T)] = outline.fraction[crossed]
    return distance
