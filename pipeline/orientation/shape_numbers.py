"""Numbers of a shape that do not depend on how it stands."""

from __future__ import annotations

import numpy as np

from ..types import Float64Array

_PAIRS, _BINS, _FARTHEST = 20000, 16, 2.4
"""Distances are counted up to so many times their mean."""


def measure_shape(points: Float64Array) -> Float64Array:
    """Describe points (N, 3) spread over a surface by 18 numbers, whatever its place, size and turn.

    A histogram of the distances between random pairs, the distribution D2 of R. Osada et al., "Shape
    Distributions", TOG 2002; then the two smaller standard deviations along its axes, as shares of the
    largest.
    """
    one, two = np.random.default_rng(0).integers(0, len(points), (2, _PAIRS))
    apart = np.linalg.norm(points[one] - points[two], axis=1)
    counted = np.histogram(apart / max(apart.mean(), 1e-12), bins=_BINS, range=(0, _FARTHEST))[0]
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(points.T)), 1e-12))
    return np.concatenate((counted / _PAIRS, spread[:2] / spread[2]))
