"""Laplacian smoothing of skin weights along the edges of the mesh."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from ...types import Float64Array, IntArray


def smooth_over_edges(
    weights: Float64Array, positions: Float64Array, edges: IntArray, radius: float
) -> Float64Array:
    """Smooth weights (V, B) of vertices at positions (V, 3) along edges (E, 2) over about `radius` metres.

    Edges longer than that are weighted down, so that coarse meshes are not blurred.
    """
    lengths = np.linalg.norm(positions[edges[:, 0]] - positions[edges[:, 1]], axis=1)
    if not len(edges):
        return weights
    rounds = int(np.clip(np.ceil(4 * (radius / max(float(lengths.mean()), 1e-9)) ** 2), 2, 40))
    shares = np.minimum(1.0, radius / np.maximum(lengths, 1e-9)) ** 2
    half = sparse.coo_matrix((shares, (edges[:, 0], edges[:, 1])), shape=(len(positions),) * 2).tocsr()
    links = half.maximum(half.T)
    degree = np.maximum(np.asarray((links > 0).sum(axis=1)).ravel(), 1)
    kept = 1.0 - 0.5 * np.asarray(links.sum(axis=1)).ravel() / degree
    step = sparse.diags(kept) + sparse.diags(0.5 / degree) @ links
    for _ in range(rounds):
        weights = step @ weights
    return weights
