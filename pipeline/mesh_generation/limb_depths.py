"""Arms and legs as far before or behind the trunk as a picture of the side shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from ..figure import LANDMARKS, PARTS, Figure
from ..types import BoolArray, Float64Array
from .depth import Depth
from .profile import Profile, make_profile
from .silhouette import Silhouette, blur_inside, label_rows, spread_nearest

_SURE = 0.4
"""Confidence of the depths that are followed."""
_APART = 0.06
"""Depth, as a share of the height, between a limb's joints or between both legs, from which on the limb is
placed by its bones; else it is as deep as the profile at its height."""
_LIMBS = {
    "arm": (("shoulder", "elbow", "wrist", "hand"), ("arm", "hand")),
    "leg": (("hip", "knee", "ankle", "toe"), ("leg", "foot")),
}
"""Landmarks of a limb, from its root, and its parts."""
_TRUNK = tuple(PARTS.index(name) for name in ("head", "hair", "torso"))
_SOFT = 0.012
"""Share of the height over which the shift fades beside a limb."""
_ARM, _LEG, _THIN = 0.055, 0.085, 0.6
"""Distances from the bones, as shares of the height, up to which the profile shows an arm, if it is thinner
than this share of the trunk, and a leg."""
_ASIDE = 0.12
"""Distance of a leg from where its bones were read, as a share of the height, up to which it is theirs."""
_SAMPLES, _EVEN = 64, 2.0
"""Points along a limb, and how many of them its depth is smoothed over."""


class Limb(NamedTuple):
    """path: (N, 3) column and row in the front's cells, and column in the profile, from the root to the tip.

    parts: its numbers in PARTS. is_leg: or else an arm.
    """

    path: Float64Array
    parts: tuple[int, ...]
    is_leg: bool


def find_limbs(profile: Profile, silhouette: Silhouette, figure: Figure | None) -> list[Limb]:
    """The arms that lie before or behind the trunk, and the legs if they are apart, as seen from a side."""
    if figure is None or not figure.depth_confidence.any():
        return []
    far = _APART * silhouette.height
    read = [_read_limb(silhouette, figure, side, kind) for kind in _LIMBS for side in ("left", "right")]
    arms = [limb for limb in read if limb and not limb.is_leg and np.ptp(limb.path[:3, 2]) > far]
    legs = [limb for limb in read if limb and limb.is_leg]
    if len(legs) < 2 or np.abs(legs[0].path[1:3, 2] - legs[1].path[1:3, 2]).max() <= far:
        legs = []
    level = round(silhouette.ground - silhouette.locate(figure["pelvis"])[1])
    pelvis = np.flatnonzero(profile.core[np.clip(level, 0, len(profile.core) - 1)])
    if not len(pelvis):
        return []
    middle, ground = float(pelvis.mean()), silhouette.ground
    placed = [_follow_profile(limb, profile, ground, middle) for limb in arms]
    ankles = [limb.path[2, 2] for limb in legs]
    placed += [
        _follow_profile(limb, profile, ground, middle, leads=limb.path[2, 2] == max(ankles)) for limb in legs
    ]
    return placed


def _read_limb(silhouette: Silhouette, figure: Figure, side: str, kind: str) -> Limb | None:
    """Its joints, with depths from the pelvis; None if the middle ones were not seen from a side."""
    joints, parts = _LIMBS[kind]
    numbers = [LANDMARKS.index(f"{side}_{joint}") for joint in joints]
    seen = figure.depth_confidence[numbers] >= _SURE
    if not seen[1:3].all():
        return None
    depth = figure.landmarks[numbers, 2] * silhouette.side / silhouette.step
    places = [silhouette.locate(figure.landmarks[number]) for number in numbers]
    joint = np.column_stack((places, depth)).astype(np.float64)
    if not seen[0]:
        joint[0, 2] = 0.0
    if not seen[3]:
        joint[3, 2] = joint[2, 2]
    return Limb(joint, tuple(PARTS.index(f"{side}_{part}") for part in parts), kind == "leg")


def _follow_profile(
    limb: Limb, profile: Profile, ground: float, pelvis: float, *, leads: bool = False
) -> Limb:
    """The limb along its bones, within the profile; a leg in the middle of what shows it alone.

    pelvis: its column of the profile. leads: of a leg, whether it is the one in front.
    """
    steps, joints = np.linspace(0, len(limb.path) - 1, _SAMPLES), np.arange(len(limb.path))
    path = np.stack([np.interp(steps, joints, axis) for axis in limb.path.T], axis=1)
    path[:, 2] += pelvis
    runs = label_rows(profile.inside)
    for point in path:
        level, column = _locate(point, ground, runs.shape)
        ends = [np.flatnonzero(runs[level] == number)[[0, -1]] for number in np.unique(runs[level]) if number]
        near = [end for end in ends if end[0] - column < _ASIDE * len(runs) > column - end[1]]
        if limb.is_leg and len(near) > 1:
            point[2] = near[-1 if leads else 0].mean()
        elif near:
            point[2] = np.clip(point[2], near[0][0], near[-1][1])
    path[:, 2] = ndimage.gaussian_filter1d(path[:, 2], _EVEN, mode="nearest")
    return limb._replace(path=path)


def leave_out_limbs(profile: Profile, limbs: Sequence[Limb], ground: float) -> Profile:
    """The profile of the same figure without these limbs; of legs that is what is below the hips."""
    if not limbs:
        return profile
    arms, legs = (_find_near(profile, limbs, ground, are_legs=kind) for kind in (False, True))
    hips = [round(ground - limb.path[0, 1]) for limb in limbs if limb.is_leg]
    legs[max([0, *hips]) :] = False
    if arms.any():
        trunk = float(np.quantile(profile.thickness[arms & profile.inside], 0.9))
        arms &= profile.thickness < _THIN * trunk
    return make_profile(np.where(arms | legs, -1.0, profile.distance))


def _find_near(profile: Profile, limbs: Sequence[Limb], ground: float, *, are_legs: bool) -> BoolArray:
    """Cells (P, D) of the profile near the arms, or the legs."""
    free = np.ones(profile.core.shape, bool)
    for limb in limbs:
        for point in limb.path if limb.is_leg == are_legs else ():
            free[_locate(point, ground, free.shape)] = False
    reach = (_LEG if are_legs else _ARM) * len(free)
    return np.asarray(~free if free.all() else ndimage.distance_transform_edt(free) <= reach)


def place_limbs(
    depth: Depth,
    inside: BoolArray,
    limbs: Sequence[Limb],
    silhouette: Silhouette,
    figure: Figure,
    shift: float,
) -> Depth:
    """The depth (H, W), in cells, with limbs at the depth of their bones where no trunk lies beside them.

    shift: the profile's column at z = 0.
    """
    rows, columns = np.arange(len(inside))[:, None], np.arange(inside.shape[1])
    parts = silhouette.look_up(figure.parts, rows, columns)
    runs = label_rows(inside)
    has_trunk = ndimage.maximum(np.isin(parts, _TRUNK), runs, np.arange(runs.max() + 1)) > 0
    free = inside & ~has_trunk[runs]
    centre = depth.centre
    for limb in limbs:
        own = free & np.isin(parts, limb.parts)
        if not own.any():
            continue
        target = np.zeros(inside.shape, np.float32)
        target[own] = limb.path[cKDTree(limb.path[:, 1::-1]).query(np.argwhere(own))[1], 2] - shift
        share = blur_inside(own.astype(np.float32), inside, _SOFT * silhouette.height)
        target = blur_inside(spread_nearest(target, own), inside, _SOFT * silhouette.height)
        centre = centre + spread_nearest((share * (target - centre)).astype(np.float32), inside)
    return depth._replace(centre=centre.astype(np.float32))


def _locate(point: Float64Array, ground: float, shape: tuple[int, ...]) -> tuple[int, int]:
    """Level and column of the profile (P, D) at a point of a limb's path."""
    level, column = np.clip(np.round((ground - point[1], point[2])), 0, np.array(shape) - 1).astype(int)
    return int(level), int(column)
