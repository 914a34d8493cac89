"""The words of a rig: joints as coordinates in 256 steps, then four codes of skin for each joint.

A sentence is START, the class of its skeleton, its joints, END; the codes of all joints in order; STOP. A
joint that hangs on the one before it has three coordinates; another has BRANCH, those of its parent, and its
own.
J.-P. Zhang et al., "SkinTokens: A Learned Compact Representation for Unified Autoregressive Rigging", 2026.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...pipeline.errors import RigError
from ...pipeline.types import BoolArray, Float64Array, FloatArray, Int64Array

STEPS = 256
"""Of a coordinate between -1 and 1: the first words."""
BRANCH, START, END, PAD, SPRING, BODY, HAND, NO_CLASS, RIGNET, VROID, ARTICULATION = range(STEPS, STEPS + 11)
FIRST_CODE = ARTICULATION + 1
LEVELS = (8, 8, 8, 8, 8)
"""Values that each of a code's numbers can have."""
CODES = 8**5
STOP = FIRST_CODE + CODES
VOCABULARY = STOP + 1
CODES_PER_JOINT = 4

_PARTS, _CLASSES = (SPRING, BODY, HAND), (NO_CLASS, RIGNET, VROID, ARTICULATION)
_JOINT = range(STEPS)
_FOLLOWING = {
    "nothing": (START,),
    "start": (*_CLASSES, *_PARTS, *_JOINT),
    "class": (*_PARTS, *_JOINT, END),
    "joint": (*_PARTS, *_JOINT, BRANCH, END),
    "begun": (*_JOINT,),
    "x": (*_JOINT,),
    "y": (*_JOINT,),
}
"""The words that may follow, by what was said last."""


class Joints(NamedTuple):
    """positions: (J, 3) between -1 and 1. parents: (J,), before their children; -1 for the first."""

    positions: FloatArray
    parents: Int64Array


def _list_masks() -> dict[str, BoolArray]:
    masks = {}
    for said, words in _FOLLOWING.items():
        masks[said] = np.zeros(VOCABULARY, bool)
        masks[said][list(words)] = True
    return masks


_MASKS = _list_masks()


def find_allowed(words: Sequence[int]) -> BoolArray:
    """Mark (VOCABULARY,) the words that may follow a sentence's first ones."""
    if END not in words:
        return _MASKS[_read_last(words)[0]]
    allowed = np.zeros(VOCABULARY, bool)
    said = len(words) - list(words).index(END)
    if said == CODES_PER_JOINT * count_joints(words):  # one word early: STOP is the last joint's last code
        allowed[STOP] = True
    else:
        allowed[END:STOP] = True
    return allowed


def count_joints(words: Sequence[int]) -> int:
    """Number of joints in a sentence, whole or not."""
    return _read_last(words)[1]


def _read_last(words: Sequence[int]) -> tuple[str, int]:
    """What was said last, a key of _FOLLOWING, and the number of joints said so far."""
    said, joints, is_parent = "nothing", 0, False
    for word in words:
        if said in ("nothing", "begun", "x"):
            said = {"nothing": "start", "begun": "x", "x": "y"}[said]
        elif said == "y":
            joints += not is_parent
            said, is_parent = "joint", False
        elif word < STEPS:
            said = "x"
        elif said == "start":
            said = "class" if word in _CLASSES else "begun"
        elif said == "joint":
            said, is_parent = "begun", word == BRANCH
        if word == END:
            break
    return said, joints


def write_joints(joints: Joints, kind: int = ARTICULATION) -> list[int]:
    """The first words of the sentence of a known skeleton, up to END."""
    steps = np.clip(np.round((joints.positions.astype(np.float64) + 1) / 2 * STEPS), 0, STEPS - 1)
    words = [START, kind]
    for joint, parent in enumerate(joints.parents.tolist()):
        if joint and parent != joint - 1:
            words += [BRANCH, *steps[parent].astype(int).tolist()]
        words += steps[joint].astype(int).tolist()
    return [*words, END]


def read_joints(words: Sequence[int]) -> Joints:
    """The skeleton of a sentence that begins with START; RigError names the word that is out of place.

    A joint's parent is the joint before it that is nearest to where the sentence says the parent is.
    """
    if not len(words) or words[0] != START:
        raise RigError(f"no skeleton: its first word is {list(words[:1])}; expected {START}")
    if END not in words:
        raise RigError(f"no skeleton: none of its {len(words)} words is {END}, which ends it")
    end = list(words).index(END)
    places: list[Float64Array] = []
    parents: list[int] = []
    at = 1
    while at < end:
        if words[at] == BRANCH:
            parent = _find_nearest(places, _read_place(words, at + 1, end))
            at += 4
        elif words[at] < STEPS:
            parent = len(places) - 1
        elif words[at] in (*_PARTS, *_CLASSES):
            at += 1
            continue
        else:
            raise RigError(f"no skeleton: word {at} of {end} is {words[at]}; expected a joint")
        places.append(_read_place(words, at, end))
        parents.append(parent)
        at += 3
    if not places:
        raise RigError("no skeleton: the sentence has no joints")
    return Joints(np.array(places, np.float32), np.array(parents, np.int64))


def _read_place(words: Sequence[int], at: int, end: int) -> Float64Array:
    steps = list(words[at : min(at + 3, end)])
    if len(steps) < 3 or max(steps) >= STEPS:
        raise RigError(
            f"no skeleton: words {at} to {at + 2} of {end} are {steps}; expected three coordinates"
        )
    return (np.array(steps) + 0.5) / STEPS * 2 - 1


def _find_nearest(places: Sequence[Float64Array], place: Float64Array) -> int:
    """Number of the place nearest to another, the last of several; -1 if there is none."""
    if not places:
        return -1
    away = np.square(np.array(places) - place).sum(axis=1)
    return len(away) - 1 - int(away[::-1].argmin())


def split_codes(words: Sequence[int], joints: int) -> Int64Array:
    """(J, CODES_PER_JOINT) numbers of the codes of a whole sentence; RigError if there are too few."""
    first = list(words).index(END) + 1
    codes = list(words[first : first + CODES_PER_JOINT * joints])
    if len(codes) < CODES_PER_JOINT * joints:
        raise RigError(
            f"no skin: the sentence has {len(codes)} codes; expected {CODES_PER_JOINT} for each of "
            f"{joints} joints"
        )
    return np.array(codes, np.int64).reshape(joints, CODES_PER_JOINT) - FIRST_CODE
