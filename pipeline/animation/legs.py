"""Inverse kinematics of the legs: the hips and the legs follow the feet. All in the frame of the T-pose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..rigging.pose.posing import place_joints, turn_about
from ..rigging.pose.rest_pose import SIDE_SIGNS, find_stand
from ..types import Float64Array, RiggedCharacter
from .clips import HumanoidClip
from .feet import Contact, FootMotion, Sole, level_feet, measure_pitch, measure_sole, solve_ankles

_MAX_REACH = 0.995
"""Share of the leg's length."""
_REACH_SMOOTHING = 0.04
"""Share of the loop."""
_MIN_KNEE_BEND = 0.03
"""Radians."""


@dataclass(frozen=True, eq=False)
class Leg:
    """One leg in the T-pose.

    hips: (3,) position of the hips' joint. hip: (3,) offset of the leg's own joint from it. thigh, shin:
    lengths, metres.
    """

    hips: Float64Array
    hip: Float64Array
    thigh: float
    shin: float
    sole: Sole

    @property
    def height(self) -> float:
        """Height of the hips' joint above the ground in the T-pose, metres."""
        level = np.eye(3)[None]
        ankle, _ = self.sole.measure_heights(level, level)
        return self.thigh + self.shin - float(self.hip[1]) + float(ankle[0])

    def place_hip(self, hips: Float64Array, roles: Mapping[str, Float64Array]) -> Float64Array:
        """Return (T, 3), the position of the leg's joint for hips at (T, 3) and sampled turns."""
        return hips + roles["hips"] @ self.hip

    def place_ankle(self, hips: Float64Array, roles: Mapping[str, Float64Array], side: str) -> Float64Array:
        """Return the position (T, 3) of the ankle of this leg, which is that of `side`."""
        thigh, shin = (roles[side + part][:, :, 1] for part in ("UpperLeg", "LowerLeg"))
        return self.place_hip(hips, roles) - self.thigh * thigh - self.shin * shin


def measure_legs(character: RiggedCharacter, t_pose: Float64Array) -> dict[str, Leg]:
    """Return side -> Leg, with the origin between the feet; t_pose: (J, 3, 3) from `measure_t_pose`."""
    skeleton = character.skeleton
    positions = place_joints(skeleton, t_pose, skeleton.positions[0])[:, :3, 3]
    positions -= find_stand(skeleton, positions) * (1.0, 0.0, 1.0)
    legs = {}
    for side in SIDE_SIGNS:
        names = ("hips", side + "UpperLeg", side + "LowerLeg", side + "Foot")
        hips, hip, knee, ankle = (positions[skeleton.roles[name]] for name in names)
        thigh, shin = (float(np.linalg.norm(offset)) for offset in (knee - hip, ankle - knee))
        legs[side] = Leg(hips, hip - hips, thigh, shin, measure_sole(character, t_pose, side))
    return legs


def stand_on_ground(
    clip: HumanoidClip, times: Float64Array, roles: dict[str, Float64Array], legs: Mapping[str, Leg]
) -> Float64Array:
    """Return the positions (T, 3) of the hips, and change the legs in `roles` in place to reach the ground.

    roles: role -> (T, 3, 3), the sampled turns. A clip without contacts keeps its legs; its lowest sole is
    put on the ground.
    """
    height = min(leg.height for leg in legs.values())
    base = legs["left"].hips * (1.0, 0.0, 1.0) + (0.0, height, 0.0)
    hips = base + height * clip.sample_place(times)
    motions = {side: _sample_foot(clip, times, hips, roles, side, leg) for side, leg in legs.items()}
    if not clip.contacts:
        hips[:, 1] -= np.min([motion.ankle[:, 1] - motion.height for motion in motions.values()], axis=0)
        return hips
    ankles = solve_ankles(motions)
    width = max(round(_REACH_SMOOTHING * len(hips)), 1)
    return reach_ankles(hips, roles, legs, ankles, width, "wrap")


