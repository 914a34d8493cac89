"""A character with fewer joints: each that is left takes what those below it moved that are gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import RigError
from ..rigging.pose.posing import place_keys, rotations_to_turns, turns_to_rotations
from ..types import AnimationClip, Int64Array, RiggedCharacter, Skeleton, SkinWeights
from .vrm_humanoid import REQUIRED_BONES


@dataclass(frozen=True)
class _Choice:
    """kept: joints, parents first. guides: the joint that each turns with. owners: (J,) number in `kept`."""

    kept: list[int]
    guides: list[int]
    owners: Int64Array


def merge_joints(character: RiggedCharacter, groups: Sequence[Sequence[str]]) -> RiggedCharacter:
    """Return the character with one joint for each group of humanoid roles, and no others.

    A group lists roles from the hips outwards: its joint is where the first is that the skeleton has, and
    clips turn it as the last. The rest pose shows the same mesh. RigError names the groups that the skeleton
    has none of.
    """
    skeleton = character.skeleton
    choice = _choose(skeleton, groups)
    kept = choice.kept
    above = [int(skeleton.parents[joint]) for joint in kept]
    merged = Skeleton(
        names=tuple(skeleton.names[joint] for joint in kept),
        parents=np.array([-1, *choice.owners[above[1:]]]),
        rest=skeleton.rest[kept],
        roles=_name_roles(groups, choice, skeleton),
    )
    clips = tuple(_merge_clip(clip, skeleton, merged, choice) for clip in character.clips)
    return replace(character, skeleton=merged, skin=_merge_skin(character.skin, choice), clips=clips)


def _choose(skeleton: Skeleton, groups: Sequence[Sequence[str]]) -> _Choice:
    present = [[skeleton.roles[role] for role in group if role in skeleton.roles] for group in groups]
    missing = [group[0] for group, joints in zip(groups, present, strict=True) if not joints]
    if missing:
        found = ", ".join(skeleton.roles) or "none"
        raise RigError(f"bone names: expected joints for {', '.join(missing)}; found the roles {found}")
    ends = {joints[0]: joints[-1] for joints in present}
    kept = sorted(ends)
    owners = np.zeros(len(skeleton.names), np.int64)
    for joint, parent in enumerate(skeleton.parents):
        owners[joint] = kept.index(joint) if joint in ends else owners[parent] if parent >= 0 else 0
    return _Choice(kept, [ends[joint] for joint in kept], owners)


def _name_roles(groups: Sequence[Sequence[str]], choice: _Choice, skeleton: Skeleton) -> dict[str, int]:
    """Role -> number of a merged joint: of its roles, the one that a VRM needs, else the first."""
    roles = {}
    for group in groups:
        own = [role for role in group if role in skeleton.roles]
        role = next((role for role in own if role in REQUIRED_BONES), own[0])
        roles[role] = choice.kept.index(skeleton.roles[own[0]])
    return roles


def _merge_skin(skin: SkinWeights, choice: _Choice) -> SkinWeights:
    """Each vertex with each joint once."""
    dense = np.zeros((len(skin.joints), len(choice.kept)))
    np.add.at(dense, (np.arange(len(dense))[:, None], choice.owners[skin.joints]), skin.weights)
    joints = np.argsort(-dense, axis=1, kind="stable")[:, : skin.influences]
    weights = np.take_along_axis(dense, joints, axis=1)
    return SkinWeights(np.where(weights > 0, joints, joints[:, :1]), weights)


def _merge_clip(clip: AnimationClip, skeleton: Skeleton, merged: Skeleton, choice: _Choice) -> AnimationClip:
    turns = rotations_to_turns(skeleton, clip.rotations)[:, choice.guides]
    placed = place_keys(skeleton, clip.rotations, clip.translations, clip.mover)
    rotations = turns_to_rotations(merged, turns)
    return replace(clip, rotations=rotations, translations=placed[:, choice.kept[0], :3, 3], mover=0)


def group_roles(names: Mapping[str, str]) -> list[list[str]]:
    """Roles that share a name, in the order of `names`: role -> name."""
    groups: dict[str, list[str]] = {}
    for role, name in names.items():
        groups.setdefault(name, []).append(role)
    return list(groups.values())
