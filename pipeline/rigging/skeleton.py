"""The joints of the fitted skeleton: Mixamo's names, hierarchy, VRM roles and joint axes.

As in Mixamo's rigs, a joint's +Y axis points along its bone, to its main child; an end joint continues its
parent's bone. +Z is the world's forward direction, or its up direction for feet and toes, made perpendicular
to the bone; in arms and fingers it is turned from there about the bone, so that it points down in the T-pose.
+X completes the right-handed frame.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse import csgraph

from ..conventions import FORWARD, UP
from ..types import Float64Array, Skeleton

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
"""Each finger has three joints and a fourth at its tip."""


def _list_joints() -> list[tuple[str, str, str, str]]:
    """(name, parent, role, joint that the bone points at), names without PREFIX, parents first."""
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


def build_skeleton(positions: Mapping[str, Float64Array]) -> Skeleton:
    """Build the skeleton from joint positions.

    positions: name in JOINTS or FINGER_JOINTS, without PREFIX -> (3,) float, metres. All of JOINTS are
    required; finger joints are appended if present. `LeftHand` and `RightHand` point at the middle finger,
    or continue the forearm if there is none.
    """
    joints = JOINTS + tuple(joint for joint in FINGER_JOINTS if joint[0] in positions)
    order = {name: index for index, (name, *_) in enumerate(joints)}
    rest = np.tile(np.eye(4), (len(joints), 1, 1))
    for name, parent, _, child in joints:
        if name in ("LeftHand", "RightHand") and name + "Middle1" in positions:
            child = name + "Middle1"
        start, end = (name, child) if child else (parent, name)
        up = UP if "Toe" in name or name.endswith("Foot") else FORWARD
        axes = orient_bone(positions[end] - positions[start], np.array(up))
        rest[order[name], :3, :3] = axes @ find_roll(name)
        rest[order[name], :3, 3] = positions[name]
    return Skeleton(
        names=tuple(PREFIX + name for name in order),
        parents=[order.get(parent, -1) for _, parent, _, _ in joints],  # type: ignore[arg-type]
        rest=rest,  # type: ignore[arg-type]
        roles={role: order[name] for name, _, role, _ in joints if role},
    )


def list_appendage_joints(skeleton: Skeleton) -> list[int]:
    """Return the joints that are none of JOINTS and FINGER_JOINTS."""
    known = {PREFIX + name for name, *_ in JOINTS + FINGER_JOINTS}
    return [joint for joint, name in enumerate(skeleton.names) if name not in known]


def orient_bone(direction: Float64Array, facing: Float64Array) -> Float64Array:
    """Return a joint's axes (3, 3) as columns: +Y along `direction`, +Z as close as possible to `facing`."""
    y = direction / max(float(np.linalg.norm(direction)), 1e-12)
    if np.linalg.norm(y) < 0.5:
        y = np.array(UP)
    if abs(float(y @ facing)) > 0.98:
        facing = np.array(UP) if abs(facing[2]) > 0.5 else np.array(FORWARD)
    x = np.cross(y, facing)
    x /= np.linalg.norm(x)
    return np.stack((x, y, np.cross(x, y)), axis=1)


def find_roll(name: str) -> Float64Array:
    """Return the turn (3, 3) about the bone, in its own axes, of a joint called `name`, without PREFIX."""
    side = next((side for side in SIDES if name.startswith(side)), "")
    if not name.removeprefix(side).startswith(ARM_PARTS):
        return np.eye(3)
    sign = 1.0 if side == "Left" else -1.0
    return np.array(((0.0, 0.0, sign), (0.0, 1.0, 0.0), (-sign, 0.0, 0.0)))


def measure_tree_distances(parents: npt.NDArray[np.integer]) -> Float64Array:
    """Return (J, J), the number of bones between any two joints; parents: (J,), -1 for the root."""
    joints = np.flatnonzero(parents >= 0)
    size = (len(parents),) * 2
    tree = sparse.coo_matrix((np.ones(len(joints)), (joints, parents[joints])), shape=size)
    return csgraph.shortest_path(tree.tocsr(), directed=False, unweighted=True)
