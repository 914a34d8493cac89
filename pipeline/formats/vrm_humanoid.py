"""VRM 1.0's requirements of a humanoid: required bones, their hierarchy and the rest pose.

Source: VRM Consortium, specification/VRMC_vrm-1.0/humanoid.md and tpose.md.
"""

from __future__ import annotations

import numpy as np

from ..errors import FormatError
from ..humanoid import FINGERS, NEEDED_LIMBS, ROLE_PARENTS, SIDES
from ..types import Skeleton

REQUIRED_BONES = ("hips", "spine", "head", *(side + part for side in SIDES for part in NEEDED_LIMBS))
_REQUIRE_PARENT = {"upperChest"} | {
    f"{side}{finger}{part}" for side in SIDES for finger, parts in FINGERS.items() for part in parts[1:]
}

_T_POSE_TOLERANCE = 15.0
"""Degrees."""
_T_POSE_DIRECTIONS = {
    **{(side, part, child): (sign, 0, 0)
       for side, sign in (("left", 1), ("right", -1))
       for part, child in (("UpperArm", "LowerArm"), ("LowerArm", "Hand"))},
    **{(side, part, child): (0, -1, 0)
       for side in SIDES
       for part, child in (("UpperLeg", "LowerLeg"), ("LowerLeg", "Foot"))},
}  # fmt: skip
"""(side, bone, the bone it points at) -> its direction."""


def check_humanoid(skeleton: Skeleton) -> None:
    """Raise FormatError unless the roles are VRM's, complete, in VRM's hierarchy and in its T-pose."""
    if not skeleton.roles:
        raise FormatError("VRM: the skeleton is no person's, and a VRM is one; save it as GLB or FBX")
    unknown = sorted(set(skeleton.roles) - set(ROLE_PARENTS))
    if unknown:
        raise FormatError(f"VRM: {', '.join(unknown)} are not humanoid bones of VRM 1.0")
    missing = [bone for bone in REQUIRED_BONES if bone not in skeleton.roles]
    if missing:
        raise FormatError(f"VRM: the skeleton has no {', '.join(missing)}; VRM requires them")
    if len(set(skeleton.roles.values())) != len(skeleton.roles):
        raise FormatError("VRM: one joint has two humanoid roles")
    for role in skeleton.roles:
        _check_parent(skeleton, role)
    for (side, part, child), direction in _T_POSE_DIRECTIONS.items():
        _check_direction(skeleton, side + part, side + child, direction)


def _check_parent(skeleton: Skeleton, role: str) -> None:
    wanted = ROLE_PARENTS[role]
    if role in _REQUIRE_PARENT and wanted not in skeleton.roles:
        raise FormatError(f"VRM: {role} may only exist with {wanted}, which is missing")
    while wanted and wanted not in skeleton.roles:
        wanted = ROLE_PARENTS[wanted]
    found = _find_role_above(skeleton, skeleton.roles[role])
    if found != wanted:
        raise FormatError(
            f"VRM: expected {role} below {wanted or 'no bone'}, it is below {found or 'no bone'}"
        )


def _find_role_above(skeleton: Skeleton, joint: int) -> str:
    roles = {index: role for role, index in skeleton.roles.items()}
    joint = int(skeleton.parents[joint])
    while joint >= 0 and joint not in roles:
        joint = int(skeleton.parents[joint])
    return roles.get(joint, "")


def _check_direction(
    skeleton: Skeleton, role: str, child: str, direction: tuple[float, float, float]
) -> None:
    start, end = (skeleton.positions[skeleton.roles[name]].astype(np.float64) for name in (role, child))
    length = max(float(np.linalg.norm(end - start)), 1e-9)
    off = float(np.degrees(np.arccos(np.clip((end - start) @ direction / length, -1, 1))))
    if off > _T_POSE_TOLERANCE:
        raise FormatError(f"VRM: expected the rest pose to be the T-pose; {role} is {off:.0f} degrees off it")
