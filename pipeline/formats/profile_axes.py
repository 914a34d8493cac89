"""Joint axes of other programs: turns in bone_names.json, keyed by humanoid role."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from ..types import AnimationClip, Float64Array, RiggedCharacter, Skeleton
from .joint_names import NAME_PROFILES

_ROOT = "root"


def turn_axes(character: RiggedCharacter, profile: str) -> RiggedCharacter:
    """Return the character with the joint axes of a profile's program; it looks and moves as before.

    A joint without a role is turned as its parent, and one above the hips as the profile's root.
    """
    turns = NAME_PROFILES[profile].turns
    if not turns or not character.skeleton.roles:
        return character
    added = _list_turns(character.skeleton, turns)
    rest = character.skeleton.rest.copy()
    rest[:, :3, :3] = rest[:, :3, :3] @ added
    skeleton = replace(character.skeleton, rest=rest)
    clips = tuple(_turn_clip(clip, skeleton, added) for clip in character.clips)
    return replace(character, skeleton=skeleton, clips=clips)


def _list_turns(skeleton: Skeleton, turns: Mapping[str, tuple[float, ...]]) -> Float64Array:
    """What each joint's axes are turned by, in themselves: (J, 3, 3)."""
    roles = {joint: role for role, joint in skeleton.roles.items()}
    added = np.tile(Rotation.from_quat(turns[_ROOT]).as_matrix(), (len(skeleton.names), 1, 1))
    for joint, parent in enumerate(skeleton.parents):
        if roles.get(joint) in turns:
            added[joint] = Rotation.from_quat(turns[roles[joint]]).as_matrix()
        elif parent >= 0:
            added[joint] = added[parent]
    return added


def _turn_clip(clip: AnimationClip, skeleton: Skeleton, added: Float64Array) -> AnimationClip:
    """The clip of the joints before, for joints with these turns (J, 3, 3) added."""
    own = Rotation.from_matrix(added)
    above = Rotation.from_matrix(
        np.where((skeleton.parents < 0)[:, None, None], np.eye(3), added[skeleton.parents])
    )
    keys = [(above.inv() * Rotation.from_quat(key) * own).as_quat() for key in clip.rotations]
    return replace(clip, rotations=np.stack(keys))
