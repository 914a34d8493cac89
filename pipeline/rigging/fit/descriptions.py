"""What the warnings of a fitted skeleton say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..appendages import Appendage
from .arms import Arm
from .legs import Leg
from .torso import Torso

STIFF_LEGS = (
    "one leg is before the other: both keep their place when the character walks; use a picture with the "
    "legs apart"
)


def describe_mismatch(
    pose_type: str, pose: str, arms: Mapping[str, Arm], legs: Mapping[str, Leg]
) -> list[str]:
    """Where the mesh contradicts the pose that it was said to have."""
    if pose_type in ("No", pose):
        return []
    drop = np.mean([arm.drop for arm in arms.values()])
    spread = np.mean([leg.spread for leg in legs.values()])
    seen = "no known rest pose" if pose == "No" else f"the {pose}"
    tilt = f"{abs(drop):.0f}° {'below' if drop >= 0 else 'above'}"
    return [
        f"pose_type is {pose_type}, but the mesh shows {seen} (arms {tilt} the horizontal, "
        f"legs {spread:.0f}° off the vertical); the skeleton follows the mesh"
    ]


def describe_blades(held: Sequence[Appendage]) -> list[str]:
    """Which hands hold a piece of the mesh."""
    hands = [item.parent.removesuffix("Hand").lower() for item in held]
    return [f"a long piece beside the {hand} hand goes with it, as what it holds" for hand in hands]


def describe_hidden(torso: Torso, arms: Mapping[str, Arm], hidden: Sequence[str]) -> list[str]:
    """What of the body is not in the picture, or only on its surface; hidden: joints without a limb."""
    warnings = []
    if hidden:
        kinds = {"arms": "Arm", "legs": "Leg"}
        limbs = " and ".join(kind for kind, part in kinds.items() if any(part in name for name in hidden))
        warnings.append(
            f"the {limbs} are not in the picture: their joints are inside the body and move nothing; use a "
            "picture of the whole figure for a character that walks"
        )
    elif not torso.has_legs:
        warnings.append("the legs are not separate; they were placed by average proportions")
    elif torso.has_hem:
        warnings.append("a skirt hides the crotch; the hips were placed by average proportions")
    if not torso.has_neck:
        warnings.append("no neck is visible; it was placed by average proportions")
    for side, arm in arms.items():
        if f"{side}Arm" in hidden:
            continue
        if arm.is_held:
            warnings.append(
                f"the {side.lower()} arm lies on the body and keeps its place when the character moves; "
                "use a picture with the arms beside the body"
            )
        elif not arm.is_free and not arm.is_followed:
            warnings.append(
                f"the {side.lower()} arm is not separate from the body; it was placed along the outline"
            )
        elif arm.is_fused and not arm.is_followed:
            warnings.append(f"the {side.lower()} upper arm is fused with the torso")
    return warnings
