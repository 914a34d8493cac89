"""A torso and limbs by average proportions, for a body on which they cannot be measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...types import Float64Array
from ..voxel_solid import VoxelSolid
from .arms import Arm, column_depth
from .legs import Leg
from .torso import Torso

# Shares of the body's height.
_NECK_LEVEL, _NECK_RANGE = 0.82, (0.4, 0.92)
_CROTCH_PER_NECK, _CROTCH_RANGE = 0.55, (0.3, 0.65)
# Shares of the torso's length.
_COLLAR, _SHOULDER, _HIP = (0.107, -0.047), (0.265, -0.155), (0.17, 0.141)
"""How far beside the axis, and above the neck or the crotch."""
_ARM_LENGTH, _ARM_OUTWARDS = 1.05, 0.55
"""`_ARM_OUTWARDS`: of the arm's height, at most."""
_ELBOW_FRACTION, _WRIST_FRACTION = 0.4, 0.75
_INSIDE = 0.8
"""Joints lie within this share of the outline's half width."""
_ANKLE_LEVEL, _TOE_LEVEL = 0.12, 0.05
_FOOT_LENGTH, _MAX_FOOT_LENGTH = 0.3, 0.8
"""Shares of the leg's length."""
_LEG_LENGTHS, _ARM_LENGTHS = (0.3, 4.0), (0.3, 2.5)
"""Of believable limbs, as shares of the torso's length."""


def place_torso(torso: Torso) -> Torso:
    """Return the torso with believable heights of neck and crotch, those measured where they are."""
    low, high = (torso.ground + share * torso.height for share in _NECK_RANGE)
    is_neck = torso.has_neck and low <= torso.neck <= high
    neck = torso.neck if is_neck else torso.ground + _NECK_LEVEL * torso.height
    low, high = (torso.ground + share * (neck - torso.ground) for share in _CROTCH_RANGE)
    is_crotch = torso.has_legs and low <= torso.crotch <= high
    crotch = torso.crotch if is_crotch else torso.ground + _CROTCH_PER_NECK * (neck - torso.ground)
    return replace(torso, neck=neck, crotch=crotch, has_neck=is_neck, has_legs=is_crotch)


def place_arm(solid: VoxelSolid, torso: Torso, side: int) -> Arm:
    """Place an arm that hangs beside the body; side: +1 left, -1 right."""
    collar, shoulder = (
        _place_beside(solid, torso, side, aside, torso.neck + above * torso.length)
        for aside, above in (_COLLAR, _SHOULDER)
    )
    drop = min(_ARM_LENGTH * torso.length, 0.9 * float(shoulder[1] - torso.ground))
    out = _ARM_OUTWARDS * drop / torso.length + abs(float(shoulder[0] - torso.middle)) / torso.length
    tip = _place_beside(solid, torso, side, out, float(shoulder[1]) - drop)
    elbow, wrist = (shoulder + share * (tip - shoulder) for share in (_ELBOW_FRACTION, _WRIST_FRACTION))
    return Arm(collar, shoulder, elbow, wrist, tip, is_free=False, is_fused=True)


def place_leg(solid: VoxelSolid, torso: Torso, side: int) -> Leg:
    """Place a straight leg below the hip; side: +1 left, -1 right."""
    length = torso.crotch - torso.ground
    hip = _place_beside(solid, torso, side, _HIP[0], torso.crotch + _HIP[1] * torso.length)
    ankle = _place_beside(solid, torso, side, _HIP[0], torso.ground + _ANKLE_LEVEL * length)
    toe = np.array((ankle[0], torso.ground + _TOE_LEVEL * length, ankle[2] + _FOOT_LENGTH * length))
    ball = np.array((toe[0], toe[1], ankle[2] + 0.75 * _FOOT_LENGTH * length))
    return Leg(hip, 0.5 * (hip + ankle), ankle, ball, toe)


def is_believable_arm(arm: Arm, torso: Torso, side: int) -> bool:
    """Whether an arm that was measured lies on its own side, has an arm's length and ends off the ground."""
    length = float(np.linalg.norm(arm.wrist - arm.elbow) + np.linalg.norm(arm.elbow - arm.shoulder))
    is_aside = side * (arm.wrist[0] - torso.middle) > 0 and arm.wrist[1] > torso.ground + 0.1 * torso.height
    return bool(_is_within(length / torso.length, _ARM_LENGTHS) and is_aside)


def is_believable_leg(leg: Leg, torso: Torso) -> bool:
    """Whether a leg that was measured is finite, and it and its foot have believable lengths."""
    length = float(np.linalg.norm(leg.ankle - leg.knee) + np.linalg.norm(leg.knee - leg.hip))
    foot = float(np.linalg.norm(leg.toe_end - leg.ankle))
    return bool(_is_within(length / torso.length, _LEG_LENGTHS) and foot <= _MAX_FOOT_LENGTH * length)


def _is_within(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]


def _place_beside(solid: VoxelSolid, torso: Torso, side: int, aside: float, y: float) -> Float64Array:
    """The point (3,) `aside` torso lengths beside the axis at height y, moved into the outline."""
    row = solid.centers[np.abs(solid.centers[:, 1] - y) <= solid.size, 0]
    half = float((side * (row - torso.middle)).max()) if len(row) else 0.0
    x = torso.middle + side * min(aside * torso.length, _INSIDE * max(half, 2 * solid.size))
    return np.array((x, y, column_depth(solid, np.array((x, y)), 2 * solid.size)))
