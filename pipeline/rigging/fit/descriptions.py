"""What the warnings of a fitted skeleton say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..appendages import Appendage
from ..voxel_solid import VoxelSolid
from .arms import Arm
from .hands import HandTip
from .legs import Leg
from .torso import MIN_NECK_PROMINENCE, Torso

_MAX_BODY_DEPTH, _MAX_BODY_WIDTH, _MIN_LONG_ARM = 0.85, 2.2, 0.2
"""Shares of the body's height."""
NO_HUMANOID = (
    "no standing human figure was recognized; joints that could not be found were placed by average "
    "proportions. Look at the rig before you use it, or try a picture or mesh of the whole figure, upright, "
    "seen from the front, with arms and legs apart ({})"
)
STIFF_LEGS = (
    "one leg is before the other: both keep their place when the character walks; use a picture with the "
    "legs apart"
)
_LYING = (
    "the {} arm lies on the body and keeps its place when the character moves; use a picture with the arms "
    "beside the body",
    "both arms lie on the body and keep their places when the character moves; use a picture with the arms "
    "beside the body",
)
_CLOSE = (
    "the {} arm is not separate from the body; it was placed along the outline",
    "the arms are not separate from the body; they were placed along the outline",
)
_FUSED = "the {} upper arm is fused with the torso", "both upper arms are fused with the torso"
"""Of one arm and of both."""


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
        warnings.append("the legs are not separate; they were estimated")
    elif torso.has_hem:
        warnings.append("a skirt hides the crotch; the hips were estimated")
    if not torso.has_neck:
        warnings.append("no neck is visible; it was estimated")
    shown = {side: arm for side, arm in arms.items() if f"{side}Arm" not in hidden}
    return [*warnings, *_describe_arms(shown)]


def _describe_arms(arms: Mapping[str, Arm]) -> list[str]:
    """A sentence for each way in which an arm is, or both are, not apart from the body."""
    ways: dict[tuple[str, str], list[str]] = {}
    for side, arm in arms.items():
        if arm.is_held:
            ways.setdefault(_LYING, []).append(side.lower())
        elif not arm.is_followed and (not arm.is_free or arm.is_fused):
            ways.setdefault(_FUSED if arm.is_free else _CLOSE, []).append(side.lower())
    return [both if len(sides) == 2 else one.format(*sides) for (one, both), sides in ways.items()]


def explain_no_humanoid(solid: VoxelSolid, torso: Torso, hands: tuple[HandTip | None, HandTip | None]) -> str:
    """Say, with measurements, why the body is no humanoid; "" if it is one.

    It has a neck and legs or arms, or else legs and long arms, is taller than deep and, without legs, stands
    on the ground below its middle, as a robe does.
    """
    width, height, depth = (float(value) for value in solid.size * (np.ptp(solid.indices, axis=0) + 1))
    arms = sum(hand is not None for hand in hands)
    reach = min(hand.reach if hand else 0.0 for hand in hands)
    stands = torso.has_legs or _is_on_ground(solid, torso)
    if torso.has_neck:
        is_body = torso.has_legs or arms == 2
    else:
        is_body = torso.has_legs and reach > _MIN_LONG_ARM * torso.height
    if is_body and stands and depth <= _MAX_BODY_DEPTH * height and width <= _MAX_BODY_WIDTH * height:
        return ""
    legs = "no pair of legs was found" + ("" if stands else " and nothing stands below its middle")
    return (
        f"{'two legs were found' if torso.has_legs else legs}, "
        f"neck prominence {torso.neck_prominence:.2f} (a neck has {MIN_NECK_PROMINENCE} or more), "
        f"{arms} of 2 arms are free of the body, the shorter by {reach:.2f} m; it is {width:.2f} m wide, "
        f"height {height:.2f} m, {depth:.2f} m deep (a body is at most {_MAX_BODY_WIDTH} times as wide and "
        f"{_MAX_BODY_DEPTH} times as deep as it is tall)"
    )


def _is_on_ground(solid: VoxelSolid, torso: Torso) -> bool:
    """Whether most rows of the lowest quarter have cells below the body's middle."""
    low = solid.indices[:, 1] < solid.indices[:, 1].min() + 0.25 * torso.height / solid.size
    near = np.abs(solid.centers[:, 0] - torso.middle) < 0.1 * torso.height
    return len(np.unique(solid.indices[low & near, 1])) > 0.5 * len(np.unique(solid.indices[low, 1]))
