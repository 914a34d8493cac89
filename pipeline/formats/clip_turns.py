"""A character's clip as formats without axes of joints take it: turns from the T-pose."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import FormatError
from ..rigging.pose.posing import place_keys, rotations_to_turns
from ..rigging.pose.rest_pose import normalize_to_t_pose
from ..types import Float64Array, FloatArray, RiggedCharacter, Skeleton


@dataclass(frozen=True, eq=False)
class TurnedClip:
    """skeleton: in the T-pose. times: (T,) seconds. local: (T, J, 3, 3) turns relative to the parent's.

    mover: the joint that is moved, the hips. moves: (T, 3) metres, its place relative to the joint above.
    """

    name: str
    skeleton: Skeleton
    times: FloatArray
    local: Float64Array
    mover: int
    moves: Float64Array


def turn_clip(character: RiggedCharacter, name: str) -> TurnedClip:
    """Return the character's clip of that name. FormatError names the clips that there are."""
    clip = next((own for own in character.clips if own.name == name), None)
    if clip is None:
        named = ", ".join(own.name for own in character.clips) or "no clips"
        raise FormatError(f"clip: expected one of {named}; found {name!r}")
    posed = normalize_to_t_pose(replace(character, clips=(clip,)))
    clip, skeleton = posed.clips[0], posed.skeleton
    turns = rotations_to_turns(skeleton, clip.rotations)
    local = turns.copy()
    for joint, parent in enumerate(skeleton.parents):
        if parent >= 0:
            local[:, joint] = turns[:, parent].swapaxes(1, 2) @ turns[:, joint]
    placed = place_keys(skeleton, clip.rotations, clip.translations, clip.mover)
    mover = skeleton.roles.get("hips", 0)
    above = int(skeleton.parents[mover])
    moves = placed[:, mover, :3, 3] - (placed[:, above, :3, 3] if above >= 0 else 0.0)
    return TurnedClip(clip.name, skeleton, clip.times, local, mover, moves)
