"""Make-It-Animatable's 52 joints: output order, tree, and which exclude each other as influences."""

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
"""Joint names without the prefix `mixamorig:`, in the order of the model's outputs."""
PARENTS = _list_parents()
"""Index of each joint's parent, -1 for Hips. Parents come before their children."""
ENDS: Mapping[str, str] = {
    "Head": "HeadTop_End",
    **{f"{side}ToeBase": f"{side}Toe_End" for side in SIDES},
    **{f"{side}Hand{finger}3": f"{side}Hand{finger}4" for side in SIDES for finger in FINGERS},
}
"""The last joint of each chain -> the end joint at the far end of its bone."""


def mark_ancestors() -> BoolArray:
    """Mark at [a, b], (52, 52), whether joint b is joint a or one of its ancestors."""
    marks = np.eye(len(NAMES), dtype=bool)
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            marks[joint] |= marks[parent]
    return marks


def list_levels() -> list[npt.NDArray[np.intp]]:
    """List the joints' indices by depth in the tree, Hips first."""
    depth = mark_ancestors().sum(axis=1) - 1
    return [np.flatnonzero(depth == level) for level in range(int(depth.max()) + 1)]


def mark_excluded() -> BoolArray:
    """Mark at [a, b], (52, 52), whether joint b must not influence a vertex whose main influence is joint a.

    These are limbs of the other side, other fingers of the same hand, and body parts that merely touch.
    """
    excluded = np.zeros((len(NAMES),) * 2, bool)
    for parts in _list_exclusive():
        for one, other in permutations(parts, 2):
            excluded[np.ix_(one, other)] = True
    return excluded


def _list_exclusive() -> list[list[list[int]]]:
    """List sets of body parts (joint indices) of which only one may influence a vertex."""
    sets = [[_pick(side) for side in SIDES]]
    sets += [[_pick(f"{side}Hand{finger}") for finger in FINGERS] for side in SIDES]
    legs = [_pick(*(side + part for part in ("Leg", "Foot", "ToeBase"))) for side in SIDES]
    arms = [_pick(*(side + part for part in ("Arm", "ForeArm", "Hand"))) for side in SIDES]
    forearms = _pick(*(side + part for side in SIDES for part in ("ForeArm", "Hand")))
    body = [joint for joint in range(len(NAMES)) if joint not in arms[0] + arms[1]]
    return [*sets, [_pick("Neck", "Head"), *legs, *arms], [body, forearms]]


def _pick(*stems: str) -> list[int]:
    """Indices of the joints whose names start with one of the stems; a hand's stem includes its fingers."""
    return [joint for joint, name in enumerate(NAMES) if name.startswith(stems)]
