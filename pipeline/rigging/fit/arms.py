"""Shoulder, elbow and wrist of one arm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...types import Float64Array
from ..voxel_solid import VoxelSolid
from .hands import HandTip
from .limbs import Centerline, find_bend, trace_limb
from .torso import Torso

# Average proportions, as shares of the torso's length unless they name another.
_SHOULDER_ASIDE, _SHOULDER_BELOW = 0.265, 0.155
_COLLAR_ASIDE, _COLLAR_BELOW, _COLLAR_AHEAD = 0.107, 0.047, 0.02
_MAX_COLLAR_BACK = 0.05
_ARMPIT_ASIDE, _ARMPIT_BELOW = 0.015, 0.104
_ARMPIT_WEIGHTS = (0.7, 0.5)
"""How much the armpit corrects x and y of the average shoulder."""
_MAX_ARMPIT_BELOW = 0.28
_ELBOW_FRACTION = 0.528
_ARM_LENGTH, _ARM_RADIUS = 1.07, 0.057
_WRIST_FRACTION, _WRIST_SLOPE, _WRIST_RANGE = 0.75, 1.0, (0.6, 0.76)
_HANGING_SLOPE = 0.75


@dataclass(frozen=True, eq=False)
class Arm:
    """Joints (3,), metres.

    is_free: the hand is separate from the body. is_fused: no armpit was found. is_followed: a figure has it
    there. is_held: forearm and hand lie before or behind the trunk, on whose surface they are.
    """

    collar: Float64Array
    shoulder: Float64Array
    elbow: Float64Array
    wrist: Float64Array
    tip: Float64Array
    is_free: bool
    is_fused: bool
    is_followed: bool = False
    is_held: bool = False

    @property
    def line(self) -> Float64Array:
        """Return shoulder, elbow, wrist and fingertip (4, 3)."""
        return np.stack((self.shoulder, self.elbow, self.wrist, self.tip))

    @property
    def drop(self) -> float:
        """Degrees of the arm below the horizontal, in the front view."""
        offset = self.wrist - self.shoulder
        return float(np.degrees(np.arctan2(-offset[1], abs(offset[0]))))


def fit_arm(solid: VoxelSolid, torso: Torso, hand: HandTip | None, side: int) -> Arm:
    """Fit one arm; side: +1 left, -1 right. Without a free hand it follows the body's outline."""
    guess = _guess_shoulder(torso, side)
    tip = hand.position if hand else _guess_tip(solid, torso, guess, side)
    armpit = find_armpit(solid, torso, tip, side)
    is_fused = armpit is None or guess[1] - armpit[1] > _MAX_ARMPIT_BELOW * torso.length
    shoulder = _place_shoulder(solid, torso, guess, None if is_fused else armpit, tip, side)
    radius = _ARM_RADIUS * torso.length
    line = trace_limb(solid, shoulder, tip, radius=1.4 * radius, fixed_share=0.2)
    reach = float(np.linalg.norm(tip - shoulder)) / torso.length
    expected = float(np.clip(_WRIST_FRACTION + _WRIST_SLOPE * (reach - _ARM_LENGTH), *_WRIST_RANGE))
    wrist = _find_wrist(line, expected)
    elbow = find_bend(line, _ELBOW_FRACTION * wrist, wrist)
    collar = np.array(
        (torso.middle + side * _COLLAR_ASIDE * torso.length, torso.neck - _COLLAR_BELOW * torso.length)
    )
    depth = column_depth(solid, collar, 2 * solid.size)
    depth = float(np.clip(depth, shoulder[2] - _MAX_COLLAR_BACK * torso.length, shoulder[2]))
    collar3 = np.array((*collar, depth + _COLLAR_AHEAD * torso.length))
    return Arm(collar3, shoulder, line.at(elbow), line.at(wrist), tip, hand is not None, is_fused)


def column_depth(solid: VoxelSolid, point: Float64Array, reach: float) -> float:
    """Return the mean z of the cells within `reach` metres of a point (x, y) in the front view."""
    offset = np.abs(solid.centers[:, :2] - point[:2])
    near = offset.max(axis=1) <= reach
    if not near.any():
        near = offset.sum(axis=1) <= offset.sum(axis=1).min() + reach
    return float(solid.centers[near, 2].mean())


