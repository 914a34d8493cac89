"""Torso, arms and legs where the figure's landmarks are, with depths from the mesh."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...types import Float64Array
from .arms import Arm, find_armpit
from .figure_points import CROPPED, SIDE_NAMES, SURE, FigurePoints
from .front_view import FrontView
from .legs import Leg
from .torso import Torso

# Shares of the torso's length.
_HIP_ASIDE, _HIP_ABOVE, _HIP_BACK = 0.17, 0.141, 0.015
_MIN_LENGTH, _MAX_LEAN = 0.08, 0.8
"""Of the body's height, and metres of the axis in x per metre of height."""
_COLLAR_OUT, _COLLAR_DOWN = 0.4, 0.3
"""Shares of the way from the neck to the shoulder."""
_ARM_RADIUS, _LEG_RADIUS = 0.057, 0.11
_FREE = 1.5
"""Radii from the outline, up to which a limb has no other part of the body behind or before it."""
_RADIUS_RANGE = (0.5, 1.6)
_BEHIND = 0.25
"""How far a wrist lies behind its shoulder before the arm is taken to be behind the body."""
_ARM_SAMPLES, _HELD_SHARE = 8, 0.3
"""Points of the forearm and of the hand; share of them inside the outline from which the arm is held."""
_MAX_SLEEVE = 3.0
"""Width of a sleeve, in usual arms."""
_HEM = 0.06
"""Height of the hips above the lower edge of a picture that ends above them, as a share of the body's."""
_OVERLAP, _LEVEL = 1.1, 0.08
"""Radii between the middles of two legs of which one hides the other; difference in height, as a share of the
body's, from which one leg is lifted."""
_SHIN_SHARES = (0.3, 0.8)
_STANDING, _TOE_BASE = 0.16, 0.75
"""Height of a standing ankle above the ground, as a share of the body's; share of the foot."""
_FOOT_LENGTH, _FOOT_HEIGHT, _MAX_FOOT_LENGTH = 0.3, 0.35, 0.55
"""Shares of the shin's length, and of the ankle's height."""


def follow_torso(torso: Torso, points: FigurePoints) -> Torso | None:
    """Return the torso with the figure's neck, hips and crown; None if the neck is not known."""
    if not points.sees("neck"):
        return None
    neck = points.at("neck")
    hips = _find_hips(points)
    if hips is None and points.kind in CROPPED:
        hips = np.array((neck[0], torso.ground + _HEM * torso.height))
    elif hips is None:
        share = float(np.clip((torso.crotch - torso.ground) / (torso.neck - torso.ground), 0.3, 0.65))
        crotch = torso.ground + share * (float(neck[1]) - torso.ground)
        hips = np.array((torso.middle, crotch + _HIP_ABOVE * (float(neck[1]) - crotch)))
    crotch = (float(hips[1]) - _HIP_ABOVE * float(neck[1])) / (1 - _HIP_ABOVE)
    if neck[1] - crotch < _MIN_LENGTH * torso.height:
        return None
    if torso.has_legs and not torso.has_hem and abs(torso.crotch - crotch) < _HIP_ABOVE * (neck[1] - crotch):
        crotch = 0.5 * (crotch + torso.crotch)
    lean = float(np.clip((neck[0] - hips[0]) / (neck[1] - hips[1]), -_MAX_LEAN, _MAX_LEAN))
    crown = float(points.at("crown")[1]) if points.sees("crown") else torso.ground + torso.height
    return replace(
        torso,
        middle=float(neck[0]) - lean * (float(neck[1]) - crotch),
        lean=lean,
        crotch=max(crotch, torso.ground + 0.02 * torso.height),
        neck=float(neck[1]),
        crown=max(crown, float(neck[1]) + 0.05 * torso.height),
        has_legs=True,
        has_neck=True,
        has_hem=False,
    )


