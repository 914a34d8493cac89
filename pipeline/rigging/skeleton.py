"""The joints of the fitted skeleton: Mixamo's names and hierarchy, and VRM's roles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse import csgraph

from ..types import Float64Array, Skeleton
from .joint_axes import orient_joints

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
    or continue the forearm if there is none. joint_axes.py has the axes.
    """
    joints = JOINTS + tuple(joint for joint in FINGER_JOINTS if joint[0] in positions)
    order = {name: index for index, (name, *_) in enumerate(joints)}
    rest, ends = np.tile(np.eye(4), (len(joints), 1, 1)), {}
    for name, parent, _, child in joints:
        if name in ("LeftHand", "RightHand") and name + "Middle1" in positions:
            child = name + "Middle1"
        start, end = (name, child) if child else (parent, name)
        ends[name] = order[start], order[end]
        rest[order[name], :3, 3] = positions[name]
    skeleton = Skeleton(
        names=tuple(PREFIX + name for name in order),
        parents=[order.get(parent, -1) for _, parent, _, _ in joints],  # type: ignore[arg-type]
        rest=rest,  # type: ignore[arg-type]
        roles={role: order[name] for name, _, role, _ in joints if role},
    )
    rest[:, :3, :3] = orient_joints(skeleton, ends)
    return replace(skeleton, rest=rest)


def list_appendage_joints(skeleton: Skeleton) -> list[int]:
    """Return the joints that are none of JOINTS and FINGER_JOINTS."""
    known = {PREFIX + name for name, *_ in JOINTS + FINGER_JOINTS}
    return [joint for joint, name in enumerate(skeleton.names) if name not in known]


def measure_tree_distances(parents: npt.NDArray[np.integer]) -> Float64Array:
    """Return (J, J), the number of bones between any two joints; parents: (J,), -1 for the root."""
    joints = np.flatnonzero(parents >= 0)
    size = (len(parents),) * 2
    tree = sparse.coo_matrix((np.ones(len(joints)), (joints, parents[joints])), shape=size)
    return csgraph.shortest_path(tree.tocsr(), directed=False, unweighted=True)
