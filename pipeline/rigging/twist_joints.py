"""Twist joints of the arms: they take half of a roll about the bone, so that the skin does not wring.

Linear blend skinning collapses where two joints that share a vertex are turned far from each other about the
bone between them (the candy wrapper: D. L. James, C. D. Twigg, "Skinning Mesh Animations", 2005, and others).
A twist joint in the middle of the forearm rolls half as far as the hand; one at the shoulder takes back half
of the upper arm's roll. Each step is then half as large.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from ..types import AnimationClip, Float64Array, FloatArray, RiggedCharacter, Skeleton, SkinWeights
from .skin.skinning import keep_strongest

SIDES = ("left", "right")
ROLL_SHARE = 0.5


class Twist(NamedTuple):
    """A twist joint: the role of the limb's joint above it, and of the joint whose roll it follows.

    at: its place, a share of the limb's length. share: of the roll that it takes, in the limb's own axes.
    """

    role: str
    end: str
    source: str
    at: float
    share: float


def _list_twists() -> tuple[Twist, ...]:
    found = []
    for side in SIDES:
        upper, lower, hand = (side + part for part in ("UpperArm", "LowerArm", "Hand"))
        found += [Twist(upper, lower, upper, 0.0, -ROLL_SHARE), Twist(lower, hand, hand, 0.5, ROLL_SHARE)]
    return tuple(found)


TWISTS = _list_twists()


def add_twist_joints(character: RiggedCharacter, names: Mapping[str, str]) -> RiggedCharacter:
    """Return the character with the joints of TWISTS at the end of its skeleton, where it has their roles.

    names: role of a limb -> name of its twist joint, default: the limb's name and `Twist`. The rest pose
    shows the same mesh; clips turn the new joints by their share of the roll, and move the rest as before.
    """
    skeleton, skin = character.skeleton, character.skin
    twists = [twist for twist in TWISTS if {twist.role, twist.end, twist.source} <= skeleton.roles.keys()]
    joints = [skeleton.roles[twist.role] for twist in twists]
    rest = skeleton.rest[joints].copy()
    for place, twist in zip(rest, twists, strict=True):
        place[:3, 3] += twist.at * (skeleton.positions[skeleton.roles[twist.end]] - place[:3, 3])
    added = [names.get(t.role, f"{skeleton.names[j]}Twist") for t, j in zip(twists, joints, strict=True)]
    grown = replace(
        skeleton,
        names=(*skeleton.names, *added),
        parents=np.concatenate((skeleton.parents, joints)).astype(np.int32),
        rest=np.concatenate((skeleton.rest, rest)),
    )
    skin = _share_weights(character, twists)
    clips = tuple(_turn_with(clip, skeleton, twists) for clip in character.clips)
    return replace(character, skeleton=grown, skin=skin, clips=clips)


def find_roll_sources(skeleton: Skeleton) -> dict[int, int]:
    """Joint -> the joint below the limb whose roll it takes a share of, for the forearms' twist joints."""
    found = {}
    taken = {*skeleton.roles.values(), *skeleton.parents.tolist()}
    for twist in TWISTS:
        if twist.share < 0 or not {twist.role, twist.source} <= skeleton.roles.keys():
            continue
        limb = skeleton.roles[twist.role]
        for joint in np.flatnonzero(skeleton.parents == limb).tolist():
            if joint not in taken and np.allclose(skeleton.rest[joint, :3, :3], skeleton.rest[limb, :3, :3]):
                found[joint] = skeleton.roles[twist.source]
    return found


def _share_weights(character: RiggedCharacter, twists: list[Twist]) -> SkinWeights:
    """Along one half of its bone, a limb's weight goes over to its twist joint, linearly."""
    skeleton, skin = character.skeleton, character.skin
    positions, places = character.textured.mesh.positions, skeleton.positions
    joints, weights = skin.joints.astype(np.int64), skin.weights.astype(np.float64)
    moved, given = [], []
    for number, twist in enumerate(twists):
        limb, end = skeleton.roles[twist.role], skeleton.roles[twist.end]
        bone = places[end] - places[limb]
        along = (positions - places[limb]) @ bone / max(float(bone @ bone), 1e-12)
        share = np.clip(1 - 2 * along if twist.share < 0 else 2 * along, 0, 1)[:, None]
        mine = weights * (joints == limb)
        given.append((mine * share).sum(axis=1, keepdims=True))
        weights = weights - mine * share
        moved.append(np.full((len(positions), 1), len(skeleton.names) + number))
    joints, weights = np.concatenate((joints, *moved), axis=1), np.concatenate((weights, *given), axis=1)
    columns, shares = keep_strongest(
        weights, np.arange(weights.shape[1]), count=skin.influences, smallest=0.0
    )
    return SkinWeights(np.take_along_axis(joints, columns, axis=1), shares)


def _turn_with(clip: AnimationClip, skeleton: Skeleton, twists: list[Twist]) -> AnimationClip:
    """The clip with rotations of the twist joints appended."""
    turned = [_roll_with(clip.rotations, skeleton, twist)[:, None] for twist in twists]
    return replace(clip, rotations=np.concatenate((clip.rotations, *turned), axis=1))


def _roll_with(rotations: FloatArray, skeleton: Skeleton, twist: Twist) -> Float64Array:
    """(T, 4) quaternions of one twist joint in the limb's axes, where it rests as the limb does."""
    limb, source = skeleton.roles[twist.role], skeleton.roles[twist.source]
    axes = skeleton.rest[:, :3, :3].astype(np.float64)
    bone = axes[limb].T @ (skeleton.positions[skeleton.roles[twist.end]] - skeleton.positions[limb])
    bone = bone / max(float(np.linalg.norm(bone)), 1e-12)
    rest = Rotation.from_matrix(axes[skeleton.parents[source]].T @ axes[source])
    keys = Rotation.from_quat(rotations[:, source].astype(np.float64))
    # The source's turn from rest, in the limb's axes: a hand's are below it, the upper arm's are its own.
    turn = (keys * rest.inv() if source != limb else rest.inv() * keys).as_quat()
    roll = 2 * np.arctan2(turn[:, :3] @ bone, turn[:, 3])
    roll = np.unwrap((roll + np.pi) % (2 * np.pi) - np.pi)
    return Rotation.from_rotvec(twist.share * roll[:, None] * bone).as_quat()
