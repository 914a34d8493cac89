"""The T-pose of a humanoid skeleton, and a character whose rest pose it becomes.

T-pose: VRM 1.0, "humanoid", section "T-pose": upright, facing +Z, arms along X with the palms down, legs
straight down, feet forward. Joints are found by their humanoid roles; their axes may be any.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from ...conventions import FORWARD, UP
from ...errors import RigError
from ...humanoid import NEEDED_LIMBS
from ...types import AnimationClip, RiggedCharacter, Skeleton
from ..skeleton import orient_bone
from ..voxel_solid import Points
from .posing import Transforms, place_joints, read_turns, skin_mesh, turn_about, turns_to_rotations

SIDE_SIGNS = {"left": 1.0, "right": -1.0}
NEEDED_ROLES = ("hips", *(side + part for side in SIDE_SIGNS for part in NEEDED_LIMBS))
"""Roles without which there is no T-pose; the others may be missing."""

TRUNK_ROLES = ("spine", "chest", "upperChest")
_SHOULDER_SHARE, _SHOULDER_LOWEST, _SHOULDER_HIGHEST = 0.25, -8.0, 25.0
_FINGERS_ACROSS = ("Index", "Middle", "Ring", "Little")
_WIDEST_TOES, _WIDEST_PALM = 60.0, 100.0
_SAME_AXES = 1e-3


@dataclass(frozen=True, eq=False)
class _Bones:
    """A skeleton's directions in the mesh frame, by role."""

    skeleton: Skeleton

    def way(self, start: str, stop: str) -> Points | None:
        """(3,) metres from one role's joint to another's, None where either is missing."""
        roles, places = self.skeleton.roles, self.skeleton.positions.astype(np.float64)
        return places[roles[stop]] - places[roles[start]] if start in roles and stop in roles else None


def measure_t_pose(skeleton: Skeleton) -> Transforms:
    """Return the turns (J, 3, 3) that bring a resting humanoid into its T-pose.

    Shoulders go with the chest, fingers with the hand, the head with the neck. Sideways the trunk is made
    upright; how far it leans forward is its build. RigError names the roles that are missing.
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
    """RigError unless the skeleton has all NEEDED_ROLES."""
    missing = [role for role in NEEDED_ROLES if role not in skeleton.roles]
    if missing:
        raise RigError(
            f"the skeleton is no complete humanoid: expected the roles {', '.join(NEEDED_ROLES)}, "
            f"{', '.join(missing)} missing"
        )


def follow_with_shoulder(raised: Points) -> Points:
    """Degrees by which a shoulder rises when its arm is `raised` (degrees) above where it rests.

    The clavicle takes a part of every raising of the arm (Inman, Saunders, Abbott 1944).
    """
    return np.clip(_SHOULDER_SHARE * raised, _SHOULDER_LOWEST, _SHOULDER_HIGHEST)


def arm_elevations(ways: Points) -> Points:
    """Degrees (...) of arm directions (..., 3) above the horizontal."""
    return np.degrees(np.arctan2(ways[..., 1], np.linalg.norm(ways[..., ::2], axis=-1)))


def normalise_to_t_pose(character: RiggedCharacter) -> RiggedCharacter:
    """Return the character with the T-pose for its rest pose, its lowest point on the ground.

    The mesh is moved by its own skin; clips show the motion that they showed. Joints keep their names and,
    where they were oriented as `build_skeleton` orients them, are oriented so again. A character in T-pose
    stays as it is. RigError names the humanoid roles that are missing.
    """
    skeleton, mesh = character.skeleton, character.textured.mesh
    turns = _raise_shoulders(skeleton, measure_t_pose(skeleton))
    placed = place_joints(skeleton, turns, skeleton.positions[0])
    moved = skin_mesh(mesh, skeleton, character.skin, placed)
    lift = np.array((0.0, -float(moved.positions[:, 1].min()), 0.0))
    moved = replace(moved, positions=moved.positions + lift)
    placed[:, :3, 3] += lift
    for joint, rest in enumerate(skeleton.rest.astype(np.float64)):
        placed[joint, :3, :3] = _reorient_joint(rest[:3, :3], placed[joint, :3, :3])
    built = replace(skeleton, rest=placed)
    clips = tuple(_express_clip(clip, skeleton, built, turns) for clip in character.clips)
    return replace(character, textured=replace(character.textured, mesh=moved), skeleton=built, clips=clips)


def _turn_role(bones: _Bones, role: str, inherited: Transforms) -> Transforms:
    """The turn (3, 3) of one joint in T-pose, given its parent's."""
    side = next((name for name in SIDE_SIGNS if role.startswith(name)), "")
    part = role.removeprefix(side)
    if role == next((name for name in TRUNK_ROLES if name in bones.skeleton.roles), None):
        return _right_trunk(bones, role) @ inherited
    if part == "UpperArm":
        return _lay_along(bones.way(role, side + "LowerArm"), _outwards(side), inherited)
    if part in ("LowerArm", "Hand"):
        return _turn_lower_arm(bones, side, part, inherited)
    if part in ("UpperLeg", "LowerLeg"):
        below = side + ("LowerLeg" if part == "UpperLeg" else "Foot")
        if part == "UpperLeg":
            inherited = _face_foot(bones, side)
        return _lay_along(bones.way(role, below), -np.array(UP), inherited)
    return _face_foot(bones, side) if part == "Foot" else inherited


