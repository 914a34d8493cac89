"""Joints that were measured on a mesh, and those that the joint network sees in it: one answer of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from ...types import Float64Array
from .arms import Arm
from .figure_points import SIDE_NAMES
from .legs import Leg
from .see_joints import SeenJoints
from .torso import Torso

Limb = TypeVar("Limb", Arm, Leg)

_SURELY = ("hips", "neck", "left_arm", "right_arm", "left_up_leg", "right_up_leg")
_SURE, _SURE_ON_AVERAGE = 0.4, 0.68
"""Confidence of all these joints, and mean of that of all, from which the network is believed."""
_NEAR, _MEASURED = 0.03, 0.55
"""Mean distance of measured and seen joints, as a share of the height, up to which both count; the measured
ones' share then."""
_UNSEEN = 0.5
"""Confidence of a joint below which it is not seen, and stays where it was measured."""
_CROTCH_BELOW = 0.16
"""Of the crotch below the hips, as a share of the way from there to the neck."""
_TRUNK = {
    "Hips": "hips",
    "Spine": "spine",
    "Spine1": "spine1",
    "Spine2": "spine2",
    "Neck": "neck",
    "Head": "head",
    "HeadTop_End": "head_top",
}
_ARM = {"collar": "shoulder", "shoulder": "arm", "elbow": "fore_arm", "wrist": "hand", "tip": "hand_end"}
_LEG = {"hip": "up_leg", "knee": "leg", "ankle": "foot", "toe_base": "toe_base", "toe_end": "toe_end"}
"""What the network calls them."""


def is_sure(seen: SeenJoints) -> bool:
    """Whether the network knows the whole trunk, and most of the limbs."""
    return seen.sees(*_SURELY, least=_SURE) and float(seen.trust.mean()) >= _SURE_ON_AVERAGE


def merge_trunk(
    measured: Mapping[str, Float64Array], seen: SeenJoints, height: float
) -> dict[str, Float64Array]:
    """Return the positions (3,) of the trunk's joints by name; height: of the body, metres."""
    return _merge(measured, seen, _TRUNK, height)


def merge_torso(torso: Torso, trunk: Mapping[str, Float64Array], legs: Mapping[str, Leg]) -> Torso:
    """Return the torso between the neck of the trunk and the hips of the legs."""
    hips = 0.5 * (legs["Left"].hip + legs["Right"].hip)
    neck, crown = trunk["Neck"], trunk["HeadTop_End"]
    crotch = float(hips[1]) - _CROTCH_BELOW * float(np.linalg.norm(neck - hips))
    return replace(
        torso,
        middle=float(hips[0]),
        lean=float((neck - hips)[0] / max((neck - hips)[1], 1e-9)),
        crotch=max(crotch, torso.ground + 0.02 * torso.height),
        neck=float(neck[1]),
        crown=float(crown[1]),
        has_neck=True,
    )


def merge_arm(arm: Arm, seen: SeenJoints, height: float, side: int) -> Arm:
    """Return an arm; side: +1 left, -1 right."""
    return _merge_limb(arm, _ARM, seen, height, side)


def merge_leg(leg: Leg, seen: SeenJoints, height: float, side: int) -> Leg:
    """Return a leg; side: +1 left, -1 right."""
    return _merge_limb(leg, _LEG, seen, height, side)


def _merge_limb(limb: Limb, names: Mapping[str, str], seen: SeenJoints, height: float, side: int) -> Limb:
    measured = {name: getattr(limb, name) for name in names}
    places = {name: f"{SIDE_NAMES[side]}_{place}" for name, place in names.items()}
    merged: dict[str, Any] = {**_merge(measured, seen, places, height)}
    return replace(limb, **merged)


def _merge(
    measured: Mapping[str, Float64Array], seen: SeenJoints, places: Mapping[str, str], height: float
) -> dict[str, Float64Array]:
    """Between both if they are near each other on average, else what is seen, as far as it is."""
    found = {name: seen.at(place) for name, place in places.items()}
    apart = float(np.mean([np.linalg.norm(measured[name] - place) for name, place in found.items()]))
    share = _MEASURED if apart < _NEAR * height else 0.0
    merged = {name: place + share * (measured[name] - place) for name, place in found.items()}
    return {
        name: place if seen.sees(places[name], least=_UNSEEN) else measured[name]
        for name, place in merged.items()
    }