def _find_hips(points: FigurePoints) -> Float64Array | None:
    if points.sees("left_hip", "right_hip"):
        return 0.5 * (points.at("left_hip") + points.at("right_hip"))
    return points.at("pelvis") if points.sees("pelvis") else None


def follow_arm(
    view: FrontView, torso: Torso, points: FigurePoints, side: int, least: float = SURE
) -> Arm | None:
    """Place one arm where the figure has it; None unless shoulder, elbow and wrist are known.

    least: confidence from which they are.
    """
    names = [f"{SIDE_NAMES[side]}_{part}" for part in ("shoulder", "elbow", "wrist", "hand")]
    if not points.sees(*names[:3], least=least):
        return None
    shoulder, elbow, wrist, tip = (view.pull_inside(points.at(name)) for name in names)
    if not points.sees(names[3], least=least):
        tip = view.pull_inside(wrist + 0.4 * (wrist - elbow))
    usual = _ARM_RADIUS * torso.length
    between = [wrist + share * (elbow - wrist) for share in (0.0, 0.25, 0.5, 0.75)]
    radius = float(np.median([view.measure_radius(place) for place in between]))
    radius = float(np.clip(radius, _RADIUS_RANGE[0] * usual, _RADIUS_RANGE[1] * usual))
    elbow = view.center_across(elbow, wrist - shoulder, 2 * radius)
    wrist = view.center_across(wrist, tip - elbow, 2 * radius)
    is_behind = points.at(names[2])[2] < points.at(names[0])[2] - _BEHIND * torso.length
    root = np.append(shoulder, np.mean(view.measure_depths(shoulder)))
    joint, hand, end = (_place_depth(view, place, radius, is_behind) for place in (elbow, wrist, tip))
    neck = np.array((torso.axis_at(torso.neck), torso.neck))
    collar = neck + (_COLLAR_OUT, _COLLAR_DOWN) * (shoulder - neck)
    line = np.stack((shoulder, elbow, wrist, tip))
    sleeve = float(np.clip(points.measure_arm_width(side, line) / 2, usual, _MAX_SLEEVE * usual))
    ends_outside = points.shows_arm(line[1:], side) and view.measure_radius(tip) <= _FREE * sleeve
    is_free = view.measure_radius(tip) <= _FREE * radius or view.measure_radius(wrist) <= _FREE * radius
    return Arm(
        np.append(view.pull_inside(collar), root[2]),
        root,
        joint,
        hand,
        end,
        is_free=is_free,
        is_fused=find_armpit(view.solid, torso, end, side) is None,
        is_followed=True,
        is_held=not ends_outside and _is_inside(view, line, sleeve),
    )


def _is_inside(view: FrontView, arm: Float64Array, radius: float) -> bool:
    """Whether much of forearm and hand lies far from the outline: before, behind or against another part.

    arm: (4, 2) shoulder to fingertip. radius: of the arm with its sleeve, metres.
    """
    shares = np.linspace(0.0, 1.0, _ARM_SAMPLES)[:, None]
    places = np.concatenate((arm[1] + shares * (arm[2] - arm[1]), arm[2] + shares * (arm[3] - arm[2])))
    inside = [view.measure_radius(place) > _FREE * radius for place in places]
    return float(np.mean(inside)) > _HELD_SHARE


def _place_depth(view: FrontView, place: Float64Array, radius: float, is_behind: bool) -> Float64Array:
    """The joint (3,) of a limb at x, y: in its middle, or before or behind the body that it crosses."""
    back, front = view.measure_depths(place)
    middle = 0.5 * (back + front)
    if view.measure_radius(place) > _FREE * radius:
        middle = min(back + radius, middle) if is_behind else max(front - radius, middle)
    return np.array((place[0], place[1], middle))


