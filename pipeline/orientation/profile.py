"""What a body looks like from its own frame: slices along its height, described by a few numbers."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from ..mesh.areas import sample_surface
from ..types import Float64Array, FloatArray, IntArray

SLICES = 10
"""Slices along the height."""
_POINTS = 2400
_TRIMMED = 0.002
"""Share of the points beyond the height's ends on either side: antennae, tips of hats."""
_NEAR_AXIS = 0.035
"""Half width of the strip around the body's plane of symmetry, as a share of the height."""
_SOLE, _SHIN, _SHIN_OF_A_FOOT = (0.0, 0.05), (0.1, 0.25), (0.07, 0.2)
_CHEST, _HEAD = (0.5, 0.8), (0.85, 1.0)
"""Shares of the height."""
_HANDS = 0.8
"""Share of the farthest distance aside from which on there are hands."""
_MIRRORED = 3
"""Every third point is mirrored."""
_MAX_GAP = 0.1
"""Distances from mirrored points count up to here, as a share of the body's size."""


class BodyPoints:
    """Points spread over the surface of a body, whatever its frame and scale."""

    def __init__(self, positions: FloatArray, faces: IntArray) -> None:
        points = sample_surface(positions, faces, _POINTS)
        self.points = points - points.mean(axis=0)
        self.points /= max(float(np.ptp(points, axis=0).max()), 1e-30)
        self._asymmetries: dict[tuple[float, ...], float] = {}

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.points)

    def measure_asymmetry(self, left: Float64Array) -> float:
        """Return the mean distance, 0..0.1, between the body and its mirror image; left: (3,) unit.

        The mirror stands across `left` in the middle of the body.
        """
        key = tuple(left.tolist())
        for known in (key, tuple(-value for value in key)):
            if known in self._asymmetries:
                return self._asymmetries[known]
        offset = self.points @ left
        mirrored = self.points - 2 * (offset - np.median(offset))[:, None] * left
        gaps = self._tree.query(mirrored[::_MIRRORED], distance_upper_bound=_MAX_GAP)[0]
        found = self._asymmetries[key] = float(np.minimum(gaps, _MAX_GAP).mean())
        return found

    def describe(self, frame: Float64Array) -> Float64Array:
        """Describe the body as seen from a frame (3, 3) whose rows are its left, up and front.

        Of every slice: its share of the points, how many of these are near the plane of symmetry, their mean
        distance from it, the depth, and how far the slice lies to the front. Then width and depth; how far to
        the front feet, hands and head reach; and how unlike the two halves are. All as shares of the height.
        """
        local = self.points @ frame.T
        low, high = _find_quantiles(local[:, 1], _TRIMMED, 1 - _TRIMMED)
        center = np.array((_find_median(local[:, 0]), low, _find_median(local[:, 2])))
        x, y, z = ((local - center) / max(high - low, 1e-9)).T
        row = np.clip((y * SLICES).astype(np.int64), 0, SLICES - 1)
        count = np.bincount(row, minlength=SLICES)

        def average(values: Float64Array) -> Float64Array:
            return np.bincount(row, values, minlength=SLICES) / np.maximum(count, 1)

        front, near = average(z), (np.abs(x) < _NEAR_AXIS).astype(np.float64)
        depth = np.sqrt(np.maximum(average(z**2) - front**2, 0.0))
        asymmetry = np.log(self.measure_asymmetry(frame[0]) + 1e-3)
        whole = (_spread(x), _spread(z), *_reach_forward(x, y, z), asymmetry)
        return np.concatenate((count / len(x), average(near), average(np.abs(x)), depth, front, whole))


def _spread(values: Float64Array) -> float:
    return float(np.ptp(_find_quantiles(values, 0.01, 0.99)))


def _find_quantiles(values: Float64Array, *shares: float) -> Float64Array:
    """Quantiles as of numpy's function, which takes ten times as long for a few thousand values."""
    return np.interp(np.multiply(shares, len(values) - 1), np.arange(len(values)), np.sort(values))


def _find_median(values: Float64Array) -> float:
    return float(_find_quantiles(values, 0.5)[0])


def _reach_forward(x: Float64Array, y: Float64Array, z: Float64Array) -> tuple[float, ...]:
    """How far soles reach before the shins, toes farther than heels, hands and head before the chest."""

    def middle(inside: tuple[float, float]) -> float:
        found = z[(y >= inside[0]) & (y < inside[1])]
        return _find_median(found) if len(found) else 0.0

    sole, chest = z[y < _SOLE[1]], middle(_CHEST)
    feet = []
    for side in (1, -1):
        of_foot = z[(y < _SOLE[1]) & (side * x > 0)]
        of_shin = z[(y >= _SHIN_OF_A_FOOT[0]) & (y < _SHIN_OF_A_FOOT[1]) & (side * x > 0)]
        if len(of_foot) and len(of_shin):
            feet.append(_find_quantiles(of_foot, 0.02, 0.98).sum() - 2 * _find_median(of_shin))
    hands = z[np.abs(x) >= _HANDS * np.abs(x).max()]
    return (
        float(sole.mean()) - middle(_SHIN) if len(sole) else 0.0,
        float(np.mean(feet)) if feet else 0.0,
        float(hands.mean()) - chest,
        middle(_HEAD) - chest,
    )
