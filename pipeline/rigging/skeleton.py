"""The joints we fit: Mixamo's names, their tree, their VRM roles, and how each joint is oriented.

Every joint's +Y runs along its bone (to its main child; an end joint continues its parent's), as in
Mixamo's rigs. +Z is the world's forward direction made perpendicular to the bone, for feet and toes the
world's up; +X completes the right-handed frame.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..conventions import FORWARD, UP
from ..types import Skeleton
from .voxel_solid import Points

PREFIX = "mixamorig:"

_TRUNK = (
    ("Hips", "", "hips", "Spine"),
    ("Spine", "Hips", "spine", "Spine1"),
    ("Spine1", "Spine", "chest", "Spine2"),
    ("Spine2", "Spine1", "upperChest", "Neck"),
    ("Neck", "Spine2", "neck", "Head"),
    ("Head", "Neck", "head", "HeadTop_End"),
    ("HeadTop_End", "Head", "", ""),
)
_LIMBS = (
    ("Shoulder", "Spine2", "Shoulder", "Arm"),
    ("Arm", "Shoulder", "UpperArm", "ForeArm"),
    ("ForeArm", "Arm", "LowerArm", "Hand"),
    ("Hand", "ForeArm", "Hand", ""),
    ("UpLeg", "Hips", "UpperLeg", "Leg"),
    ("Leg", "UpLeg", "LowerLeg", "Foot"),
    ("Foot", "Leg", "Foot", "ToeBase"),
    ("ToeBase", "Foot", "Toes", "Toe_End"),
    ("Toe_End", "ToeBase", "", ""),
)
_FINGERS = {
    "Thumb": ("ThumbMetacarpal", "ThumbProximal", "ThumbDistal"),
    **{
        finger: tuple(role + part for part in ("Proximal", "Intermediate", "Distal"))
        for finger, role in (("Index", "Index"), ("Middle", "Middle"), ("Ring", "Ring"), ("Pinky", "Little"))
    },
}
SIDES = ("Left", "Right")
ARM_PARTS = ("Shoulder", "Arm", "ForeArm", "Hand")
LEG_PARTS = ("UpLeg", "Leg", "Foot", "ToeBase")
FINGERS = tuple(_FINGERS)
FINGER_PARTS = tuple(f"Hand{finger}{number}" for finger in FINGERS for number in (1, 2, 3, 4))
"""Three joints of each finger, and the fourth at its tip."""


def _list_joints() -> list[tuple[str, str, str, str]]:
    """(name, parent, role, the joint its bone points at) without the prefix, parents first."""
    joints = list(_TRUNK)
    for side in SIDES:
        for name, parent, role, child in _LIMBS:
            parent = parent if parent in ("Spine2", "Hips") else side + parent
            role, child = side.lower() + role if role else "", side + child if child else ""
            joints.append((side + name, parent, role, child))
    return joints


def _list_finger_joints() -> list[tuple[str, str, str, str]]:
    joints = []
    for side in SIDES:
        for finger, roles in _FINGERS.items():
            names = [f"{side}Hand{finger}{number}" for number in (1, 2, 3, 4)]
            parents, children = (side + "Hand", *names[:3]), (*names[1:], "")
            for name, parent, role, child in zip(names, parents, (*roles, ""), children, strict=True):
                joints.append((name, parent, side.lower() + role if role else "", child))
    return joints


JOINTS = tuple(_list_joints())
FINGER_JOINTS = tuple(_list_finger_joints())


def build_skeleton(places: Mapping[str, Points]) -> Skeleton:
    """Make the skeleton from joint positions (3,), metres, keyed by the names of JOINTS.

    Joints of FINGER_JOINTS follow, those that `places` has. `LeftHand` and `RightHand` point at the
    middle finger; without one their bones continue the forearms.
    """
    joints = JOINTS + tuple(joint for joint in FINGER_JOINTS if joint[0] in places)
    order = {name: index for index, (name, *_) in enumerate(joints)}
    rest = np.tile(np.eye(4), (len(joints), 1, 1))
    for name, parent, _, child in joints:
        if name in ("LeftHand", "RightHand") and name + "Middle1" in places:
            child = name + "Middle1"
        start, end = (name, child) if child else (parent, name)
        up = UP if "Toe" in name or name.endswith("Foot") else FORWARD
        rest[order[name], :3, :3] = orient_bone(places[end] - places[start], np.array(up))
        rest[order[name], :3, 3] = places[name]
    return Skeleton(
        names=tuple(PREFIX + name for name in order),
        parents=[order.get(parent, -1) for _, parent, _, _ in joints],  # type: ignore[arg-type]
        rest=rest,  # type: ignore[arg-type]
        roles={role: order[name] for name, _, role, _ in joints if role},
    )


def orient_bone(direction: Points, facing: Points) -> Points:
    """Return the axes (3, 3), as columns, of a joint: +Y along `direction`, +Z as near `facing` as can be."""
    y = direction / max(float(np.linalg.norm(direction)), 1e-12)
    if np.linalg.norm(y) < 0.5:
        y = np.array(UP)
    if abs(float(y @ facing)) > 0.98:
        facing = np.array(UP) if abs(facing[2]) > 0.5 else np.array(FORWARD)
    x = np.cross(y, facing)
    x /= np.linalg.norm(x)
    return np.stack((x, y, np.cross(x, y)), axis=1)
