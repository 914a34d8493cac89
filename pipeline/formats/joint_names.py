"""Joint names of other programs: profiles in bone_names.json, keyed by humanoid role.

Each profile's `source` is the publication of its names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..types import AnimationClip, FloatArray, RiggedCharacter, Skeleton, SkinWeights
from .fewer_joints import group_roles, merge_joints


@dataclass(frozen=True)
class NameProfile:
    """The joint names of one program.

    root: name of the joint at the origin above the hips, or empty. joints: humanoid role -> name.
    ends: role -> name of the end joint below it; other end joints get their parent's name and `end_suffix`.
    twists: role -> name of its twist joint; others get their parent's name and `Twist`.
    turns: role, and `root` -> quaternion (4,) from a joint's axes in joint_axes.py to the program's; empty
    where it needs none. bones: role -> direction (3,) of the bone in the program's axes, where makers place
    joints freely. still: name of a joint between root and hips, where the hips rest, or empty.
    is_whole: the program takes no other joints; roles with the same name are one joint.
    """

    source: str
    root: str
    joints: dict[str, str]
    ends: dict[str, str]
    end_suffix: str
    twists: dict[str, str] = field(default_factory=dict)
    turns: dict[str, tuple[float, ...]] = field(default_factory=dict)
    bones: dict[str, tuple[float, ...]] = field(default_factory=dict)
    still: str = ""
    is_whole: bool = False


def _read_profiles() -> dict[str, NameProfile]:
    text = Path(__file__).with_name("bone_names.json").read_text(encoding="utf-8")
    return {name: NameProfile(**entry) for name, entry in json.loads(text).items()}


NAME_PROFILES = _read_profiles()
_ROOT = "root"


def rename_joints(skeleton: Skeleton, profile: str, *, with_root: bool = False) -> Skeleton:
    """Return the skeleton with a profile's names; the order of the joints is kept.

    A profile with a root adds a joint of that name at the origin above the hips, unless there is a joint
    above them already; `with_root` adds one, called "root", for the others too. A joint without a role counts
    as an end joint if it has no children and no sibling with neither children nor a role; others keep their
    names. Joints that a whole profile has no name for are not taken away here, but by `rename_character`.
    Raises ValueError, listing the known profiles, for an unknown one.
    """
    wanted = _get_profile(profile)
    names = tuple(_name_joint(skeleton, wanted, joint) for joint in range(len(skeleton.names)))
    renamed = replace(skeleton, names=names)
    root = _choose_root(skeleton, wanted, with_root)
    above = {root: np.zeros(3)} if root else {}
    if root and wanted.still:
        above[wanted.still] = skeleton.positions[0]
    return _add_above(renamed, above) if above else renamed


def rename_character(character: RiggedCharacter, profile: str, *, with_root: bool = False) -> RiggedCharacter:
    """Return the character with a profile's names; skin and clips are adapted if joints are added or merged.

    The root does not move: clips move the hips below it as before. Raises ValueError as `rename_joints`, and
    RigError for a skeleton that lacks joints of a whole profile.
    """
    wanted = _get_profile(profile)
    if wanted.is_whole:
        character = merge_joints(character, group_roles(wanted.joints))
    skeleton = rename_joints(character.skeleton, profile, with_root=with_root)
    added = len(skeleton.names) - len(character.skeleton.names)
    if not added:
        return replace(character, skeleton=skeleton)
    skin = SkinWeights(character.skin.joints + added, character.skin.weights)
    clips = tuple(_move_below(clip, added) for clip in character.clips)
    return replace(character, skeleton=skeleton, skin=skin, clips=clips)


def _get_profile(profile: str) -> NameProfile:
    if profile not in NAME_PROFILES:
        raise ValueError(f"unknown bone names {profile!r}; known are {', '.join(NAME_PROFILES)}")
    return NAME_PROFILES[profile]


def _choose_root(skeleton: Skeleton, profile: NameProfile, with_root: bool) -> str:
    """Name of the joint to add above the hips; "" for none, or where there is one."""
    root = profile.root or (_ROOT if with_root else "")
    return root if skeleton.roles.get("hips") == 0 else ""


def _name_joint(skeleton: Skeleton, profile: NameProfile, joint: int) -> str:
    roles = {index: role for role, index in skeleton.roles.items()}
    old, parent = skeleton.names[joint], int(skeleton.parents[joint])
    if joint in roles:
        return profile.joints.get(roles[joint], old)
    if parent not in roles or not _is_end(skeleton, joint):
        return old
    role = roles[parent]
    return profile.ends.get(role, _name_joint(skeleton, profile, parent) + profile.end_suffix)


def _is_end(skeleton: Skeleton, joint: int) -> bool:
    """Whether a joint has no children, and no sibling with neither children nor a role."""
    below_parent = np.flatnonzero(skeleton.parents == skeleton.parents[joint])
    inner = {*skeleton.parents.tolist(), *skeleton.roles.values()}
    return joint not in inner and sum(other not in inner for other in below_parent.tolist()) == 1


def _add_above(skeleton: Skeleton, places: Mapping[str, FloatArray]) -> Skeleton:
    """The skeleton below joints with the mesh's axes: name -> position (3,), the uppermost first."""
    count = len(places)
    rest = np.tile(np.eye(4), (count, 1, 1))
    rest[:, :3, 3] = list(places.values())
    return Skeleton(
        names=(*places, *skeleton.names),
        parents=np.concatenate((np.arange(count) - 1, skeleton.parents + count)),
        rest=np.concatenate((rest, skeleton.rest)),
        roles={role: joint + count for role, joint in skeleton.roles.items()},
    )


def _move_below(clip: AnimationClip, count: int) -> AnimationClip:
    """The clip of what is now below `count` joints without a turn."""
    still = np.tile(np.array((0, 0, 0, 1), np.float32), (len(clip.times), count, 1))
    return replace(clip, rotations=np.concatenate((still, clip.rotations), axis=1), mover=clip.mover + count)
