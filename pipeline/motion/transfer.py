"""A Motion put onto a character."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy import ndimage

from ..animation.legs import Leg, measure_legs, reach_ankles
from ..animation.retarget import turn_joints
from ..animation.swing import swing_clip
from ..conventions import ROOT_MOTIONS
from ..errors import FormatError
from ..humanoid import ROLE_PARENTS
from ..progress import Progress, ignore_progress, span_progress
from ..rigging.pose.posing import place_joints, turns_to_rotations
from ..rigging.pose.rest_pose import measure_t_pose, raise_shoulders
from ..types import AnimationClip, Float64Array, RiggedCharacter
from .contacts import Contacts, find_contacts
from .footing import hold_foot, level_foot, roll_foot
from .motion import Motion
from .trunk import keep_out_of_trunk

_RATE = 30.0
_PATH_SECONDS = 0.5
_SAME_TURN = np.radians(3.0)
_SAME_PLACE = 0.03
"""How much the last pose of a loop may differ from the first; lengths of the leg."""
_REACH_SECONDS = 0.12


def add_motions(
    character: RiggedCharacter,
    motions: Sequence[Motion],
    *,
    root_motion: str = ROOT_MOTIONS[0],
    progress: Progress = ignore_progress,
) -> RiggedCharacter:
    """Return the character with the motions as clips; those that it has of the same names are replaced."""
    clips = []
    for number, motion in enumerate(motions):
        start, stop = number / len(motions), (number + 1) / len(motions)
        middle = (start + stop) / 2
        moving, swinging = span_progress(progress, start, middle), span_progress(progress, middle, stop)
        clip = transfer_motion(motion, character, root_motion=root_motion, progress=moving)
        clips.append(swing_clip(character, clip, swinging))
        progress(stop)
    names = {clip.name for clip in clips}
    kept = tuple(clip for clip in character.clips if clip.name not in names)
    return replace(character, clips=kept + tuple(clips))


def transfer_motion(
    motion: Motion,
    character: RiggedCharacter,
    *,
    root_motion: str = ROOT_MOTIONS[0],
    progress: Progress = ignore_progress,
) -> AnimationClip:
    """Return the motion for the character's skeleton, 30 keys a second, with its feet on the ground (y = 0).

    Joints are found by role and turned from the T-pose, whatever their rest pose and axes. Feet that stand
    neither slide nor sink; forearms and hands stay out of the trunk. root_motion: keep, or in place, which
    takes the way that the hips go from the clip and leaves their sway. RigError names missing roles.
    """
    if root_motion not in ROOT_MOTIONS:
        raise FormatError(f"root_motion: expected one of {', '.join(ROOT_MOTIONS)}; found {root_motion!r}")
    skeleton = character.skeleton
    t_pose = raise_shoulders(skeleton, measure_t_pose(skeleton))
    count = max(round(motion.duration * _RATE), 1) + 1
    motion = motion.resample(np.linspace(0.0, motion.duration, count))
    loop = _is_loop(motion)
    legs = measure_legs(character, t_pose)
    hips, roles = _stand_loop(motion, legs, 3 if loop else 1)
    if root_motion == "in place":
        hips = _take_way(hips, motion.times, loop=loop)
    turns = turn_joints(skeleton, roles, t_pose)
    root = hips - place_joints(skeleton, turns, np.zeros(3))[:, skeleton.roles["hips"], :3, 3]
    progress(0.5)
    turns = keep_out_of_trunk(character, turns, root, motion.times, span_progress(progress, 0.5, 1))
    closes = loop and bool(np.abs(root[-1] - root[0]).max() < _SAME_PLACE * legs["left"].thigh)
    return AnimationClip(motion.name, motion.times, turns_to_rotations(skeleton, turns), root, closes)


def _fill_roles(turns: Mapping[str, Float64Array]) -> dict[str, Float64Array]:
    """The turns of a motion; roles of the body that it lacks follow the role above."""
    filled: dict[str, Float64Array] = {}
    for role, parent in ROLE_PARENTS.items():
        filled[role] = turns[role] if role in turns else filled[parent]
    return filled


def _is_loop(motion: Motion) -> bool:
    """Whether the last pose is the first, wherever the pelvis has gone."""
    cosines = [np.trace(turn[0].T @ turn[-1]) for turn in motion.turns.values()]
    worst = np.arccos(np.clip((min(cosines) - 1) / 2, -1, 1))
    return bool(worst < _SAME_TURN and abs(motion.pelvis[-1, 1] - motion.pelvis[0, 1]) < _SAME_PLACE)


def _stand_loop(
    motion: Motion, legs: Mapping[str, Leg], cycles: int
) -> tuple[Float64Array, dict[str, Float64Array]]:
    """Hips (T, 3), metres, and turns by role with feet that stand; of a loop, those of its middle cycle."""
    every = motion.repeat(cycles)
    roles = _fill_roles(every.turns)
    hips = _stand(every, roles, legs)
    count = len(motion.times) - 1
    own = slice(cycles // 2 * count, cycles // 2 * count + count + 1)
    passed = _measure_way(motion, legs) * (cycles // 2)
    return hips[own] - passed, {role: turn[own] for role, turn in roles.items()}


def _measure_way(motion: Motion, legs: Mapping[str, Leg]) -> Float64Array:
    """(3,) metres along the ground from the first to the last key."""
    length = float(np.mean([leg.thigh + leg.shin for leg in legs.values()]))
    return length * (motion.pelvis[-1] - motion.pelvis[0]) * (1.0, 0.0, 1.0)


def _stand(motion: Motion, roles: dict[str, Float64Array], legs: Mapping[str, Leg]) -> Float64Array:
    """The positions (T, 3) of the hips, metres; the legs in `roles` are changed in place to hold the feet."""
    contacts = find_contacts(motion)
    length = float(np.mean([leg.thigh + leg.shin for leg in legs.values()]))
    drift = _drift(motion.times, contacts) * length
    hips = _place_hips(motion, roles, legs, length) - drift
    ankles = {side: _hold(motion, contacts, hips, roles, side, leg) for side, leg in legs.items()}
    width = max(round(_REACH_SECONDS * _RATE), 1)
    return reach_ankles(hips, roles, legs, ankles, width, "nearest") + drift


def _drift(times: Float64Array, contacts: Contacts) -> Float64Array:
    """(T, 3) how far the ground has moved, lengths of the leg."""
    return np.insert(times[:, None] * contacts.ground, 1, 0.0, axis=1)


def _place_hips(
    motion: Motion, roles: Mapping[str, Float64Array], legs: Mapping[str, Leg], length: float
) -> Float64Array:
    """The hips' joint (T, 3), metres, from where the motion has the middle between the hip joints."""
    level = np.eye(3)[None]
    standing = np.mean([leg.sole.measure_heights(level, level)[0][0] for leg in legs.values()])
    middle = np.mean([leg.hip for leg in legs.values()], axis=0)
    start = np.mean([leg.hips + leg.hip for leg in legs.values()], axis=0) * (1.0, 0.0, 1.0)
    return start + motion.pelvis * length + (0.0, standing, 0.0) - roles["hips"] @ middle


