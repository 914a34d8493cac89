"""Colours for what no view sees, carried over the surface, and for the texels around charts."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from ..types import BoolArray, FloatArray, IntArray

_DIFFUSION_STEPS = 40
_NORMAL_METRES = 0.05
"""Distance that opposite normals count for when the nearest seen vertex is sought."""


def fill_unseen_vertices(
    positions: FloatArray, normals: FloatArray, faces: IntArray, color: FloatArray, seen: BoolArray
) -> FloatArray:
    """Give the unseen vertices colours that run smoothly into those of the seen ones.

    positions, normals, color: (V, 3). faces: (F, 3). seen: (V,). Vertices at one place count as one.
    Each unseen vertex starts from the nearest seen one that faces its way and is then relaxed over
    the edges of the mesh. Returns (V, 3) float32; mid grey where nothing at all was seen.
    """
    if not seen.any():
        return np.full_like(color, 0.5)
    if seen.all():
        return color
    _, first, weld = np.unique(positions, axis=0, return_index=True, return_inverse=True)
    weld = weld.reshape(-1)
    known = np.bincount(weld, seen, len(first)) > 0
    values = (
        np.stack([np.bincount(weld, color[:, axis] * seen, len(first)) for axis in range(3)], axis=1)
        / np.maximum(np.bincount(weld, seen, len(first)), 1)[:, None]
    )
    key = np.concatenate((positions[first], normals[first] * _NORMAL_METRES), axis=1)
    _, nearest = cKDTree(key[known]).query(key[~known])
    values[~known] = values[known][nearest]
    return _relax(values, known, weld[faces]).astype(np.float32)[weld]


def _relax(values: FloatArray, known: BoolArray, faces: IntArray) -> FloatArray:
    """Average each unknown vertex with its neighbours, again and again; known ones hold still."""
    start, stop = faces.ravel(), faces[:, (1, 2, 0)].ravel()
    ones = np.ones(2 * len(start))
    links = np.concatenate((start, stop)), np.concatenate((stop, start))
    mean = sparse.csr_array((ones, links), shape=(len(values), len(values)))
    mean = sparse.diags_array(1 / np.maximum(mean.sum(axis=1), 1)) @ mean
    loose = np.flatnonzero(~known & (np.bincount(start, minlength=len(values)) > 0))
    rows = mean[loose]
    for _ in range(_DIFFUSION_STEPS):
        values[loose] = rows @ values
    return values


def dilate_charts(texture: FloatArray, covered: BoolArray, padding: int) -> FloatArray:
    """Carry colours (H, W, C) into the texels up to `padding` outside the charts, and their mean beyond.

    Beyond matters only to small mipmaps. covered: (H, W), texels that lie in a chart.
    """
    if not covered.any():
        return texture
    distance, nearest = distance_transform_edt(~covered, return_indices=True)
    around = (distance > 0) & (distance <= padding)
    filled = np.where(covered[..., None], texture, texture[covered].mean(axis=0))
    filled[around] = texture[nearest[0][around], nearest[1][around]]
    return filled