def _outwards(side: str) -> Points:
    return np.array((SIDE_SIGNS[side], 0.0, 0.0))


def _lay_along(way: Points | None, target: Points, inherited: Transforms) -> Transforms:
    """The inherited turn and then the shortest one that brings the bone to `target`."""
    return inherited if way is None else turn_between(inherited @ way, target) @ inherited


def turn_between(start: Points, stop: Points) -> Transforms:
    """Return the shortest rotation (3, 3) that takes one direction (3,) to another."""
    start, stop = start / np.linalg.norm(start), stop / np.linalg.norm(stop)
    axis, cosine = np.cross(start, stop), float(start @ stop)
    if cosine < -0.9999:
        axis = np.cross(start, (0.0, 0.0, 1.0) if abs(start[2]) < 0.9 else (0.0, 1.0, 0.0))
    length = float(np.linalg.norm(axis))
    angle = np.arctan2(length, cosine)
    return Rotation.from_rotvec(axis / max(length, 1e-12) * angle).as_matrix()


def _right_trunk(bones: _Bones, role: str) -> Transforms:
    top = next((name for name in ("neck", "head") if name in bones.skeleton.roles), "")
    way = bones.way(role, top)
    return np.eye(3) if way is None else turn_about("z", np.degrees(np.arctan2(way[0], way[1])))


def _face_foot(bones: _Bones, side: str) -> Transforms:
    """The turn about the vertical that points the toes forward; the sole stays as it lies."""
    way = bones.way(side + "Foot", side + "Toes")
    outward = 0.0 if way is None else float(np.degrees(np.arctan2(way[0], way[2])))
    return turn_about("y", -outward) if abs(outward) <= _WIDEST_TOES else np.eye(3)


def _turn_lower_arm(bones: _Bones, side: str, part: str, inherited: Transforms) -> Transforms:
    """Straighten the elbow or wrist; forearm and hand share what turns the palm down."""
    outwards, hand = _outwards(side), bones.way(side + "Hand", side + "MiddleProximal")
    if part == "Hand":
        straight = _lay_along(hand, outwards, inherited)
        return turn_about("x", _measure_palm(bones, side, straight)) @ straight
    straight = _lay_along(bones.way(side + "LowerArm", side + "Hand"), outwards, inherited)
    palm = _measure_palm(bones, side, _lay_along(hand, outwards, straight))
    return turn_about("x", palm / 2) @ straight


def _measure_palm(bones: _Bones, side: str, turn: Transforms) -> float:
    """Degrees about X that bring the back of a hand so turned up; 0 where the fingers do not tell."""
    ways = [bones.way(side + "Hand", f"{side}{finger}Proximal") for finger in _FINGERS_ACROSS]
    across = [way for way in ways if way is not None]
    if len(across) < 2:
        return 0.0
    back = SIDE_SIGNS[side] * (turn @ np.cross(across[0], across[-1]))
    degrees = -float(np.degrees(np.arctan2(back[2], back[1])))
    return degrees if abs(degrees) <= _WIDEST_PALM else 0.0


def _raise_shoulders(skeleton: Skeleton, turns: Transforms) -> Transforms:
    """Turns whose shoulders follow the arms to the horizontal."""
    raised = turns.copy()
    for side, sign in SIDE_SIGNS.items():
        if side + "Shoulder" in skeleton.roles:
            joint = skeleton.roles[side + "Shoulder"]
            way = _Bones(skeleton).way(side + "UpperArm", side + "LowerArm")
            rise = follow_with_shoulder(-arm_elevations(np.asarray(way)))
            raised[joint] = turn_about("z", sign * float(rise)) @ turns[joint]
    return raised


def _reorient_joint(rest: Transforms, turned: Transforms) -> Transforms:
    """The axes of build_skeleton's convention around the turned bone, if `rest` follows it."""
    for facing in (np.array(FORWARD), np.array(UP)):
        if np.abs(orient_bone(rest[:, 1], facing) - rest).max() < _SAME_AXES:
            return orient_bone(turned[:, 1], facing)
    return turned


def _express_clip(clip: AnimationClip, old: Skeleton, new: Skeleton, turns: Transforms) -> AnimationClip:
    """The same motion of the mesh for a skeleton whose rest is the old one's pose `turns`."""
    after = read_turns(old, clip) @ np.swapaxes(turns, 1, 2)
    return replace(clip, rotations=turns_to_rotations(new, after))
