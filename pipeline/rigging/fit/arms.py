"""Shoulder, elbow and wrist of one arm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..voxel_solid import Points, VoxelSolid
from .hands import HandTip
from .limbs import Centreline, find_bend, trace_limb
from .torso import Torso

_SHOULDER_ASIDE, _SHOULDER_BELOW = 0.265, 0.155
_COLLAR_ASIDE, _COLLAR_BELOW, _COLLAR_AHEAD = 0.107, 0.047, 0.02
_COLLAR_MOST = 0.05
_ARMPIT_ASIDE, _ARMPIT_BELOW = 0.015, 0.104
_ARMPIT_TRUST = (0.7, 0.5)
_ARMPIT_REACH = 0.28
_ELBOW = 0.528
_WRIST, _WRIST_SLOPE, _ARM_SHARE, _WRIST_ZONE = 0.75, 1.0, 1.07, (0.6, 0.76)
_ARM_LENGTH, _ARM_RADIUS = 1.07, 0.057
_HANGING = 0.75


@dataclass(frozen=True, eq=False)
class Arm:
    """Joints (3,), metres. is_free: the hand stands free of the body; is_welded: the armpit is closed."""

    collar: Points
    shoulder: Points
    elbow: Points
    wrist: Points
    tip: Points
    is_free: bool
    is_welded: bool

    @property
    def drop(self) -> float:
        """Degrees of the arm below the horizontal, seen from the front."""
        way = self.wrist - self.shoulder
        return float(np.degrees(np.arctan2(-way[1], abs(way[0]))))


def fit_arm(solid: VoxelSolid, torso: Torso, hand: HandTip | None, side: int) -> Arm:
    """Fit one arm (side +1 is the left). Without a free hand the arm is laid along the outline."""
    guess = _guess_shoulder(torso, side)
    tip = hand.position if hand else _lay_tip(solid, torso, guess, side)
    armpit = find_armpit(solid, torso, tip, side)
    is_welded = armpit is None or guess[1] - armpit[1] > _ARMPIT_REACH * torso.length
    shoulder = _place_shoulder(solid, torso, guess, None if is_welded else armpit, tip, side)
    radius = _ARM_RADIUS * torso.length
    line = trace_limb(solid, shoulder, tip, radius=1.4 * radius, hold=0.2)
    reach = float(np.linalg.norm(tip - shoulder)) / torso.length
    wrist = _find_wrist(line, float(np.clip(_WRIST + _WRIST_SLOPE * (reach - _ARM_SHARE), *_WRIST_ZONE)))
    elbow = find_bend(line, _ELBOW * wrist, wrist)
    collar = np.array(
        (torso.middle + side * _COLLAR_ASIDE * torso.length, torso.neck - _COLLAR_BELOW * torso.length)
    )
    depth = column_depth(solid, collar, 2 * solid.size)
    depth = float(np.clip(depth, shoulder[2] - _COLLAR_MOST * torso.length, shoulder[2]))
    collar3 = np.array((*collar, depth + _COLLAR_AHEAD * torso.length))
    return Arm(collar3, shoulder, line.at(elbow), line.at(wrist), tip, hand is not None, is_welded)


def column_depth(solid: VoxelSolid, point: Points, reach: float) -> float:
    """Mean z of the cells within `reach` metres of a point (x, y) of the front view."""
    offset = np.abs(solid.centres[:, :2] - point[:2])
    near = offset.max(axis=1) <= reach
    if not near.any():
        near = offset.sum(axis=1) <= offset.sum(axis=1).min() + reach
    return float(solid.centres[near, 2].mean())


def _guess_shoulder(torso: Torso, side: int) -> Points:
    """Average place (x, y) of the shoulder joint."""
    aside, below = side * _SHOULDER_ASIDE * torso.length, _SHOULDER_BELOW * torso.length
    return np.array((torso.middle + aside, torso.neck - below))


def find_armpit(solid: VoxelSolid, torso: Torso, tip: Points, side: int) -> Points | None:
    """(x, y) of the deepest point of the gap between arm and trunk, None where there is no gap.

    Looked for among the undersides of the front silhouette; deepest is measured against the bisector
    of the arm's direction and straight down.
    """
    guess = _guess_shoulder(torso, side)
    filled = np.asarray(solid.cells.any(axis=2))
    underside = ~filled[:, :-1] & filled[:, 1:]
    places = solid.origin[:2] + solid.size * np.argwhere(underside)
    length = float(np.linalg.norm(tip[:2] - guess))
    arm = (tip[:2] - guess) / length
    offset = places - guess
    inside = np.asarray(side * (arm[0] * offset[:, 1] - arm[1] * offset[:, 0]) < 0)
    inside &= side * (places[:, 0] - torso.middle) > 0.15 * torso.length
    inside &= (places[:, 1] > min(torso.crotch, tip[1])) & (places[:, 1] < torso.neck)
    inside &= np.linalg.norm(offset, axis=1) < length
    if not inside.any():
        return None
    corner = np.array((-arm[0], 1.0 - arm[1]))
    return places[inside][np.argmax(places[inside] @ corner)]


def _place_shoulder(
    solid: VoxelSolid, torso: Torso, guess: Points, armpit: Points | None, tip: Points, side: int
) -> Points:
    """The average place, corrected by the armpit, or by the outline where the arm hangs welded."""
    place = guess.copy()
    if armpit is not None:
        seen = armpit + torso.length * np.array((-side * _ARMPIT_ASIDE, _ARMPIT_BELOW))
        place += _ARMPIT_TRUST * (seen - guess)
    elif guess[1] - tip[1] > _HANGING * abs(tip[0] - guess[0]):
        place[0] = (
            _outline_edge(solid, guess[1] - 0.05 * torso.length, side) - side * _ARM_RADIUS * torso.length
        )
        place[0] = 0.5 * (guess[0] + place[0])
    return np.array((*place, column_depth(solid, place, 2 * solid.size)))


def _outline_edge(solid: VoxelSolid, y: float, side: int) -> float:
    """x of the outermost filled cell of the row at height y, on one side."""
    row = solid.centres[np.abs(solid.centres[:, 1] - y) <= solid.size, 0]
    return float((side * row).max() * side) if len(row) else 0.0


def _lay_tip(solid: VoxelSolid, torso: Torso, guess: Points, side: int) -> Points:
    """Fingertip of an arm that hangs along, and is one with, the body."""
    y = guess[1] - 0.98 * _ARM_LENGTH * torso.length
    x = _outline_edge(solid, y, side) - side * _ARM_RADIUS * torso.length
    return np.array((x, y, column_depth(solid, np.array((x, y)), 2 * solid.size)))


def _find_wrist(line: Centreline, expected: float) -> float:
    """Fraction of the narrowing between forearm and hand, near the expected one."""
    samples = np.linspace(0.0, 1.0, len(line.points))
    zone = (samples > expected - 0.1) & (samples < expected + 0.1)
    width = np.sqrt(np.convolve(line.areas, np.ones(3) / 3, mode="same"))
    cost = width / max(float(width[zone].mean()), 1e-9) + 25.0 * (samples - expected) ** 2
    return float(samples[zone][np.argmin(cost[zone])])
