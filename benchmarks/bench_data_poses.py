"""Ten poses that show how a skin bends, and where each is measured.

A turn is a sequence of (axis of the mesh frame, degrees), applied from the last to the first, of a joint
against its parent in the T-pose. The right side mirrors the left where a pose does not say otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from character3d.pipeline.rigging.pose.posing import place_joints, turn_about
from character3d.pipeline.rigging.pose.rest_pose import measure_t_pose
from character3d.pipeline.rigging.skeleton import PREFIX
from character3d.pipeline.types import Skeleton

Turn = tuple[tuple[str, float], ...]
_SHOULDER_RISE = 22.0
_DOWN: Mapping[str, Turn] = {"LeftArm": (("z", -70.0),)}
_SEATED: Mapping[str, Turn] = {"LeftUpLeg": (("x", -90.0),), "LeftLeg": (("x", 90.0),)}
LIMBS: Mapping[str, tuple[str, ...]] = {
    "Arm": ("LeftShoulder", "LeftArm", "LeftForeArm", "Spine2"),
    "ForeArm": ("LeftArm", "LeftForeArm", "LeftHand"),
    "Hand": ("LeftForeArm", "LeftHand"),
    "UpLeg": ("LeftUpLeg", "LeftLeg", "Hips", "Spine"),
    "Leg": ("LeftUpLeg", "LeftLeg", "LeftFoot"),
    "Neck": ("Neck", "Head", "Spine2"),
}
"""Joints that the vertices around a joint are bound to, for them to be measured there."""


@dataclass(frozen=True)
class Pose:
    """turns: of the left side and the middle. right: of the right side, where it is no mirror image.

    places: the joints, without side, around which the volume is measured.
    """

    turns: Mapping[str, Turn]
    places: tuple[str, ...]
    right: Mapping[str, Turn] | None = None


_STEP: Mapping[str, Turn] = {"LeftUpLeg": (("x", -50.0), ("z", 10.0)), "LeftLeg": (("x", 35.0),)}
_STEP_BACK: Mapping[str, Turn] = {"LeftUpLeg": (("x", 30.0), ("z", 10.0)), "LeftLeg": (("x", 15.0),)}
_FOLDED: Mapping[str, Turn] = {"LeftUpLeg": (("x", -115.0), ("z", 10.0)), "LeftLeg": (("x", 130.0),)}
_CROSSED: Mapping[str, Turn] = {
    "LeftArm": (("y", -55.0), ("z", -45.0)),
    "LeftForeArm": (("y", -100.0),),
}
POSES: Mapping[str, Pose] = {
    "arms up 180": Pose(
        {"LeftShoulder": (("z", _SHOULDER_RISE),), "LeftArm": (("z", 90.0 - _SHOULDER_RISE),)}, ("Arm",)
    ),
    "elbow 130": Pose({"LeftForeArm": (("y", -130.0),)}, ("ForeArm",)),
    "knee 120": Pose(_DOWN | {"LeftLeg": (("x", 120.0),)}, ("Leg",)),
    "hip 90": Pose(_DOWN | _SEATED, ("UpLeg",)),
    "head 60": Pose(_DOWN | {"Neck": (("y", 20.0),), "Head": (("y", 40.0),)}, ("Neck",)),
    "wrist twist 90": Pose({"LeftHand": (("x", 90.0),)}, ("Hand",)),
    "deep bend": Pose(_DOWN | _FOLDED | {"Spine": (("x", 30.0),)}, ("UpLeg", "Leg")),
    "wide step": Pose(_DOWN | _STEP, ("UpLeg",), _DOWN | _STEP_BACK),
    "crossed arms": Pose(_CROSSED, ("Arm", "ForeArm")),
    "kick": Pose(_DOWN | {"LeftUpLeg": (("x", -100.0),), "LeftLeg": (("x", 15.0),)}, ("UpLeg",), _DOWN),
}


def place_pose(skeleton: Skeleton, pose: Pose) -> npt.NDArray[np.float64]:
    """Return the joint transforms (J, 4, 4) of the pose, whatever the rest pose is."""
    added = dict(pose.turns)
    other = pose.turns if pose.right is None else pose.right
    mirrored = {"x": 1.0, "y": -1.0, "z": -1.0}
    for name, turn in other.items():
        if name.startswith("Left"):
            right = tuple((axis, mirrored[axis] * degrees) for axis, degrees in turn)
            added["Right" + name.removeprefix("Left")] = right
    straight = measure_t_pose(skeleton)
    moved = np.tile(np.eye(3), (len(straight), 1, 1))
    for joint, parent in enumerate(skeleton.parents):
        moved[joint] = moved[parent] if parent >= 0 else np.eye(3)
        for axis, degrees in added.get(skeleton.names[joint].removeprefix(PREFIX), ()):
            moved[joint] = moved[joint] @ turn_about(axis, degrees)
    return place_joints(skeleton, moved @ straight, skeleton.positions[0])
