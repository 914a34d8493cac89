"""Gaussian mixtures over colors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from ..types import FloatArray, IntArray

_SAMPLES = 6000
_ITERATIONS = 8


class Mixture(NamedTuple):
    """log_weight: (K,). mean: (K, 3). whitening: (K, 3, 3), inverse Cholesky factors. log_scale: (K,)."""

    log_weight: FloatArray
    mean: FloatArray
    whitening: FloatArray
    log_scale: FloatArray


def fit_mixture(colors: FloatArray, components: int, noise: float = 1.5) -> Mixture:
    """Fit at most `components` Gaussians to colors (N, 3), N > 0, by k-means and hard EM.

    noise: smallest standard deviation of a component, in color units.
    Deterministic: the initial centers are the colors farthest from each other.
    """
    samples = colors[:: max(1, len(colors) // _SAMPLES)].astype(np.float64)
    labels = _nearest(samples, _spread_centres(samples, components))
    for _ in range(_ITERATIONS):
        mixture = _fit_components(samples, labels, noise)
        labels = np.argmax(component_log_density(mixture, samples), axis=1)
    return _fit_components(samples, labels, noise)


def log_density(mixture: Mixture, colors: FloatArray) -> FloatArray:
    """Return the log density (...) of the mixture at colors (..., 3)."""
    flat = colors.reshape(-1, 3).astype(np.float32)
    return logsumexp(component_log_density(mixture, flat), axis=1).reshape(colors.shape[:-1])


def _spread_centres(samples: FloatArray, count: int) -> FloatArray:
    centres = [samples.mean(axis=0)]
    distance = np.linalg.norm(samples - centres[0], axis=1)
    for _ in range(count - 1):
        # The 95th percentile rather than the maximum: isolated outliers make bad centers.
        far = np.argsort(distance, kind="stable")[int(0.95 * (len(samples) - 1))]
        centres.append(samples[far])
        distance = np.minimum(distance, np.linalg.norm(samples - samples[far], axis=1))
    return np.stack(centres)


def _nearest(samples: FloatArray, centres: FloatArray) -> IntArray:
    for _ in range(_ITERATIONS):
        labels = np.argmin(((samples[:, None] - centres) ** 2).sum(axis=2), axis=1)
        used = [samples[labels == k].mean(axis=0) for k in range(len(centres)) if (labels == k).any()]
        centres = np.stack(used)
    return np.argmin(((samples[:, None] - centres) ** 2).sum(axis=2), axis=1).astype(np.int32)


def _fit_components(samples: FloatArray, labels: IntArray, noise: float) -> Mixture:
    groups = [samples[labels == k] for k in np.unique(labels)]
    mean = np.stack([group.mean(axis=0) for group in groups])
    scatter = [
        (group - m).T @ (group - m) / len(group) + noise**2 * np.eye(3)
        for group, m in zip(groups, mean, strict=True)
    ]
    factor = np.linalg.cholesky(np.stack(scatter))
    log_scale = -np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1) - 1.5 * np.log(2 * np.pi)
    log_weight = np.log([len(group) / len(samples) for group in groups])
    return Mixture(log_weight, mean, np.linalg.inv(factor), log_scale)


def component_log_density(mixture: Mixture, flat: FloatArray) -> FloatArray:
    """Return the log of each component's density times its weight, (N, K), at colors (N, 3)."""
    columns = []
    for log_weight, mean, whitening, log_scale in zip(*mixture, strict=True):
        white = (flat - mean.astype(flat.dtype)) @ whitening.T.astype(flat.dtype)
        square = np.einsum("nc,nc->n", white, white)
        columns.append((log_weight + log_scale - 0.5 * square).astype(flat.dtype))
    return np.stack(columns, axis=1)
