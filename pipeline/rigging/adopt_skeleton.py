"""A skeleton of another maker's, or of a model's, as one of ours.

A person's joints get our names, places for those of ours that it lacks, and chains of their own for hair,
tails and wings; joints between two of ours, and at the end of a limb, move with the one of ours above them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ..conventions import FORWARD
from ..types import Float64Array, FloatArray, Int64Array, Mesh, Skeleton
from .appendages import Appendage, add_joints
from .find_roles import find_roles
from .joint_axes import orient_bone
from .skeleton import FINGERS, PREFIX, SIDES, build_skeleton

_STEMS = {"Head": "HeadPart", "Neck": "HeadPart", "Hips": "Tail", "Spine": "Tail"}
_CHEST_STEM = "Wing"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NECK, _SHOULDER = 0.6, (0.3, 0.8, 0.3)
"""Where a neck lies from chest to head, and a shoulder from chest to arm, if the skeleton has none."""
_TOE_AHEAD, _TOE_END, _FINGER_END = 0.06, 0.6, 0.8
"""Share of the height that a toe lies before the ankle; lengths of end bones as shares of those before."""
_HEAD_TOP = 0.05
"""Least height of a head above its joint, as a share of the whole."""


class Adopted(NamedTuple):
    """skeleton: without roles if it is no person's. movers: (J,) which of its joints each old one became."""

    skeleton: Skeleton
    movers: Int64Array


def adopt_skeleton(mesh: Mesh, positions: Float64Array, parents: Int64Array) -> Adopted:
    """Return the joints (J, 3), metres, of a mesh that faces +Z as one of our skeletons.

    parents: (J,), before their children; -1 for the first alone.
    """
    found = find_roles(positions, parents)
    if not found:
        return Adopted(_keep_joints(positions, parents), np.arange(len(parents)))
    skeleton = build_skeleton(_complete(mesh, {name: positions[joint] for name, joint in found.items()}))
    owner = {joint: name for name, joint in found.items()}
    above = _find_named(parents, owner)
    appendages = _find_chains(positions, parents, owner, above)
    skeleton = add_joints(skeleton, [appendage for appendage, _ in appendages])
    for appendage, joints in appendages:
        owner |= dict(zip(joints, appendage.names, strict=False))
    named = _find_named(parents, owner)
    return Adopted(skeleton, np.array([skeleton.index(PREFIX + name) for name in named]))


def fold_weights(weights: FloatArray, adopted: Adopted) -> FloatArray:
    """Weights (V, J) of the old joints -> those (V, N) of the new skeleton's."""
    folded = np.zeros((len(weights), len(adopted.skeleton.names)), np.float32)
    for column, joint in enumerate(adopted.movers.tolist()):
        folded[:, joint] += weights[:, column]
    return folded


def _keep_joints(positions: Float64Array, parents: Int64Array) -> Skeleton:
    """A skeleton without roles: Joint0, Joint1 and so on."""
    rest = np.tile(np.eye(4), (len(parents), 1, 1))
    for joint, parent in enumerate(parents.tolist()):
        children = np.flatnonzero(parents == joint)
        start, end = (joint, int(children[0])) if len(children) else (max(parent, 0), joint)
        rest[joint, :3, :3] = orient_bone(positions[end] - positions[start], np.array(FORWARD))
        rest[joint, :3, 3] = positions[joint]
    names = tuple(f"Joint{joint}" for joint in range(len(parents)))
    return Skeleton(names, parents.astype(np.int32), rest.astype(np.float32))


def _find_named(parents: Int64Array, owner: Mapping[int, str]) -> list[str]:
    """For each joint, the name of the nearest one above it that has one; those above the hips get theirs."""
    named: list[str] = []
    for joint, parent in enumerate(parents.tolist()):
        named.append(owner.get(joint, named[parent] if parent >= 0 else "Hips"))
    return named


def _find_chains(
    positions: Float64Array, parents: Int64Array, owner: Mapping[int, str], above: list[str]
) -> list[tuple[Appendage, list[int]]]:
    """The chains of two or more joints that hang on head, trunk or hips, and the joints of each."""
    has_named = np.zeros(len(parents), bool)
    for joint in reversed(range(len(parents))):
        has_named[joint] |= joint in owner
        if parents[joint] >= 0:
            has_named[parents[joint]] |= has_named[joint]
    chains: list[tuple[Appendage, list[int]]] = []
    for joint in np.flatnonzero(~has_named).tolist():
        parent = int(parents[joint])
        if not has_named[parent] or above[joint].startswith(SIDES):
            continue
        chain = [joint]
        while len(below := np.flatnonzero(parents == chain[-1])):
            chain.append(int(below[0]))
        if len(chain) < 2:
            continue
        stem = _STEMS.get(above[joint], _CHEST_STEM)
        side = SIDES[0] if positions[chain[-1], 0] > 0 else SIDES[1]
        letter = _LETTERS[sum(known.names[0].startswith(side + stem) for known, _ in chains) % len(_LETTERS)]
        names = tuple(f"{side}{stem}{letter}{end}" for end in (*range(1, len(chain) + 1), "_End"))
        tip = 2 * positions[chain[-1]] - positions[chain[-2]]
        line = np.concatenate((positions[chain], tip[None]))
        chains.append((Appendage(names, above[joint], line), chain))
    return chains


def _complete(mesh: Mesh, places: dict[str, Float64Array]) -> dict[str, Float64Array]:
    """Add the joints of ours that a person's skeleton lacks, and the ends of its chains."""
    height = float(mesh.bounds[1][1] - mesh.bounds[0][1])
    hips, chest, head = (places[name] for name in ("Hips", "Spine2", "Head"))
    spine = places.setdefault("Spine", hips + (chest - hips) / 3)
    places.setdefault("Spine1", (spine + chest) / 2)
    places.setdefault("Neck", chest + _NECK * (head - chest))
    top = max(float(mesh.bounds[1][1]), float(head[1]) + _HEAD_TOP * height)
    places["HeadTop_End"] = np.array((head[0], top, head[2]))
    for side in SIDES:
        arm, foot = places[f"{side}Arm"], places[f"{side}Foot"]
        places.setdefault(f"{side}Shoulder", chest + np.multiply(_SHOULDER, arm - chest))
        ground = np.array((foot[0], mesh.bounds[0][1], foot[2] + _TOE_AHEAD * height))
        toe = places.setdefault(f"{side}ToeBase", ground)
        places[f"{side}Toe_End"] = toe + _TOE_END * (toe - foot) * (1, 0, 1)
        for finger in FINGERS:
            _complete_finger(places, f"{side}Hand{finger}")
    return places


def _complete_finger(places: dict[str, Float64Array], name: str) -> None:
    for number in (3, 4):
        if f"{name}2" in places and f"{name}{number}" not in places:
            before, last = places[f"{name}{number - 2}"], places[f"{name}{number - 1}"]
            places[f"{name}{number}"] = last + _FINGER_END * (last - before)