def _sample_foot(
    clip: HumanoidClip,
    times: Float64Array,
    hips: Float64Array,
    roles: dict[str, Float64Array],
    side: str,
    leg: Leg,
) -> FootMotion:
    """The motion of one foot in the clip; levels the foot in `roles`, in place."""
    foot, toes = roles[side + "Foot"], roles[side + "Toes"]
    ankle = leg.place_ankle(hips, roles, side)
    start, stop = clip.contacts.get(side + "Foot", (0.0, -1.0))
    since = (times - start) % clip.duration
    contact = Contact(since, since <= stop - start, clip.duration)
    feet, pitch = level_feet(foot, contact)
    toes = feet @ np.swapaxes(foot, 1, 2) @ toes
    roles[side + "Foot"], roles[side + "Toes"] = feet, toes
    heights = leg.sole.measure_heights(feet, toes)
    return FootMotion(ankle, feet, pitch, measure_pitch(toes), *heights, contact)


def reach_ankles(
    hips: Float64Array,
    roles: dict[str, Float64Array],
    legs: Mapping[str, Leg],
    ankles: Mapping[str, Float64Array],
    width: int,
    mode: str,
) -> Float64Array:
    """Bend the legs in `roles`, in place, to their ankles (T, 3); return the positions (T, 3) of the hips.

    The hips are lowered smoothly until both legs reach. width: samples over which it is smoothed to each
    side. mode: wrap for a loop without its end, or nearest.
    """
    hips = _limit_reach(hips, roles, legs, ankles, width, mode)
    for side, leg in legs.items():
        joint = leg.place_hip(hips, roles)
        bent = bend_leg(joint, ankles[side], roles[side + "UpperLeg"], (leg.thigh, leg.shin))
        roles[side + "UpperLeg"], roles[side + "LowerLeg"] = bent
    return hips


def _limit_reach(
    hips: Float64Array,
    roles: Mapping[str, Float64Array],
    legs: Mapping[str, Leg],
    ankles: Mapping[str, Float64Array],
    width: int,
    mode: str,
) -> Float64Array:
    excess = np.zeros(len(hips))
    for side, leg in legs.items():
        length = _MAX_REACH * (leg.thigh + leg.shin)
        offset = leg.place_hip(hips, roles) - ankles[side]
        aside = np.minimum(np.hypot(offset[:, 0], offset[:, 2]), 0.8 * length)
        excess = np.maximum(excess, offset[:, 1] - np.sqrt(length**2 - aside**2))
    widest = ndimage.maximum_filter1d(excess, 2 * width + 1, mode=mode)
    lowered = hips.copy()
    lowered[:, 1] -= ndimage.uniform_filter1d(widest, 2 * width + 1, mode=mode)
    return lowered


def bend_leg(
    hip: Float64Array, ankle: Float64Array, thighs: Float64Array, lengths: tuple[float, float]
) -> tuple[Float64Array, Float64Array]:
    """Return the turns (T, 3, 3) of thigh and shin that put the ankle at its target (two-bone IK).

    hip, ankle: (T, 3) metres. thighs: (T, 3, 3); the knee bends forward about their X axes. lengths: of thigh
    and shin, metres. A leg that is too short points at the target.
    """
    upper, lower = lengths
    offset = ankle - hip
    distance = np.linalg.norm(offset, axis=1)
    down = offset / np.maximum(distance, 1e-9)[:, None]
    straight = np.sqrt(upper**2 + lower**2 + 2 * upper * lower * np.cos(_MIN_KNEE_BEND))
    reach = np.clip(distance, 1.05 * abs(upper - lower) + 1e-6, straight)
    hinge = thighs[:, :, 0] - (thighs[:, :, 0] * down).sum(axis=1, keepdims=True) * down
    hinge /= np.maximum(np.linalg.norm(hinge, axis=1, keepdims=True), 1e-9)
    at_hip = np.arccos(np.clip((upper**2 + reach**2 - lower**2) / (2 * upper * reach), -1, 1))
    at_ankle = np.arccos(np.clip((lower**2 + reach**2 - upper**2) / (2 * lower * reach), -1, 1))
    legs = np.stack((hinge, -down, np.cross(hinge, -down)), axis=2)
    return (
        legs @ turn_about("x", -np.degrees(at_hip)),
        legs @ turn_about("x", np.degrees(at_ankle)),
    )