def _guess_shoulder(torso: Torso, side: int) -> Float64Array:
    """Position (x, y) of the shoulder joint by average proportions."""
    aside, below = side * _SHOULDER_ASIDE * torso.length, _SHOULDER_BELOW * torso.length
    return np.array((torso.middle + aside, torso.neck - below))


def find_armpit(solid: VoxelSolid, torso: Torso, tip: Float64Array, side: int) -> Float64Array | None:
    """Return the innermost point (x, y) of the gap between arm and trunk, None if there is no gap.

    Candidates are the downward-facing edges of the front silhouette; innermost is measured along the
    bisector of the arm's direction and straight down.
    """
    guess = _guess_shoulder(torso, side)
    filled = np.asarray(solid.cells.any(axis=2))
    underside = ~filled[:, :-1] & filled[:, 1:]
    candidates = solid.origin[:2] + solid.size * np.argwhere(underside)
    length = float(np.linalg.norm(tip[:2] - guess))
    arm = (tip[:2] - guess) / length
    offset = candidates - guess
    inside = np.asarray(side * (arm[0] * offset[:, 1] - arm[1] * offset[:, 0]) < 0)
    inside &= side * (candidates[:, 0] - torso.middle) > 0.15 * torso.length
    inside &= (candidates[:, 1] > min(torso.crotch, tip[1])) & (candidates[:, 1] < torso.neck)
    inside &= np.linalg.norm(offset, axis=1) < length
    if not inside.any():
        return None
    corner = np.array((-arm[0], 1.0 - arm[1]))
    return candidates[inside][np.argmax(candidates[inside] @ corner)]


def _place_shoulder(
    solid: VoxelSolid,
    torso: Torso,
    guess: Float64Array,
    armpit: Float64Array | None,
    tip: Float64Array,
    side: int,
) -> Float64Array:
    """The average position, corrected by the armpit, or by the outline for an arm fused with the body."""
    position = guess.copy()
    if armpit is not None:
        seen = armpit + torso.length * np.array((-side * _ARMPIT_ASIDE, _ARMPIT_BELOW))
        position += _ARMPIT_WEIGHTS * (seen - guess)
    elif guess[1] - tip[1] > _HANGING_SLOPE * abs(tip[0] - guess[0]):
        position[0] = (
            _outline_edge(solid, guess[1] - 0.05 * torso.length, side) - side * _ARM_RADIUS * torso.length
        )
        position[0] = 0.5 * (guess[0] + position[0])
    return np.array((*position, column_depth(solid, position, 2 * solid.size)))


def _outline_edge(solid: VoxelSolid, y: float, side: int) -> float:
    """x of the outermost filled cell at height y, on one side."""
    row = solid.centers[np.abs(solid.centers[:, 1] - y) <= solid.size, 0]
    return float((side * row).max() * side) if len(row) else 0.0


def _guess_tip(solid: VoxelSolid, torso: Torso, guess: Float64Array, side: int) -> Float64Array:
    """Fingertip (3,) of an arm that hangs beside the body and is fused with it."""
    y = guess[1] - 0.98 * _ARM_LENGTH * torso.length
    x = _outline_edge(solid, y, side) - side * _ARM_RADIUS * torso.length
    return np.array((x, y, column_depth(solid, np.array((x, y)), 2 * solid.size)))


def _find_wrist(line: Centerline, expected: float) -> float:
    """Fraction of the length at which the arm is narrowest, near the expected one."""
    samples = np.linspace(0.0, 1.0, len(line.points))
    zone = (samples > expected - 0.1) & (samples < expected + 0.1)
    width = np.sqrt(np.convolve(line.areas, np.ones(3) / 3, mode="same"))
    cost = width / max(float(width[zone].mean()), 1e-9) + 25.0 * (samples - expected) ** 2
    return float(samples[zone][np.argmin(cost[zone])])
