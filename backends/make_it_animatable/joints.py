"""Make-It-Animatable's 52 joints: their order in its outputs, their tree, and which exclude each other."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations

import numpy as np
import numpy.typing as npt

from ...pipeline.rigging.skeleton import ARM_PARTS, FINGER_JOINTS, FINGERS, JOINTS, LEG_PARTS, SIDES
from ...pipeline.types import BoolArray

_TRUNK = ("Hips", "Spine", "Spine1", "Spine2", "Neck", "Head")


def _list_names() -> tuple[str, ...]:
    names = list(_TRUNK)
    for side in SIDES:
        names += [side + part for part in ARM_PARTS]
        names += [f"{side}Hand{finger}{number}" for finger in FINGERS for number in (1, 2, 3)]
    return (*names, *(side + part for side in SIDES for part in LEG_PARTS))


def _list_parents() -> tuple[int, ...]:
    parents = {name: parent for name, parent, _, _ in JOINTS + FINGER_JOINTS}
    return tuple(NAMES.index(parents[name]) if parents[name] else -1 for name in NAMES)


NAMES = _list_names()
"""Without the prefix `mixamorig:`, in the order of the model's outputs."""
PARENTS = _list_parents()
"""Index of each joint's parent, -1 for Hips; parents stand before their children."""
ENDS: Mapping[str, str] = {
    "Head": "HeadTop_End",
    **{f"{side}ToeBase": f"{side}Toe_End" for side in SIDES},
    **{f"{side}Hand{finger}3": f"{side}Hand{finger}4" for side in SIDES for finger in FINGERS},
}
"""Joints at the end of a chain, and the end joint that the far end of their bone is."""


def mark_ancestors() -> BoolArray:
    """(52, 52): whether the second joint is the first one or above it in the tree."""
    marks = np.eye(len(NAMES), dtype=bool)
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            marks[joint] |= marks[parent]
    return marks


def list_levels() -> list[npt.NDArray[np.intp]]:
    """Indices of the joints by their distance from Hips, Hips first."""
    depth = mark_ancestors().sum(axis=1) - 1
    return [np.flatnonzero(depth == level) for level in range(int(depth.max()) + 1)]


def mark_excluded() -> BoolArray:
    """(52, 52): what a vertex that follows mostly the first joint never follows, the second.

    Limbs of the other side, other fingers of the hand, and parts of the body that only touch.
    """
    excluded = np.zeros((len(NAMES),) * 2, bool)
    for parts in _list_exclusive():
        for one, other in permutations(parts, 2):
            excluded[np.ix_(one, other)] = True
    return excluded


def _list_exclusive() -> list[list[list[int]]]:
    """Sets of parts (joint indices) of which a vertex follows one only."""
    sets = [[_pick(side) for side in SIDES]]
    sets += [[_pick(f"{side}Hand{finger}") for finger in FINGERS] for side in SIDES]
    legs = [_pick(*(side + part for part in ("Leg", "Foot", "ToeBase"))) for side in SIDES]
    arms = [_pick(*(side + part for part in ("Arm", "ForeArm", "Hand"))) for side in SIDES]
    forearms = _pick(*(side + part for side in SIDES for part in ("ForeArm", "Hand")))
    body = [joint for joint in range(len(NAMES)) if joint not in arms[0] + arms[1]]
    return [*sets, [_pick("Neck", "Head"), *legs, *arms], [body, forearms]]


def _pick(*stems: str) -> list[int]:
    """Indices of the joints whose names begin with one of the stems, as fingers do with their hand's."""
    return [joint for joint, name in enumerate(NAMES) if name.startswith(stems)]
