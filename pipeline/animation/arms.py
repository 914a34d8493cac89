"""Arms that hang beside the body rather than in it, and shoulders that follow them."""

from __future__ import annotations

import numpy as np

from ..rigging.pose.posing import Transforms, turn_about
from ..rigging.pose.rest_pose import SIDE_SIGNS, TRUNK_ROLES, arm_elevations, follow_with_shoulder
from ..rigging.voxel_solid import Points
from ..types import RiggedCharacter

_WIDE_ROLES = ("hips", *TRUNK_ROLES)
_ARMPIT, _DEPTH = 0.35, 0.35
_WIDEST_HOLD = 50.0
_HANGS, _IS_RAISED = -50.0, -10.0


def measure_clearance(character: RiggedCharacter, side: str) -> float:
    """Return the degrees off the vertical at which a hanging arm of one side ("left") clears the body.

    Measured at rest, from the shoulder joint over the trunk and the thighs beside the arm, below the
    armpit; half of the forearm's thickness counts with the body.
    """
    skeleton, skin, mesh = character.skeleton, character.skin, character.textured.mesh
    sign, roles, places = SIDE_SIGNS[side], skeleton.roles, skeleton.positions.astype(np.float64)
    shoulder, elbow, wrist = (places[roles[side + part]] for part in ("UpperArm", "LowerArm", "Hand"))
    length = float(np.linalg.norm(elbow - shoulder) + np.linalg.norm(wrist - elbow))
    owner = skin.joints[np.arange(len(skin.joints)), skin.weights.argmax(axis=1)]
    wide = [joint for role, joint in roles.items() if role in (*_WIDE_ROLES, side + "UpperLeg")]
    offset = mesh.positions[np.isin(owner, wide)] - shoulder
    down = -offset[:, 1]
    beside = (down > _ARMPIT * length) & (down < 1.3 * length) & (np.abs(offset[:, 2]) < _DEPTH * length)
    if not beside.any():
        return 0.0
    thick = _measure_radius(mesh.positions[owner == roles[side + "LowerArm"]] - elbow, wrist - elbow)
    angles = np.degrees(np.arctan2(sign * offset[beside, 0] + thick, down[beside]))
    return float(np.clip(angles.max(), 0.0, _WIDEST_HOLD))


def _measure_radius(points: Points, axis: Points) -> float:
    """Median distance of points (N, 3) from an axis through the origin."""
    if not len(points):
        return 0.0
    unit = axis / np.linalg.norm(axis)
    return float(np.median(np.linalg.norm(points - (points @ unit)[:, None] * unit, axis=1)))


def hold_arm_out(turns: dict[str, Transforms], side: str, clearance: float) -> None:
    """Turn one arm of a sampled clip, in place, outwards where it hangs nearer to the body than `clearance`.

    clearance: degrees off the vertical. Arms above the horizontal stay as they are; forearms that bend keep
    their bend.
    """
    sign = SIDE_SIGNS[side]
    way = sign * turns[side + "UpperArm"][:, :, 0]
    out = np.degrees(np.arctan2(sign * way[:, 0], -way[:, 1]))
    hangs = np.clip((_IS_RAISED - arm_elevations(way)) / (_IS_RAISED - _HANGS), 0.0, 1.0)
    added = np.maximum(clearance - out, 0.0) * hangs
    outwards = turn_about("z", sign * added)
    for part in ("UpperArm", "LowerArm", "Hand"):
        turns[side + part] = outwards @ turns[side + part]


def raise_shoulder(turns: dict[str, Transforms], side: str, resting: Points) -> None:
    """Let one shoulder of a sampled clip, in place, follow its arm; resting: (3,) the arm's way at rest."""
    sign = SIDE_SIGNS[side]
    chest = turns["upperChest"]
    way = np.einsum("tji,tj->ti", chest, sign * turns[side + "UpperArm"][:, :, 0])
    rise = follow_with_shoulder(arm_elevations(way) - arm_elevations(resting))
    turn = turn_about("z", sign * rise)
    local = np.swapaxes(chest, 1, 2) @ turns[side + "Shoulder"]
    turns[side + "Shoulder"] = chest @ turn @ local
