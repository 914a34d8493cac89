"""Retargeting of clips to the skeleton of a character."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..progress import Progress, ignore_progress, span_progress
from ..rigging.pose.posing import place_joints, turns_to_rotations
from ..rigging.pose.rest_pose import SIDE_SIGNS, TRUNK_ROLES, measure_t_pose
from ..types import AnimationClip, Float64Array, RiggedCharacter, Skeleton
from .arms import abduct_arm, measure_clearance, raise_shoulder
from .clips import HumanoidClip, load_clip
from .legs import measure_legs, stand_on_ground
from .swing import swing_clip

_FRAMES_PER_SECOND = 30


def animate_character(
    character: RiggedCharacter, names: Sequence[str], progress: Progress = ignore_progress
) -> RiggedCharacter:
    """Return the character with the named clips appended; clips of the same names are replaced.

    Its hair, tail and the like follow the motion (swing.py). Raises ValueError for unknown names.
    """
    clips = [load_clip(name) for name in names]
    kept = tuple(clip for clip in character.clips if clip.name not in names)
    added = []
    for number, clip in enumerate(clips):
        part = span_progress(progress, number / len(clips), (number + 1) / len(clips))
        added.append(swing_clip(character, retarget_clip(clip, character), part))
        part(1.0)
    return replace(character, clips=(*kept, *added))


def retarget_clip(clip: HumanoidClip, character: RiggedCharacter) -> AnimationClip:
    """Return the clip for the character's skeleton, 30 keys per second, with the feet on the ground (y = 0).

    Joints are found by role and rotated relative to the T-pose of `measure_t_pose`, so rest pose and joint
    axes are arbitrary. The rotation of a part of the trunk that the skeleton lacks goes to the part below
    it. Feet in contact with the ground neither slide nor sink (inverse kinematics of the legs), hanging arms
    clear the body, and shoulders follow raised arms. RigError names missing roles.
    """
    skeleton = character.skeleton
    t_pose = measure_t_pose(skeleton)
    times = np.linspace(0.0, clip.duration, 2 * max(round(clip.duration * _FRAMES_PER_SECOND / 2), 1) + 1)
    roles = clip.sample_turns(times[:-1])
    _adapt_arms(roles, character)
    hips = stand_on_ground(clip, times[:-1], roles, measure_legs(character, t_pose))
    turns = turn_joints(skeleton, roles, t_pose)
    root = hips - place_joints(skeleton, turns, np.zeros(3))[:, skeleton.roles["hips"], :3, 3]
    turns, root = (np.concatenate((values, values[:1])) for values in (turns, root))
    return AnimationClip(clip.name, times, turns_to_rotations(skeleton, turns), root)


def _adapt_arms(roles: dict[str, Float64Array], character: RiggedCharacter) -> None:
    """Adapt the sampled arms, in place, to the body and its rest pose."""
    skeleton = character.skeleton
    for side in SIDE_SIGNS:
        abduct_arm(roles, side, measure_clearance(character, side))
        upper, lower = (skeleton.roles[side + part] for part in ("UpperArm", "LowerArm"))
        raise_shoulder(roles, side, skeleton.positions[lower] - skeleton.positions[upper])


def turn_joints(skeleton: Skeleton, roles: dict[str, Float64Array], t_pose: Float64Array) -> Float64Array:
    """Return the turns (T, J, 3, 3) from the rest pose; joints without a role follow their parents.

    roles: role -> (T, 3, 3) from the T-pose, whose own turns from rest are t_pose (J, 3, 3).
    """
    moved = _merge_trunk(skeleton, roles)
    names = {joint: role for role, joint in skeleton.roles.items()}
    since = np.tile(np.eye(3), (len(roles["hips"]), len(skeleton.names), 1, 1))
    for joint, parent in enumerate(skeleton.parents):
        if names.get(joint) in moved:
            since[:, joint] = moved[names[joint]]
        elif parent >= 0:
            since[:, joint] = since[:, parent]
    return since @ t_pose


def _merge_trunk(skeleton: Skeleton, roles: dict[str, Float64Array]) -> dict[str, Float64Array]:
    """Give each part of the trunk the rotation of the parts above it that the skeleton lacks."""
    merged, part = dict(roles), ""
    for role in TRUNK_ROLES:
        part = role if role in skeleton.roles else part
        if part:
            merged[part] = roles[role]
    return merged
