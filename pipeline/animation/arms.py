"""Correction of a clip's arms: they hang beside the body, not in it, and the shoulders follow them."""

from __future__ import annotations

import numpy as np

from ..rigging.pose.posing import turn_about
from ..rigging.pose.rest_pose import SIDE_SIGNS, TRUNK_ROLES, arm_elevations, compute_shoulder_rise
from ..types import Float64Array, RiggedCharacter

_BODY_ROLES = ("hips", *TRUNK_ROLES)
_BELOW_SHOULDER, _LOWEST, _DEPTH = 0.35, 1.3, 0.35
"""The body beside a hanging arm, relative to its shoulder; shares of the arm's length."""
_MAX_CLEARANCE = 50.0
_HANGING_ELEVATION, _RAISED_ELEVATION = -50.0, -10.0
"""Degrees between which the correction fades out."""


def measure_clearance(character: RiggedCharacter, side: str) -> float:
    """Return the angle from the vertical, in degrees, at which a hanging arm clears the body.

    side: "left" or "right". The angle is measured in the rest pose at the shoulder joint, over the trunk and
    thigh beside the arm and below the armpit, plus the radius of the forearm.
    """
    skeleton, skin, mesh = character.skeleton, character.skin, character.textured.mesh
    sign, roles, positions = SIDE_SIGNS[side], skeleton.roles, skeleton.positions.astype(np.float64)
    shoulder, elbow, wrist = (positions[roles[side + part]] for part in ("UpperArm", "LowerArm", "Hand"))
    length = float(np.linalg.norm(elbow - shoulder) + np.linalg.norm(wrist - elbow))
    owner = skin.joints[np.arange(len(skin.joints)), skin.weights.argmax(axis=1)]
    body = [joint for role, joint in roles.items() if role in (*_BODY_ROLES, side + "UpperLeg")]
    offset = mesh.positions[np.isin(owner, body)] - shoulder
    down = -offset[:, 1]
    beside = (
        (down > _BELOW_SHOULDER * length)
        & (down < _LOWEST * length)
        & (np.abs(offset[:, 2]) < _DEPTH * length)
    )
    if not beside.any():
        return 0.0
    radius = _measure_radius(mesh.positions[owner == roles[side + "LowerArm"]] - elbow, wrist - elbow)
    angles = np.degrees(np.arctan2(sign * offset[beside, 0] + radius, down[beside]))
    return float(np.clip(angles.max(), 0.0, _MAX_CLEARANCE))


def _measure_radius(points: Float64Array, axis: Float64Array) -> float:
    """Median distance of points (N, 3) from an axis (3,) through the origin, metres."""
    if not len(points):
        return 0.0
    unit = axis / np.linalg.norm(axis)
    return float(np.median(np.linalg.norm(points - (points @ unit)[:, None] * unit, axis=1)))


def abduct_arm(turns: dict[str, Float64Array], side: str, clearance: float) -> None:
    """Rotate one arm of a sampled clip outwards, in place, where it is closer to the body than `clearance`.

    turns: role -> (T, 3, 3). clearance: degrees from the vertical. Raised arms are not changed, and the bend
    of the elbow is kept.
    """
    sign = SIDE_SIGNS[side]
    direction = sign * turns[side + "UpperArm"][:, :, 0]
    angle = np.degrees(np.arctan2(sign * direction[:, 0], -direction[:, 1]))
    hanging = np.clip(
        (_RAISED_ELEVATION - arm_elevations(direction)) / (_RAISED_ELEVATION - _HANGING_ELEVATION), 0.0, 1.0
    )
    added = np.maximum(clearance - angle, 0.0) * hanging
    outwards = turn_about("z", sign * added)
    for part in ("UpperArm", "LowerArm", "Hand"):
        turns[side + part] = outwards @ turns[side + part]


def raise_shoulder(turns: dict[str, Float64Array], side: str, resting: Float64Array) -> None:
    """Raise one shoulder of a sampled clip, in place, with its arm.

    turns: role -> (T, 3, 3). resting: (3,) direction of the arm in the rest pose.
    """
    sign = SIDE_SIGNS[side]
    chest = turns["upperChest"]
    direction = np.einsum("tji,tj->ti", chest, sign * turns[side + "UpperArm"][:, :, 0])
    rise = compute_shoulder_rise(arm_elevations(direction) - arm_elevations(resting))
    turn = turn_about("z", sign * rise)
    local = np.swapaxes(chest, 1, 2) @ turns[side + "Shoulder"]
    turns[side + "Shoulder"] = chest @ turn @ local
