"""When the feet of a motion stand on the ground, found from how low and how still they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..humanoid import SIDES
from ..types import BoolArray, Float64Array
from .motion import Motion

_LOWEST_SHARE = 3.0
"""Percentile of the feet's heights that counts as the ground."""
_FROM_REST = 0.15
"""Lengths of the leg within which the ground of the rest pose is believed."""
_LOW, _SLOW = 0.07, 0.5
"""Lengths of the leg, and lengths a second, below which a foot stands."""
_TREADMILL_LOW, _TREADMILL_SPEED = 0.03, 0.4
_SHORTEST = 0.08
"""Seconds."""


def find_standing_height(
    feet: Mapping[str, Float64Array],
    tips: Mapping[str, Float64Array],
    rises: Mapping[str, float],
    length: float,
    resting: float,
) -> float:
    """Return the height of the toes' joints, in the file's units, at which the feet stand.

    feet, tips: side -> (T, 3) joints of ankle and toes. rises: how high the ankle is above the toes' joint in
    the T-pose. length: of the leg. resting: height of the lowest joint in the rest pose; where that is about
    the file's zero and the feet stay well above it, as of one who climbs, it is the ground.
    """
    lowest = np.min([np.minimum(feet[side][:, 1] - rises[side], tips[side][:, 1]) for side in SIDES], axis=0)
    ground = float(np.percentile(lowest, _LOWEST_SHARE))
    is_placed = abs(resting) < _FROM_REST * length
    return resting if is_placed and ground > resting + 2 * _FROM_REST * length else ground


@dataclass(frozen=True, eq=False)
class Contacts:
    """stands: side -> (T,) bool. ground: (2,) lengths of the leg a second, how it moves in x and z.

    The ground moves below a motion that walks in place.
    """

    stands: Mapping[str, BoolArray]
    ground: Float64Array


def find_contacts(motion: Motion) -> Contacts:
    """Return when the feet stand: heel or ball is low, and at rest relative to the ground."""
    points = {side: (motion.ankles[side], motion.toes[side]) for side in SIDES}
    ground = _find_ground_speed(motion, points)
    step = float(np.median(np.diff(motion.times)))
    stands = {}
    for side in SIDES:
        standing = np.zeros(len(motion.times), bool)
        for point in points[side]:
            moved = _measure_velocity(motion, point) - (ground[0], 0.0, ground[1])
            standing |= (point[:, 1] < _LOW) & (np.linalg.norm(moved, axis=1) < _SLOW)
        stands[side] = _drop_short(standing, round(_SHORTEST / step))
    return Contacts(stands, ground)


def _measure_velocity(motion: Motion, point: Float64Array) -> Float64Array:
    """(T, 3) lengths of the leg a second, smoothed over three keys."""
    return ndimage.uniform_filter1d(np.gradient(point, motion.times, axis=0), 3, axis=0, mode="nearest")


def _find_ground_speed(motion: Motion, points: Mapping[str, tuple[Float64Array, ...]]) -> Float64Array:
    """(2,) how the ground moves: as what is lowest does, unless that is slow."""
    every = np.stack([point for own in points.values() for point in own])
    speeds = np.stack([_measure_velocity(motion, point) for point in every])
    lowest = every[:, :, 1].argmin(axis=0)
    keys = np.arange(len(motion.times))
    is_low = every[lowest, keys, 1] < _TREADMILL_LOW
    if not is_low.any():
        return np.zeros(2)
    velocity = np.median(speeds[lowest, keys][is_low][:, (0, 2)], axis=0)
    return velocity if np.linalg.norm(velocity) > _TREADMILL_SPEED else np.zeros(2)


def _drop_short(standing: BoolArray, shortest: int) -> BoolArray:
    """Close gaps and drop contacts of no more than so many keys."""
    if shortest < 1:
        return standing
    window = np.ones(shortest + 1, bool)
    padded = np.pad(standing, shortest + 1, mode="edge")
    padded = ndimage.binary_opening(ndimage.binary_closing(padded, window), window)
    return np.asarray(padded[shortest + 1 : -shortest - 1])


def list_spans(standing: BoolArray) -> list[tuple[int, int]]:
    """First and last key of each contact."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], standing.astype(np.int8), [0]))))
    return [(int(start), int(stop) - 1) for start, stop in edges.reshape(-1, 2)]
