"""What sticks out of the profile's core, such as noses, tails and toes, as round parts in space."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ..types import BoolArray, Float64Array, FloatArray
from .depth import Depth
from .ground import Ground
from .profile import Profile

_SPECK = 1.2
"""Radius, in cells, up to which what sticks out is no part but an uneven outline."""
_FLAT = 3.0
"""Toes are as wide as their feet, if those are less than so many times as wide as the toes are thick."""
_LEGS = 0.4
"""Share of the height up to which a figure has two of what its profile shows once."""
_CARRIES = 0.6
"""Parts of the front carry what sticks out if they are so deep, as a share of the deepest at that level."""


class Protrusion(NamedTuple):
    """half: (P, D) half width across the profile, cells. axis: (P,) column of the front in its middle."""

    half: FloatArray
    axis: FloatArray


class _Run(NamedTuple):
    """A part of the front at one level: first and last column, and how deep it is."""

    left: float
    right: float
    depth: float

    @property
    def middle(self) -> float:
        return 0.5 * (self.left + self.right)


def find_protrusions(depth: Depth, ground: Ground, profile: Profile) -> list[Protrusion]:
    """The parts of the profile outside its core; depth: (H, W) of the front, which says where they belong."""
    labels, count = ndimage.label(profile.inside & ~profile.core, np.ones((3, 3)))
    levels = _find_runs(depth, ground, len(profile.core))
    found = []
    for number in range(1, count + 1):
        region = labels == number
        if profile.thickness[region].max() >= _SPECK:
            found += _make_round(region, profile, levels)
    return found


def _make_round(region: BoolArray, profile: Profile, levels: list[list[_Run]]) -> list[Protrusion]:
    """The region as thick across the profile as in it, once for each part of the front that carries it."""
    most = float(np.quantile(profile.thickness[region], 0.95))
    grown = ndimage.binary_dilation(region, iterations=int(2 * most) + 1) & profile.inside
    radius = np.minimum(profile.thickness, most)
    half = np.sqrt(np.maximum(radius**2 - (radius - np.clip(profile.distance, 0, radius)) ** 2, 0)) * grown
    touching = ndimage.binary_dilation(region, iterations=2) & profile.core
    base = int(np.median(np.flatnonzero((touching if touching.any() else region).any(axis=1))))
    carriers = _choose_carriers(levels[base], base < _LEGS * len(levels))
    found = []
    for run in carriers:
        width = 0.5 * (run.right - run.left)
        wider = width / most if len(carriers) > 1 and most < width < _FLAT * most else 1.0
        axis = _follow(levels, base, run.middle, most)
        found.append(Protrusion((half * wider).astype(np.float32), axis))
    return found


def _choose_carriers(runs: list[_Run], are_legs: bool) -> list[_Run]:
    if not runs:
        return []
    most = max(run.depth for run in runs)
    deep = [run for run in runs if run.depth >= _CARRIES * most]
    return deep if are_legs else [max(deep, key=lambda run: run.right - run.left)]


def _follow(levels: list[list[_Run]], base: int, start: float, radius: float) -> FloatArray:
    """Columns (P,) of the part's axis: straight up and down from `start`, but within what the front shows."""
    axis = np.full(len(levels), start, np.float32)
    for way in (range(base, len(levels)), range(base, -1, -1)):
        column = start
        for level in way:
            if levels[level]:
                run = min(levels[level], key=lambda item: max(item.left - column, column - item.right, 0.0))
                inset = min(radius, 0.5 * (run.right - run.left))
                column = float(np.clip(column, run.left + inset, run.right - inset))
            axis[level] = column
    return axis


def _find_runs(depth: Depth, ground: Ground, count: int) -> list[list[_Run]]:
    """The parts of the front at each level (P,)."""
    deep = depth.front + depth.back
    rows = np.abs(_heights(ground)[None] - np.arange(count)[:, None]).argmin(axis=1)
    levels = []
    for row in rows:
        labels, total = ndimage.label(ground.extended[row])
        slices = [item[0] for item in ndimage.find_objects(labels, total)]
        levels.append([_Run(item.start, item.stop - 1, float(deep[row, item].max())) for item in slices])
    return levels


def _heights(ground: Ground) -> Float64Array:
    """Height (H,) of each row where it is not on a foot that was moved."""
    return np.median(ground.height, axis=1).astype(np.float64)
