"""From a clip of no particular skeleton to the joints of one character."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..rigging.pose.posing import Transforms, place_joints, turns_to_rotations
from ..rigging.pose.rest_pose import SIDE_SIGNS, TRUNK_ROLES, measure_t_pose
from ..types import AnimationClip, RiggedCharacter, Skeleton
from .arms import hold_arm_out, measure_clearance, raise_shoulder
from .clips import HumanoidClip, load_clip
from .legs import measure_legs, stand_on_ground

_FRAMES_PER_SECOND = 30


def animate_character(character: RiggedCharacter, names: Sequence[str]) -> RiggedCharacter:
    """Return the character with the named clips after those of other names; ValueError for unknown names."""
    clips = [load_clip(name) for name in names]
    kept = tuple(clip for clip in character.clips if clip.name not in names)
    return replace(character, clips=kept + tuple(retarget_clip(clip, character) for clip in clips))


def retarget_clip(clip: HumanoidClip, character: RiggedCharacter) -> AnimationClip:
    """Return the clip for the character's own skeleton, 30 keys a second, its feet on the ground (y = 0).

    Joints are found by role and turned from the T-pose that `measure_t_pose` finds, whatever the rest pose
    and the joints' axes are. What turns a part of the trunk that the skeleton lacks turns the part below.
    Feet in contact neither slide nor sink: the legs are bent to where they have to be. Hanging arms are held
    out as far as the body is wide, and shoulders follow raised arms. RigError names missing roles.
    """
    skeleton = character.skeleton
    t_pose = measure_t_pose(skeleton)
    times = np.linspace(0.0, clip.duration, 2 * max(round(clip.duration * _FRAMES_PER_SECOND / 2), 1) + 1)
    roles = clip.sample_turns(times[:-1])
    _turn_arms(roles, character)
    hips = stand_on_ground(clip, times[:-1], roles, measure_legs(character, t_pose))
    turns = _turn_joints(skeleton, roles, t_pose)
    root = hips - place_joints(skeleton, turns, np.zeros(3))[:, skeleton.roles["hips"], :3, 3]
    turns, root = (np.concatenate((values, values[:1])) for values in (turns, root))
    return AnimationClip(clip.name, times, turns_to_rotations(skeleton, turns), root)


def _turn_arms(roles: dict[str, Transforms], character: RiggedCharacter) -> None:
    """Adapt the sampled arms, in place, to the body and to where the arms rest."""
    skeleton = character.skeleton
    for side in SIDE_SIGNS:
        hold_arm_out(roles, side, measure_clearance(character, side))
        upper, lower = (skeleton.roles[side + part] for part in ("UpperArm", "LowerArm"))
        raise_shoulder(roles, side, skeleton.positions[lower] - skeleton.positions[upper])


def _turn_joints(skeleton: Skeleton, roles: dict[str, Transforms], t_pose: Transforms) -> Transforms:
    """The turns (T, J, 3, 3) from rest; joints that the clip does not move go with their parents."""
    moved = _merge_trunk(skeleton, roles)
    names = {joint: role for role, joint in skeleton.roles.items()}
    since = np.tile(np.eye(3), (len(roles["hips"]), len(skeleton.names), 1, 1))
    for joint, parent in enumerate(skeleton.parents):
        if names.get(joint) in moved:
            since[:, joint] = moved[names[joint]]
        elif parent >= 0:
            since[:, joint] = since[:, parent]
    return since @ t_pose


def _merge_trunk(skeleton: Skeleton, roles: dict[str, Transforms]) -> dict[str, Transforms]:
    """Give each part of the trunk the turn of the parts above it that the skeleton lacks."""
    merged, part = dict(roles), ""
    for role in TRUNK_ROLES:
        part = role if role in skeleton.roles else part
        if part:
            merged[part] = roles[role]
    return merged
