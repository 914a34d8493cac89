"""Segment the subject into a few materials by color: hair, skin, each cloth, leather, metal."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from ..types import BoolArray, FloatArray, IntArray
from .masked_images import blur_masked

LIGHTNESS_WEIGHT = 0.55
"""Weight of lightness relative to hue and chroma; below 1, so that shading does not split a material."""

_SAMPLE_COUNT = 6000
_KMEANS_ROUNDS = 12


def weigh_lab(lab: FloatArray) -> FloatArray:
    """Scale down the lightness of Lab colors (..., 3), so that distances separate materials, not shading."""
    return lab * np.array([LIGHTNESS_WEIGHT, 1.0, 1.0], dtype=np.float32)


def cluster_colors(lab: FloatArray, mask: BoolArray, *, count: int = 10, merge: float = 9.0) -> FloatArray:
    """K-means centers (at most `count`, 3) of the weighted Lab colors inside `mask`.

    Initialized with farthest points, so the same picture always gives the same centers. Centers closer than
    `merge` are merged.
    """
    points = weigh_lab(lab)[mask]
    points = points[:: max(1, len(points) // _SAMPLE_COUNT)]
    centers = _pick_far_points(points, count)
    for _ in range(_KMEANS_ROUNDS):
        nearest = cdist(points, centers).argmin(axis=1)
        centers = np.stack(
            [points[nearest == k].mean(axis=0) for k in range(len(centers)) if (nearest == k).any()]
        )
    sizes = np.bincount(cdist(points, centers).argmin(axis=1), minlength=len(centers))
    return _merge_centers(centers, sizes, merge)


def _pick_far_points(points: FloatArray, count: int) -> FloatArray:
    """The median of points (N, 3), and points far from it and from each other: at most (count, 3)."""
    median = np.median(points, axis=0, keepdims=True)
    chosen = [median[0]]
    distance = np.linalg.norm(points - median, axis=1)
    for _ in range(count - 1):
        # The 98th percentile instead of the maximum: a seed on an outlier would waste a cluster.
        limit = np.quantile(distance, 0.98)
        if limit < 4.0:
            break
        index = int(np.abs(distance - limit).argmin())
        chosen.append(points[index])
        distance = np.minimum(distance, np.linalg.norm(points - points[index], axis=1))
    return np.stack(chosen)


def _merge_centers(centers: FloatArray, sizes: IntArray, merge: float) -> FloatArray:
    """Merge the closest centers (N, 3), weighted by their sizes (N,), until none are closer than `merge`."""
    centers, weights = centers.astype(np.float64), sizes.astype(np.float64)
    while len(centers) > 1:
        gaps = cdist(centers, centers) + np.eye(len(centers)) * 1e9
        i, j = np.unravel_index(int(gaps.argmin()), gaps.shape)
        if gaps[i, j] >= merge:
            break
        total = max(weights[i] + weights[j], 1e-9)
        centers[i] = (centers[i] * weights[i] + centers[j] * weights[j]) / total
        weights[i] = total
        centers, weights = np.delete(centers, j, axis=0), np.delete(weights, j)
    return centers.astype(np.float32)


def vote_labels(labels: IntArray, mask: BoolArray, count: int, sigma: float) -> IntArray:
    """Give every pixel of `mask` the label with the largest weight in its Gaussian neighborhood."""
    votes = np.eye(count + 1, dtype=np.float32)[labels][..., :count]
    blurred, _ = blur_masked(votes, mask, sigma)
    return np.where(mask, blurred.argmax(axis=-1), -1).astype(np.int32)


def one_hot(labels: IntArray, count: int) -> FloatArray:
    """Encode labels (H, W), -1 for none, as indicators (H, W, count)."""
    return np.eye(count + 1, dtype=np.float32)[labels][..., :count]
