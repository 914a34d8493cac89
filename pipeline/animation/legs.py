"""Legs that carry the hips and reach the places of the feet. All in the frame of the T-pose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..rigging.pose.posing import Transforms, place_joints, turn_about
from ..rigging.pose.rest_pose import SIDE_SIGNS
from ..rigging.voxel_solid import Points
from ..types import RiggedCharacter
from .clips import HumanoidClip
from .feet import Contact, Sole, Step, level_feet, measure_pitch, measure_sole, plan_ankles

_LONGEST_REACH = 0.995
_REACH_SMOOTHING = 0.04
_SMALLEST_BEND = 0.03


@dataclass(frozen=True, eq=False)
class Leg:
    """One leg in T-pose. hips, hip: (3,) where the hips' joint is and the leg's own off it.

    thigh, shin: metres. sole: see Sole.
    """

    hips: Points
    hip: Points
    thigh: float
    shin: float
    sole: Sole

    @property
    def height(self) -> float:
        """Metres of the hips' joint above the ground in T-pose."""
        level = np.eye(3)[None]
        ankle, _ = self.sole.measure_heights(level, level)
        return self.thigh + self.shin - float(self.hip[1]) + float(ankle[0])

    def place_hip(self, hips: Points, roles: Mapping[str, Transforms]) -> Points:
        """Return (T, 3), the joint of the leg for hips at (T, 3) and sampled turns."""
        return hips + roles["hips"] @ self.hip


def measure_legs(character: RiggedCharacter, t_pose: Transforms) -> dict[str, Leg]:
    """Return side -> Leg; t_pose: (J, 3, 3) from `measure_t_pose`."""
    skeleton = character.skeleton
    places = place_joints(skeleton, t_pose, skeleton.positions[0])[:, :3, 3]
    legs = {}
    for side in SIDE_SIGNS:
        names = ("hips", side + "UpperLeg", side + "LowerLeg", side + "Foot")
        hips, hip, knee, ankle = (places[skeleton.roles[name]] for name in names)
        thigh, shin = (float(np.linalg.norm(way)) for way in (knee - hip, ankle - knee))
        legs[side] = Leg(hips, hip - hips, thigh, shin, measure_sole(character, t_pose, side))
    return legs


def stand_on_ground(
    clip: HumanoidClip, times: Points, roles: dict[str, Transforms], legs: Mapping[str, Leg]
) -> Points:
    """Return the hips' places (T, 3); bends the legs of the sampled turns `roles`, in place, to their feet.

    A clip without contacts keeps its legs, its lowest sole on the ground.
    """
    height = min(leg.height for leg in legs.values())
    base = legs["left"].hips * (1.0, 0.0, 1.0) + (0.0, height, 0.0)
    hips = base + height * clip.sample_place(times)
    steps = {side: _take_step(clip, times, hips, roles, side, leg) for side, leg in legs.items()}
    if not clip.contacts:
        hips[:, 1] -= np.min([step.ankle[:, 1] - step.height for step in steps.values()], axis=0)
        return hips
    ankles = plan_ankles(steps)
    hips = _limit_reach(hips, roles, legs, ankles)
    for side, leg in legs.items():
        joint = leg.place_hip(hips, roles)
        bent = bend_leg(joint, ankles[side], roles[side + "UpperLeg"], (leg.thigh, leg.shin))
        roles[side + "UpperLeg"], roles[side + "LowerLeg"] = bent
    return hips


def _take_step(
    clip: HumanoidClip, times: Points, hips: Points, roles: dict[str, Transforms], side: str, leg: Leg
) -> Step:
    """What the clip makes of one foot; levels the foot of `roles`, in place."""
    thigh, shin, foot, toes = (roles[side + part] for part in ("UpperLeg", "LowerLeg", "Foot", "Toes"))
    ankle = leg.place_hip(hips, roles) - leg.thigh * thigh[:, :, 1] - leg.shin * shin[:, :, 1]
    start, stop = clip.contacts.get(side + "Foot", (0.0, -1.0))
    since = (times - start) % clip.duration
    contact = Contact(since, since <= stop - start, clip.duration)
    feet, pitch = level_feet(foot, contact)
    toes = feet @ np.swapaxes(foot, 1, 2) @ toes
    roles[side + "Foot"], roles[side + "Toes"] = feet, toes
    heights = leg.sole.measure_heights(feet, toes)
    return Step(ankle, feet, pitch, measure_pitch(toes), *heights, contact)


def _limit_reach(
    hips: Points, roles: Mapping[str, Transforms], legs: Mapping[str, Leg], ankles: Mapping[str, Points]
) -> Points:
    """The hips' places (T, 3), lowered smoothly to where both legs reach their ankles."""
    excess = np.zeros(len(hips))
    for side, leg in legs.items():
        length = _LONGEST_REACH * (leg.thigh + leg.shin)
        way = leg.place_hip(hips, roles) - ankles[side]
        aside = np.minimum(np.hypot(way[:, 0], way[:, 2]), 0.8 * length)
        excess = np.maximum(excess, way[:, 1] - np.sqrt(length**2 - aside**2))
    width = max(round(_REACH_SMOOTHING * len(hips)), 1)
    widest = ndimage.maximum_filter1d(excess, 2 * width + 1, mode="wrap")
    lowered = hips.copy()
    lowered[:, 1] -= ndimage.uniform_filter1d(widest, 2 * width + 1, mode="wrap")
    return lowered


def bend_leg(
    hip: Points, ankle: Points, thighs: Transforms, lengths: tuple[float, float]
) -> tuple[Transforms, Transforms]:
    """Return the turns (T, 3, 3) of thigh and shin that bring the ankle to its place, by the cosine law.

    hip, ankle: (T, 3). thighs: (T, 3, 3), whose X axes the knee bends about, forward. lengths: of thigh
    and shin, metres. Where the leg is too short it points at the ankle's place.
    """
    upper, lower = lengths
    way = ankle - hip
    far = np.linalg.norm(way, axis=1)
    down = way / np.maximum(far, 1e-9)[:, None]
    straight = np.sqrt(upper**2 + lower**2 + 2 * upper * lower * np.cos(_SMALLEST_BEND))
    reach = np.clip(far, 1.05 * abs(upper - lower) + 1e-6, straight)
    hinge = thighs[:, :, 0] - (thighs[:, :, 0] * down).sum(axis=1, keepdims=True) * down
    hinge /= np.maximum(np.linalg.norm(hinge, axis=1, keepdims=True), 1e-9)
    at_hip = np.arccos(np.clip((upper**2 + reach**2 - lower**2) / (2 * upper * reach), -1, 1))
    at_ankle = np.arccos(np.clip((lower**2 + reach**2 - upper**2) / (2 * lower * reach), -1, 1))
    legs = np.stack((hinge, -down, np.cross(hinge, -down)), axis=2)
    return (
        legs @ turn_about("x", -np.degrees(at_hip)),
        legs @ turn_about("x", np.degrees(at_ankle)),
    )
