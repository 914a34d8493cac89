"""Where the joints that were measured on a mesh contradict the figure that is seen in a view of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ...types import Float64Array
from .arms import Arm
from .figure_limbs import follow_arm, follow_leg, follow_torso
from .figure_points import SIDE_NAMES, FigurePoints
from .front_view import FrontView
from .legs import Leg
from .limbs import trace_limb
from .torso import Torso

_STANDING = ("front", "three_quarter", "back")
_TRUNK = ("neck", "left_shoulder", "right_shoulder", "left_hip", "right_hip")
_SURE = 0.55
"""Confidence of all landmarks of the trunk from which the figure is believed."""
_CONTRADICTED = 0.05
"""Distance of measured and seen joints, as a share of the height, from which the seen ones count."""
_ARM, _LEG = ("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle")
_TRACED_RADIUS = 0.08
"""Share of the torso's length."""


def is_sure(points: FigurePoints) -> bool:
    """Whether the view shows a standing figure whose trunk is known."""
    return points.kind in _STANDING and points.sees(*_TRUNK, least=_SURE)


def correct_torso(torso: Torso, points: FigurePoints, legs: Mapping[str, Leg]) -> Torso:
    """Return the torso with the seen neck and hips if they are far from the measured ones."""
    followed = follow_torso(torso, points)
    if followed is None:
        return torso
    hips = float(np.mean([leg.hip[1] for leg in legs.values()]))
    seen = float(np.mean([points.at(name)[1] for name in ("left_hip", "right_hip")]))
    apart = max(abs(torso.neck - followed.neck), abs(hips - seen))
    return followed if apart > _CONTRADICTED * torso.height else torso


def correct_arm(view: FrontView, torso: Torso, points: FigurePoints, arm: Arm, side: int) -> Arm:
    """Return the arm where it is seen, if it is far from there; its depth is that of its interior."""
    measured = np.stack((arm.shoulder, arm.elbow, arm.wrist))
    if not _is_elsewhere(torso, points, measured, _ARM, side):
        return arm
    seen = follow_arm(view, torso, points, side)
    if seen is None:
        return arm
    depth = float(seen.shoulder[2])
    tip = _find_depth(view, seen.tip, depth)
    radius = _TRACED_RADIUS * torso.length
    line = trace_limb(view.solid, seen.shoulder, tip, radius=radius, fixed_share=0.2).points
    elbow, wrist = (_take_depth(line, joint) for joint in (seen.elbow, seen.wrist))
    return replace(seen, elbow=elbow, wrist=wrist, tip=tip, is_free=arm.is_free, is_held=False)


def correct_leg(view: FrontView, torso: Torso, points: FigurePoints, leg: Leg, side: int) -> Leg:
    """Return the leg where it is seen, if it is far from there."""
    if not _is_elsewhere(torso, points, leg.line, _LEG, side):
        return leg
    return follow_leg(view, torso, points, side) or leg


def _is_elsewhere(
    torso: Torso, points: FigurePoints, joints: Float64Array, parts: tuple[str, ...], side: int
) -> bool:
    """Whether the joints (3, 3) are on average far from where they are surely seen."""
    names = [f"{SIDE_NAMES[side]}_{part}" for part in parts]
    if not points.sees(*names):
        return False
    seen = np.stack([points.at(name)[:2] for name in names])
    apart = float(np.linalg.norm(joints[:, :2] - seen, axis=1).mean())
    return apart > _CONTRADICTED * torso.height


def _find_depth(view: FrontView, point: Float64Array, depth: float) -> Float64Array:
    """The point (3,) in the middle of the interior behind its x and y that is nearest to `depth`."""
    cells = view.solid.centers
    across = np.abs(cells[:, :2] - point[:2]).max(axis=1)
    z = np.sort(cells[across <= max(view.solid.size, float(across.min())), 2])
    runs = np.split(z, np.flatnonzero(np.diff(z) > 1.5 * view.solid.size) + 1)
    middles = np.array([run.mean() for run in runs])
    return np.array((*point[:2], middles[np.argmin(np.abs(middles - depth))]))


def _take_depth(line: Float64Array, point: Float64Array) -> Float64Array:
    """The point (3,) with the depth of a limb's centerline (N, 3) beside it."""
    nearest = np.argmin(np.linalg.norm(line[:, :2] - point[:2], axis=1))
    return np.array((*point[:2], line[nearest, 2]))
