"""The T-pose of a humanoid skeleton, and the conversion of a character's rest pose to it.

The T-pose is that of VRM 1.0 (specification/VRMC_vrm-1.0/tpose.md): upright, facing +Z, arms along X with the
palms down, legs straight down, feet forward. Joints are found by humanoid role; their axes are arbitrary.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from ...conventions import UP
from ...errors import RigError
from ...humanoid import NEEDED_LIMBS
from ...types import AnimationClip, Float64Array, RiggedCharacter, Skeleton
from .posing import place_joints, rotations_to_turns, skin_mesh, turn_about, turns_to_rotations

SIDE_SIGNS = {"left": 1.0, "right": -1.0}
NEEDED_ROLES = ("hips", *(side + part for side in SIDE_SIGNS for part in NEEDED_LIMBS))
"""Roles that the T-pose requires; the others are optional."""

TRUNK_ROLES = ("spine", "chest", "upperChest")
_RISE_PER_ELEVATION, _MIN_SHOULDER_RISE, _MAX_SHOULDER_RISE = 0.25, -8.0, 25.0
_FINGERS_ACROSS = ("Index", "Middle", "Ring", "Little")
_MAX_TOE_OUT, _MAX_PALM_ROLL = 60.0, 100.0


@dataclass(frozen=True, eq=False)
class _Bones:
    """Offsets between a skeleton's joints in the mesh frame, by role."""

    skeleton: Skeleton

    def between(self, start: str, stop: str) -> Float64Array | None:
        """Offset (3,) from one role's joint to another's, metres; None if either is missing."""
        roles, positions = self.skeleton.roles, self.skeleton.positions.astype(np.float64)
        return positions[roles[stop]] - positions[roles[start]] if start in roles and stop in roles else None


def measure_t_pose(skeleton: Skeleton) -> Float64Array:
    """Return the turns (J, 3, 3) from the rest pose of a humanoid to its T-pose.

    Shoulders move with the chest, fingers with the hand, the head with the neck. The trunk is straightened
    sideways only; how far it leans forward belongs to the body's build. RigError names missing roles.
    """
    require_roles(skeleton)
    bones = _Bones(skeleton)
    roles = {joint: role for role, joint in skeleton.roles.items()}
    turns = np.tile(np.eye(3), (len(skeleton.names), 1, 1))
    for joint, parent in enumerate(skeleton.parents):
        inherited = turns[parent] if parent >= 0 else np.eye(3)
        turns[joint] = _turn_role(bones, roles.get(joint, ""), inherited)
    return turns


def require_roles(skeleton: Skeleton) -> None:
    """Raise RigError unless the skeleton has all NEEDED_ROLES."""
    missing = [role for role in NEEDED_ROLES if role not in skeleton.roles]
    if not skeleton.roles:
        raise RigError(
            "this skeleton is no person's: it has no T-pose, so it cannot be saved as VRM, and clips of "
            "people do not fit it; save it as GLB or FBX, or set skeleton to humanoid in Rig Character"
        )
    if missing:
        raise RigError(
            f"the skeleton is not a complete humanoid: expected the roles {', '.join(NEEDED_ROLES)}; "
            f"missing: {', '.join(missing)}"
        )


def compute_shoulder_rise(raised: Float64Array) -> Float64Array:
    """Return by how many degrees the shoulder rises when its arm is `raised` by degrees above its rest pose.

    The clavicle contributes to every elevation of the arm (V. T. Inman, J. B. Saunders, L. C. Abbott,
    "Observations on the function of the shoulder joint", 1944).
    """
    return np.clip(_RISE_PER_ELEVATION * raised, _MIN_SHOULDER_RISE, _MAX_SHOULDER_RISE)


def arm_elevations(offsets: Float64Array) -> Float64Array:
    """Return the elevations (...) in degrees of directions (..., 3) above the horizontal."""
    return np.degrees(np.arctan2(offsets[..., 1], np.linalg.norm(offsets[..., ::2], axis=-1)))


def normalize_to_t_pose(character: RiggedCharacter) -> RiggedCharacter:
    """Return the character with the T-pose as its rest pose, on the ground, the origin between its feet.

    The mesh is deformed by its own skin, and clips show the same motion as before. Joints keep their names
    and axes. A character that stands there in T-pose is returned unchanged. RigError names missing humanoid
    roles.
    """
    skeleton, mesh = character.skeleton, character.textured.mesh
    turns = raise_shoulders(skeleton, measure_t_pose(skeleton))
    placed = place_joints(skeleton, turns, skeleton.positions[0])
    moved = skin_mesh(mesh, skeleton, character.skin, placed)
    shift = -find_stand(skeleton, placed[:, :3, 3])
    shift[1] = -float(moved.positions[:, 1].min())
    moved = replace(moved, positions=moved.positions + shift)
    placed[:, :3, 3] += shift
    built = replace(skeleton, rest=placed)
    clips = tuple(_rebase_clip(clip, skeleton, built, turns) for clip in character.clips)
    return replace(character, textured=replace(character.textured, mesh=moved), skeleton=built, clips=clips)


def find_stand(skeleton: Skeleton, positions: Float64Array) -> Float64Array:
    """Return the middle (3,) of the joints of both feet; positions: (J, 3) of all joints."""
    feet = [side + part for side in SIDE_SIGNS for part in ("Foot", "Toes")]
    return positions[[skeleton.roles[role] for role in feet if role in skeleton.roles]].mean(axis=0)


