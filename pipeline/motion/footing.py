"""Feet that stand do not slide: the ankle goes where rolling without slipping over the sole takes it.

A foot that stands turns about what of its sole is on the ground: heel, sole, ball or toes, one passing into
the other. Between contacts it keeps to the motion, and above the ground. All in the frame of the T-pose.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.spatial.transform import Rotation

from ..animation.feet import Sole
from ..types import BoolArray, Float64Array
from .contacts import list_spans

_MOST_POINTS = 250
_SOFTNESS = 0.02
"""Share of the sole's height over the ankle within which points carry the foot."""
_LEVEL = 5.0
"""Degrees."""
_CLEARANCE = 0.008
"""Lengths of the leg by which a foot that swings is above the ground, at least in the middle of its swing."""


@dataclass(frozen=True, eq=False)
class Footing:
    """What one foot does on the ground, by keys.

    heights: (T,) metres of the ankle above the sole's lowest point. rolled: (T, 2) metres in x and z, how far
    rolling without slipping has taken the ankle since the first key.
    """

    heights: Float64Array
    rolled: Float64Array


def roll_foot(sole: Sole, feet: Float64Array, toes: Float64Array) -> Footing:
    """Return how a foot rolls over its sole for turns (T, 3, 3) of foot and toes."""
    points, shares = _choose_points(sole)
    rigid = np.einsum("tij,nj->tni", feet, points)
    bent = np.einsum("tij,nj->tni", toes, points - sole.toe) + (feet @ sole.toe)[:, None]
    placed = rigid + shares[:, None] * (bent - rigid)
    heights = -placed[:, :, 1].min(axis=1)
    steps = np.diff(placed, axis=0)
    middle = (placed[1:, :, 1] + placed[:-1, :, 1]) / 2
    softness = _SOFTNESS * max(float(np.median(heights)), 1e-6)
    carried = np.exp(-(middle - middle.min(axis=1, keepdims=True)) / softness)
    carried /= carried.sum(axis=1, keepdims=True)
    moved = -np.einsum("tn,tni->ti", carried, steps)[:, (0, 2)]
    return Footing(heights, np.concatenate((np.zeros((1, 2)), np.cumsum(moved, axis=0))))


def _choose_points(sole: Sole) -> tuple[Float64Array, Float64Array]:
    """The points that can be lowest, at most _MOST_POINTS of them, and their share of the toes."""
    order = np.argsort(sole.points[:, 1])
    lowest = order[: max(len(order) // 2, min(len(order), _MOST_POINTS))]
    kept = lowest[np.linspace(0, len(lowest) - 1, min(len(lowest), _MOST_POINTS)).astype(int)]
    ends = [pick(sole.points[:, axis]) for axis in range(3) for pick in (np.argmin, np.argmax)]
    chosen = np.unique(np.concatenate((kept, ends)))
    return sole.points[chosen], sole.toe_share[chosen]


def level_foot(feet: Float64Array) -> Float64Array:
    """Turns (T, 3, 3) of which those that are nearly level are level."""
    up = feet[:, :, 1]
    tilt = np.arccos(np.clip(up[:, 1], -1, 1))
    axis = np.cross(up, (0.0, 1.0, 0.0))
    axis /= np.maximum(np.linalg.norm(axis, axis=1, keepdims=True), 1e-9)
    share = np.exp(-((np.degrees(tilt) / _LEVEL) ** 2))
    return Rotation.from_rotvec(axis * (share * tilt)[:, None]).as_matrix() @ feet


def hold_foot(ankle: Float64Array, footing: Footing, standing: BoolArray, length: float) -> Float64Array:
    """Return targets (T, 3) for an ankle, metres, which stands where `standing` (T,) says.

    ankle: (T, 3) metres, where the motion has it. length: of the leg, metres.
    """
    shift = np.zeros_like(ankle)
    spans = list_spans(standing)
    for start, stop in spans:
        own = slice(start, stop + 1)
        offset = ankle[own][:, (0, 2)] - footing.rolled[own]
        shift[own, 0], shift[own, 2] = (offset.mean(axis=0) - offset).T
        shift[own, 1] = footing.heights[own] - ankle[own, 1]
    _ease_between(shift, spans)
    target = ankle + shift
    return _clear_ground(target, footing.heights, standing, length)


def _ease_between(shift: Float64Array, spans: list[tuple[int, int]]) -> None:
    """Ease the shift (T, 3), in place, from the end of each contact to the start of the next."""
    if not spans:
        return
    shift[: spans[0][0]], shift[spans[-1][1] + 1 :] = shift[spans[0][0]], shift[spans[-1][1]]
    for (_, last), (first, _) in pairwise(spans):
        share = (np.arange(last + 1, first) - last) / (first - last)
        ease = (share**2 * (3 - 2 * share))[:, None]
        shift[last + 1 : first] = (1 - ease) * shift[last] + ease * shift[first]


def _clear_ground(
    target: Float64Array,
    heights: Float64Array,
    standing: BoolArray,
    length: float,
) -> Float64Array:
    """Targets (T, 3) raised where a foot that swings would be in the ground."""
    room = np.zeros(len(target))
    for start, stop in list_spans(~standing):
        share = np.linspace(0, 1, stop - start + 3)[1:-1]
        room[start : stop + 1] = 4 * share * (1 - share)
    gap = target[:, 1] - heights - _CLEARANCE * length * room
    softness = 0.5 * _CLEARANCE * length * room
    lifted = target.copy()
    lifted[:, 1] += (np.hypot(gap, softness) - gap) / 2
    return np.where(standing[:, None], target, lifted)
