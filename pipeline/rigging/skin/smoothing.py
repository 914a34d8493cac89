"""Smoothing skin weights over the edges of the mesh."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from ..voxel_solid import Indices, Points


def smooth_over_edges(weights: Points, places: Points, edges: Indices, reach: float) -> Points:
    """Average (V, B) over edges (E, 2) until the weights are smooth on about `reach` metres.

    Edges longer than that pass on less, so that coarse meshes are not blurred.
    """
    lengths = np.linalg.norm(places[edges[:, 0]] - places[edges[:, 1]], axis=1)
    if not len(edges):
        return weights
    rounds = int(np.clip(np.ceil(4 * (reach / max(float(lengths.mean()), 1e-9)) ** 2), 2, 40))
    shares = np.minimum(1.0, reach / np.maximum(lengths, 1e-9)) ** 2
    half = sparse.coo_matrix((shares, (edges[:, 0], edges[:, 1])), shape=(len(places),) * 2).tocsr()
    links = half.maximum(half.T)
    degree = np.maximum(np.asarray((links > 0).sum(axis=1)).ravel(), 1)
    kept = 1.0 - 0.5 * np.asarray(links.sum(axis=1)).ravel() / degree
    step = sparse.diags(kept) + sparse.diags(0.5 / degree) @ links
    for _ in range(rounds):
        weights = step @ weights
    return weights