def _turn_role(bones: _Bones, role: str, inherited: Float64Array) -> Float64Array:
    """The turn (3, 3) of one joint in T-pose; inherited: its parent's."""
    side = next((name for name in SIDE_SIGNS if role.startswith(name)), "")
    part = role.removeprefix(side)
    if role == next((name for name in TRUNK_ROLES if name in bones.skeleton.roles), None):
        return _straighten_trunk(bones, role) @ inherited
    if part == "UpperArm":
        return _align_bone(bones.between(role, side + "LowerArm"), _outwards(side), inherited)
    if part in ("LowerArm", "Hand"):
        return _straighten_arm(bones, side, part, inherited)
    if part in ("UpperLeg", "LowerLeg"):
        below = side + ("LowerLeg" if part == "UpperLeg" else "Foot")
        if part == "UpperLeg":
            inherited = _point_foot_forward(bones, side)
        return _align_bone(bones.between(role, below), -np.array(UP), inherited)
    return _point_foot_forward(bones, side) if part == "Foot" else inherited


def _outwards(side: str) -> Float64Array:
    return np.array((SIDE_SIGNS[side], 0.0, 0.0))


def _align_bone(offset: Float64Array | None, target: Float64Array, inherited: Float64Array) -> Float64Array:
    """The inherited turn, followed by the shortest rotation that points the bone along `target`."""
    return inherited if offset is None else turn_between(inherited @ offset, target) @ inherited


def turn_between(start: Float64Array, stop: Float64Array) -> Float64Array:
    """Return the shortest rotation (3, 3) from one direction (3,) to another."""
    start, stop = (way / max(float(np.linalg.norm(way)), 1e-12) for way in (start, stop))
    axis, cosine = np.cross(start, stop), float(start @ stop)
    if cosine < -0.9999:
        axis = np.cross(start, (0.0, 0.0, 1.0) if abs(start[2]) < 0.9 else (0.0, 1.0, 0.0))
    length = float(np.linalg.norm(axis))
    angle = np.arctan2(length, cosine)
    return Rotation.from_rotvec(axis / max(length, 1e-12) * angle).as_matrix()


def _straighten_trunk(bones: _Bones, role: str) -> Float64Array:
    top = next((name for name in ("neck", "head") if name in bones.skeleton.roles), "")
    offset = bones.between(role, top)
    return np.eye(3) if offset is None else turn_about("z", np.degrees(np.arctan2(offset[0], offset[1])))


def _point_foot_forward(bones: _Bones, side: str) -> Float64Array:
    """The turn about the vertical axis that points the toes forward."""
    offset = bones.between(side + "Foot", side + "Toes")
    outward = 0.0 if offset is None else float(np.degrees(np.arctan2(offset[0], offset[2])))
    return turn_about("y", -outward) if abs(outward) <= _MAX_TOE_OUT else np.eye(3)


def _straighten_arm(bones: _Bones, side: str, part: str, inherited: Float64Array) -> Float64Array:
    """Straighten the elbow or wrist; forearm and hand each take half of the roll that turns the palm down."""
    outwards, hand = _outwards(side), bones.between(side + "Hand", side + "MiddleProximal")
    if part == "Hand":
        straight = _align_bone(hand, outwards, inherited)
        return turn_about("x", _measure_palm(bones, side, straight)) @ straight
    straight = _align_bone(bones.between(side + "LowerArm", side + "Hand"), outwards, inherited)
    palm = _measure_palm(bones, side, _align_bone(hand, outwards, straight))
    return turn_about("x", palm / 2) @ straight


def _measure_palm(bones: _Bones, side: str, turn: Float64Array) -> float:
    """Degrees about X that turn the back of the hand up; 0 if the fingers do not show where it is."""
    offsets = [bones.between(side + "Hand", f"{side}{finger}Proximal") for finger in _FINGERS_ACROSS]
    across = [offset for offset in offsets if offset is not None]
    if len(across) < 2:
        return 0.0
    back = SIDE_SIGNS[side] * (turn @ np.cross(across[0], across[-1]))
    degrees = -float(np.degrees(np.arctan2(back[2], back[1])))
    return degrees if abs(degrees) <= _MAX_PALM_ROLL else 0.0


def raise_shoulders(skeleton: Skeleton, turns: Float64Array) -> Float64Array:
    """The turns, with shoulders that follow the arms to the horizontal."""
    raised = turns.copy()
    for side, sign in SIDE_SIGNS.items():
        if side + "Shoulder" in skeleton.roles:
            joint = skeleton.roles[side + "Shoulder"]
            offset = _Bones(skeleton).between(side + "UpperArm", side + "LowerArm")
            rise = compute_shoulder_rise(-arm_elevations(np.asarray(offset)))
            raised[joint] = turn_about("z", sign * float(rise)) @ turns[joint]
    return raised


def _rebase_clip(clip: AnimationClip, old: Skeleton, new: Skeleton, turns: Float64Array) -> AnimationClip:
    """The clip for a skeleton whose rest pose is the old skeleton's pose `turns`; the mesh moves the same."""
    after = rotations_to_turns(old, clip.rotations) @ np.swapaxes(turns, 1, 2)
    return replace(clip, rotations=turns_to_rotations(new, after))
