"""The axes of the fitted joints: Mixamo's in the T-pose, carried back to the pose that the body is in.

A clip turns joints in their own axes, so that one made for Mixamo's characters moves a body as theirs where
the axes are the same in the T-pose. Where those follow the bone, they do here: +Y points along it, to the
joint's main child; an end joint continues its parent's bone. In trunk, collarbones, shins and feet, whose
joints lie elsewhere in every body, they are the mean of the rigs of Mixamo's characters X Bot, Y Bot and Ely
and of its automatic rigger.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.spatial.transform import Rotation

from ..conventions import FORWARD, UP
from ..types import Float64Array, Skeleton
from .pose.posing import place_joints
from .pose.rest_pose import measure_t_pose, raise_shoulders

_TILTS = {"Hips": 0.0, "Spine": -8.0, "Spine1": -8.0, "Spine2": -6.0, "Neck": -2.0, "Head": -2.0}
"""Degrees by which +Y leans forward from straight up."""
_LEG_TILTS = {"Leg": -2.5, "Foot": 58.0}
"""Degrees by which +Y leans forward from straight down."""
_COLLAR_DROP, _COLLAR_BACK = 12.0, 4.0
"""Degrees by which a collarbone's +Y points down and back."""
_ARM_ROLL = 6.0
"""Degrees by which the +Z of arms and hands is turned forward from straight down: 0 in Mixamo's own
characters; in those of the automatic rigger as much as the spine leans, about 8.5."""
_SIDES = {"Left": 1.0, "Right": -1.0}
_ARM_PARTS = ("Shoulder", "Arm", "ForeArm", "Hand")


def orient_joints(skeleton: Skeleton, ends: Mapping[str, tuple[int, int]]) -> Float64Array:
    """Return the axes (J, 3, 3) of the joints of a humanoid, as columns, in its pose.

    ends: a joint's name, without prefix -> the joints that its bone runs between, in the skeleton's order.
    """
    turns = raise_shoulders(skeleton, measure_t_pose(skeleton))
    places = place_joints(skeleton, turns, skeleton.positions[0])[:, :3, 3]
    axes = [_orient(name, places[stop] - places[start]) for name, (start, stop) in ends.items()]
    return np.swapaxes(turns, 1, 2) @ np.stack(axes)


def _orient(name: str, bone: Float64Array) -> Float64Array:
    """The axes (3, 3) of one joint in the T-pose."""
    side = next((side for side in _SIDES if name.startswith(side)), "")
    part, sign = name.removeprefix(side), _SIDES.get(side, 1.0)
    if part in _TILTS:
        return _tilt(_TILTS[part])
    if part in _LEG_TILTS:
        down = np.diag((-1.0, -1.0, 1.0))
        return _tilt(-_LEG_TILTS[part]) @ down
    if not part.startswith(_ARM_PARTS):
        return orient_bone(bone, np.array(UP if part.startswith("Toe") else FORWARD))
    if part == "Shoulder":
        drop, back = np.radians((_COLLAR_DROP, _COLLAR_BACK))
        bone = np.array((sign, -np.tan(drop), -np.tan(back)))
    ahead = _tilt(-_ARM_ROLL) @ FORWARD
    return orient_bone(bone, ahead) @ Rotation.from_euler("y", 90 * sign, degrees=True).as_matrix()


def _tilt(degrees: float) -> Float64Array:
    """The turn (3, 3) that leans what is upright forward."""
    return Rotation.from_euler("x", degrees, degrees=True).as_matrix()


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