def follow_leg(view: FrontView, torso: Torso, points: FigurePoints, side: int) -> Leg | None:
    """Place one leg where the figure has it; None unless hip, knee and ankle are known."""
    names = [f"{SIDE_NAMES[side]}_{part}" for part in ("hip", "knee", "ankle", "toe")]
    if not points.sees(*names[:3]):
        return None
    hip, knee, ankle, toe = (view.pull_inside(points.at(name)) for name in names)
    if not points.sees(names[3]):
        toe = ankle
    radius = _LEG_RADIUS * torso.length
    knee = view.center_across(knee, ankle - hip, 2 * radius)
    ankle = view.center_across(ankle, ankle - knee, 1.5 * radius)
    hip, knee = (np.append(place, np.mean(view.measure_depths(place))) for place in (hip, knee))
    hip[2] -= _HIP_BACK * torso.length
    ankle = np.append(ankle, _extend_shin(view, knee, ankle))
    base, end = _place_toes(view, torso, knee, ankle, toe)
    return Leg(hip, knee, ankle, base, end)


def overlap_legs(torso: Torso, left: Leg, right: Leg) -> bool:
    """Whether one leg is before the other from the knees down, so that nothing tells them apart."""
    gaps = left.line[1:, 0] - right.line[1:, 0]
    level = abs(left.line[2, 1] - right.line[2, 1]) < _LEVEL * torso.height
    return level and float(gaps.mean()) < _OVERLAP * _LEG_RADIUS * torso.length


def _extend_shin(view: FrontView, knee: Float64Array, ankle: Float64Array) -> float:
    """Depth of the ankle on the line through the shin's middle; at its own height the foot is before it."""
    shares = np.linspace(*_SHIN_SHARES, 6)
    places = knee[:2] + shares[:, None] * (ankle - knee[:2])
    depths = np.array([np.mean(view.measure_depths(place)) for place in places])
    return float(np.polyval(np.polyfit(shares, depths, 1), 1.0))


def fold_leg(view: FrontView, torso: Torso, side: int) -> Leg:
    """A short leg between the hips and the lowest point, for a figure whose legs are not in the picture."""
    x = torso.axis_at(torso.crotch) + side * _HIP_ASIDE * torso.length
    hip = view.pull_inside(np.array((x, torso.crotch + _HIP_ABOVE * torso.length)))
    z = float(np.mean(view.measure_depths(hip)))
    levels = torso.ground + (hip[1] - torso.ground) * np.array((1.0, 0.5, 0.1, 0.0, 0.0))
    forward = (hip[1] - torso.ground) * np.array((0.0, 0.0, 0.0, 0.15, 0.2))
    return Leg(*(np.array((hip[0], y, z + ahead)) for y, ahead in zip(levels, forward, strict=True)))


def _place_toes(
    view: FrontView, torso: Torso, knee: Float64Array, ankle: Float64Array, toe: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Ball and tip of the foot: forward on the ground, or where the picture shows those of a lifted foot."""
    shin = float(np.linalg.norm(ankle - knee))
    aside = float(np.clip(toe[0] - ankle[0], -_MAX_FOOT_LENGTH * shin, _MAX_FOOT_LENGTH * shin))
    lift = ankle[1] - torso.ground
    if lift < _STANDING * torso.height:
        y = torso.ground + _FOOT_HEIGHT * lift
        near = np.abs(view.solid.centers[:, 0] - (ankle[0] + aside)) < 0.2 * shin + view.solid.size
        low = near & (view.solid.centers[:, 1] < ankle[1])
        ahead = float(view.solid.centers[low, 2].max() - ankle[2]) if low.any() else 0.0
    else:
        y = float(np.clip(toe[1], ankle[1] - _MAX_FOOT_LENGTH * shin, ankle[1]))
        ahead = view.measure_depths(np.array((ankle[0] + aside, y)))[1] - ankle[2]
    ahead = float(np.clip(ahead, max(_FOOT_LENGTH * shin, abs(aside)), _MAX_FOOT_LENGTH * shin))
    foot = np.array((aside, y - ankle[1], ahead))
    return ankle + (_TOE_BASE, 1.0, _TOE_BASE) * foot, ankle + foot
