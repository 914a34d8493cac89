"""Humanoid roles of joints: the bones of VRM 1.0 and their hierarchy.

Source: VRM Consortium, specification/VRMC_vrm-1.0/humanoid.md.
"""

from __future__ import annotations

SIDES = ("left", "right")
_FINGER_PARTS = ("Proximal", "Intermediate", "Distal")
_LIMB_PARENTS = {
    "Shoulder": "upperChest",
    "UpperArm": "Shoulder",
    "LowerArm": "UpperArm",
    "Hand": "LowerArm",
    "UpperLeg": "hips",
    "LowerLeg": "UpperLeg",
    "Foot": "LowerLeg",
    "Toes": "Foot",
    "Eye": "head",
}
FINGERS = {
    "Thumb": ("Metacarpal", "Proximal", "Distal"),
    **dict.fromkeys(("Index", "Middle", "Ring", "Little"), _FINGER_PARTS),
}
NEEDED_LIMBS = ("UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")


def _list_parents() -> dict[str, str]:
    parents = {"hips": "", "spine": "hips", "chest": "spine", "upperChest": "chest"}
    parents |= {"neck": "upperChest", "head": "neck", "jaw": "head"}
    for side in SIDES:
        for part, parent in _LIMB_PARENTS.items():
            parents[side + part] = side + parent if parent in _LIMB_PARENTS else parent
        for finger, parts in FINGERS.items():
            names = [f"{side}{finger}{part}" for part in parts]
            parents |= dict(zip(names, (side + "Hand", *names[:-1]), strict=True))
    return parents


ROLE_PARENTS = _list_parents()
"""Role -> its parent, empty for the hips. A missing optional parent is replaced by its own parent."""
