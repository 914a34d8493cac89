"""Humanoid roles of the joints of any skeleton: limbs by name, trunk and shoulders by what they join.

joint_roles.json holds the names of limbs by family of rigs, as their publishers write them.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

from ..errors import RigError
from ..humanoid import FINGERS, NEEDED_LIMBS, SIDES
from ..skeleton_types import Skeleton
from .joint_names import NAME_PROFILES

_TRUNK = ("spine", "chest", "upperChest")
_NEEDED = dict.fromkeys(("hips", *(side + part for side in SIDES for part in NEEDED_LIMBS)))
_NAMED = {
    "hips",
    "head",
    *(side + part for side in SIDES for part in (*NEEDED_LIMBS, "Toes")),
    *(f"{side}{finger}{part}" for side in SIDES for finger, parts in FINGERS.items() for part in parts),
}
"""Roles that are found by name."""
_PREFIXES = re.compile(
    r"^.*[:|]|^mixamorig\d*[ _.-]*|^(?:def|bip0?0?1|valvebiped\.bip01|cc_base|j_bip(?:_c)?|[mf]_avg)[ _.-]+",
    re.IGNORECASE,
)
_SEPARATORS = re.compile(r"[\s_.\-]+")


def find_roles(skeleton: Skeleton) -> dict[str, int]:
    """Return humanoid role -> joint for a skeleton whose joints bear any of the known families' names.

    RigError if hips, arms or legs cannot be told, with the names that were found.
    """
    joints: dict[str, int] = {}
    for joint, name in enumerate(skeleton.names):
        joints.setdefault(clean_name(name), joint)
    matched = (_match_family(family, joints) for family in _read_families())
    limbs = max(matched, key=lambda found: (len(found.keys() & _NEEDED), len(found)))
    missing = [role for role in _NEEDED if role not in limbs]
    if missing:
        shown = ", ".join(skeleton.names[:30]) + (", …" if len(skeleton.names) > 30 else "")
        raise RigError(f"no humanoid skeleton: expected joints for {', '.join(missing)}; found {shown}")
    named = {role: joint for role, joint in limbs.items() if role in _NAMED}
    return {**named, **_find_trunk(skeleton, named)}


def clean_name(name: str) -> str:
    """A joint's name without its rig's prefix and separators, in lower case."""
    return _SEPARATORS.sub("", _PREFIXES.sub("", name)).lower()


@cache
def _read_families() -> tuple[dict[str, tuple[str, ...]], ...]:
    """Role -> cleaned names, one mapping for each family of rigs."""
    text = Path(__file__).with_name("joint_roles.json").read_text(encoding="utf-8")
    families = [
        {
            role: tuple(map(clean_name, names))
            for item, listed in family["joints"].items()
            for role, names in _spread_sides(item, listed, family["sides"])
        }
        for family in json.loads(text).values()
    ]
    profiles: list[dict[str, tuple[str, ...]]] = [
        {role: (clean_name(name),) for role, name in profile.joints.items()}
        for profile in NAME_PROFILES.values()
    ]
    return (*profiles, *families)


def _spread_sides(item: str, names: list[str], sides: dict[str, list[str]]) -> list[tuple[str, list[str]]]:
    """A role of both sides, whose names have `*` for the side, as one of each side."""
    if item[0].islower():
        return [(item, names)]
    return [
        (side + item, [name.replace("*", word) for name in names for word in sides[side]]) for side in SIDES
    ]


def _match_family(family: dict[str, tuple[str, ...]], joints: dict[str, int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for role, names in family.items():
        joint = next((joints[name] for name in names if name in joints), None)
        if joint is not None and joint not in found.values():
            found[role] = joint
    return found


def _find_trunk(skeleton: Skeleton, limbs: dict[str, int]) -> dict[str, int]:
    """Spine, neck and shoulders: the joints between the hips, the head and the arms."""
    hips, found = limbs["hips"], dict[str, int]()
    arms = {side: _list_above(skeleton, limbs[side + "UpperArm"], hips) for side in SIDES}
    top = max((joint for joint in arms["left"] if joint in arms["right"]), default=hips)
    spine = [*reversed(_list_above(skeleton, top, hips)), top] if top != hips else []
    parts = spine if len(spine) <= len(_TRUNK) else [spine[0], spine[len(spine) // 2], spine[-1]]
    found |= dict(zip(_TRUNK, parts, strict=False))
    for side in SIDES:
        if arms[side] and arms[side][0] != top:
            found[side + "Shoulder"] = arms[side][0]
    if "head" in limbs:
        neck = _list_above(skeleton, limbs["head"], top)
        if neck:
            found["neck"] = neck[-1]
    return found


def _list_above(skeleton: Skeleton, joint: int, stop: int) -> list[int]:
    """The joints above one and below another, the nearest first; all above it if that one is not above."""
    above = []
    while (joint := int(skeleton.parents[joint])) >= 0 and joint != stop:
        above.append(joint)
    return above