def _hold(
    motion: Motion,
    contacts: Contacts,
    hips: Float64Array,
    roles: dict[str, Float64Array],
    side: str,
    leg: Leg,
) -> Float64Array:
    """Targets (T, 3) for one ankle, metres; levels the foot in `roles`, in place."""
    foot, toes = roles[side + "Foot"], roles[side + "Toes"]
    ankle = leg.place_ankle(hips, roles, side)
    level = level_foot(foot)
    toes = level @ np.swapaxes(foot, 1, 2) @ toes
    roles[side + "Foot"], roles[side + "Toes"] = level, toes
    footing = roll_foot(leg.sole, level, toes)
    return hold_foot(ankle, footing, contacts.stands[side], leg.thigh + leg.shin)


def _take_way(hips: Float64Array, times: Float64Array, *, loop: bool) -> Float64Array:
    """The hips (T, 3) without the way that they go: straight in a loop, else their path without sway."""
    if loop:
        way = np.linspace(0.0, 1.0, len(hips))[:, None] * (hips[-1] - hips[0])
    else:
        sigma = _PATH_SECONDS / float(np.median(np.diff(times)))
        count = min(len(hips) - 1, round(4 * sigma))
        before, after = 2 * hips[0] - hips[count:0:-1], 2 * hips[-1] - hips[-2 : -count - 2 : -1]
        padded = np.concatenate((before, hips, after))
        way = ndimage.gaussian_filter1d(padded, sigma, axis=0)[count : count + len(hips)] - hips[0]
    return hips - way * (1.0, 0.0, 1.0)
