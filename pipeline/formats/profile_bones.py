"""Bones that point where another program's do: directions in bone_names.json, keyed by humanoid role.

A clip turns joints, and a limb then points where its bone points in the axes of its joint. Makers differ in
where they put the joints of spine, neck, collarbones and the balls of the feet, and the skin hardly tells.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from ..types import Float64Array, RiggedCharacter, Skeleton
from .joint_names import NAME_PROFILES

_MOST_OFF = 8.0
"""Degrees by which a bone may point elsewhere. The program's own characters differ by as much."""
_LEAST_ABOVE = 0.2
"""Height of the ball of a foot above the sole, as a share of the ankle's, at least."""
_BONES = (
    ("spine", "chest"),
    ("chest", "upperChest"),
    ("upperChest", "neck"),
    ("neck", "head"),
    ("leftShoulder", "leftUpperArm"),
    ("rightShoulder", "rightUpperArm"),
    ("leftFoot", "leftToes"),
    ("rightFoot", "rightToes"),
)
"""Roles of the joints that a bone runs between, from the hips up."""


def align_bones(character: RiggedCharacter, profile: str) -> RiggedCharacter:
    """Return the character with joints moved until its bones point as those of the profile's program.

    Its joints have that program's axes (`turn_axes`), which stay, as do skin and clips. A collarbone begins
    elsewhere, any other bone ends elsewhere; a foot is shorter then where its ball would be in the ground.
    """
    ways, skeleton = NAME_PROFILES[profile].bones, character.skeleton
    pairs = [(start, stop) for start, stop in _BONES if start in ways and {start, stop} <= {*skeleton.roles}]
    if not pairs:
        return character
    rest = skeleton.rest.astype(np.float64)
    sole = float(character.textured.mesh.positions[:, 1].min())
    for start, stop in pairs:
        joint, end = skeleton.roles[start], skeleton.roles[stop]
        way = rest[joint, :3, :3] @ ways[start]
        bone = _turn_towards(rest[end, :3, 3] - rest[joint, :3, 3], way)
        if start.endswith("Shoulder"):
            rest[joint, :3, 3] = rest[end, :3, 3] - bone
        elif start.endswith("Foot"):
            _move_ball(skeleton, rest, end, _keep_above(rest[joint, :3, 3], bone, sole))
        else:
            rest[end, :3, 3] = rest[joint, :3, 3] + bone
    return replace(character, skeleton=replace(skeleton, rest=rest))


def _turn_towards(bone: Float64Array, way: Float64Array) -> Float64Array:
    """The bone (3,), turned towards `way` until it is at most _MOST_OFF from it."""
    across = np.cross(bone, way)
    length = float(np.linalg.norm(across))
    angle = float(np.degrees(np.arctan2(length, bone @ way)))
    if angle <= _MOST_OFF or length < 1e-9:
        return bone
    turn = Rotation.from_rotvec(np.radians(angle - _MOST_OFF) / length * across)
    return np.asarray(turn.apply(bone))


def _keep_above(ankle: Float64Array, bone: Float64Array, sole: float) -> Float64Array:
    """The place (3,) of the ball of a foot; sole: height, metres."""
    lowest = (1 - _LEAST_ABOVE) * max(float(ankle[1]) - sole, 0.0)
    return ankle + bone * min(1.0, lowest / max(-float(bone[1]), 1e-9))


def _move_ball(skeleton: Skeleton, rest: Float64Array, joint: int, place: Float64Array) -> None:
    """Move a joint of `rest` to `place`; the end joint below it stays level with it."""
    ends = np.setdiff1d(np.flatnonzero(skeleton.parents == joint), list(skeleton.roles.values()))
    rest[ends, 1, 3] += place[1] - rest[joint, 1, 3]
    rest[joint, :3, 3] = place
