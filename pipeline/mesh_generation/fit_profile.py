"""Make the figure as deep at each height as its profile is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ..types import BoolArray, FloatArray, Int64Array, IntArray
from .depth import Depth
from .ground import Ground
from .profile import Profile
from .relief import smoothstep
from .silhouette import blur_inside, label_rows, spread_nearest

_ROUNDS = 3
_BROAD = 0.022
"""Share of the height over which depth changes across a whole part."""
_DETAILS = (0.03, 0.015, 0.008, 0.008)
"""Heights of what stands out of it, as shares of the figure's height; it is …"""
_ACROSS = 4.0
"""… so many times as wide."""
_OWNS = (0.55, 0.8)
"""Share of the depth at a height from which a part begins to take, and takes, all of its change."""
_RIM, _MOST_OFF = 0.02, 0.6
"""Share of the height over which the middle between front and back is evened out, and half depths that a part
may lie off it."""


class _Rows(NamedTuple):
    """At each level (P,) the first and the last column, and whether there is anything."""

    low: FloatArray
    high: FloatArray
    known: BoolArray


class _Plan(NamedTuple):
    """inside, level, runs, middle: (H, W) of the front: the figure, level, run of the row and its middle."""

    inside: BoolArray
    level: Int64Array
    runs: IntArray
    middle: FloatArray


def fit_profile(depth: Depth, ground: Ground, profile: Profile, height: float) -> tuple[Depth, float]:
    """The depth (H, W), cells, as deep as the core of the profile, and the column of the profile at z = 0.

    height: of the figure, in cells.
    """
    plan = _lay_out(ground, len(profile.core))
    rows = _read_rows(profile.core)
    shift = _find_shift(depth, plan, rows)
    rows = rows._replace(low=rows.low - shift, high=rows.high - shift)
    broad = _BROAD * height
    inner = _shrink(rows, broad)
    for _ in range(_ROUNDS):
        depth = _stretch(depth, plan, inner, broad)
    depth = _even_middle(depth, plan.inside, _RIM * height)
    for share in _DETAILS:
        depth = _raise(depth, plan, rows, share * height)
    return _lower(depth, plan, rows), shift


def _lay_out(ground: Ground, count: int) -> _Plan:
    inside = ground.extended
    level = np.clip(np.round(ground.height), 0, count - 1).astype(int)
    runs = label_rows(inside)
    columns = np.broadcast_to(np.arange(inside.shape[1]), inside.shape)
    middle = ndimage.mean(columns, runs, np.arange(runs.max() + 1))[runs].astype(np.float32)
    return _Plan(inside, level, runs, middle)


def _read_rows(core: BoolArray) -> _Rows:
    known = np.asarray(core.any(axis=1))
    low = core.argmax(axis=1) - 0.5
    high = core.shape[1] - core[:, ::-1].argmax(axis=1) - 0.5
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)[0]
    return _Rows(low[nearest].astype(np.float32), high[nearest].astype(np.float32), known)


def _shrink(rows: _Rows, width: float) -> _Rows:
    """The same, smooth, and nowhere outside the profile."""
    size = 2 * int(width) + 1
    low, high = ndimage.maximum_filter1d(rows.low, size), ndimage.minimum_filter1d(rows.high, size)
    middle = 0.5 * (low + high)
    low, high = np.minimum(low, middle - 1), np.maximum(high, middle + 1)
    return rows._replace(
        low=ndimage.gaussian_filter1d(low, width), high=ndimage.gaussian_filter1d(high, width)
    )


def _measure_rows(depth: Depth, plan: _Plan, count: int) -> _Rows:
    """Where the depth begins and ends at each level; what no cell of the front is at is not known."""
    high, low = np.full(count, -np.inf, np.float32), np.full(count, np.inf, np.float32)
    inside = plan.inside
    np.maximum.at(high, plan.level[inside], (depth.centre + depth.front)[inside])
    np.minimum.at(low, plan.level[inside], (depth.centre - depth.back)[inside])
    known = high >= low
    return _Rows(np.where(known, low, 0), np.where(known, high, 0), known)


def _find_shift(depth: Depth, plan: _Plan, rows: _Rows) -> float:
    made = _measure_rows(depth, plan, len(rows.low))
    both = rows.known & made.known
    return float(np.median(0.5 * (rows.low + rows.high - made.low - made.high)[both])) if both.any() else 0.0


def _stretch(depth: Depth, plan: _Plan, rows: _Rows, soft: float) -> Depth:
    """Stretch what makes up the depth of a level to the rows'; the rest moves along and stays within."""
    made = _measure_rows(depth, plan, len(rows.low))
    usable = (rows.known & made.known)[plan.level]
    span = np.maximum(made.high - made.low, 1.0)
    ratio = ((rows.high - rows.low) / span)[plan.level]
    target, own = ((0.5 * (item.low + item.high))[plan.level] for item in (rows, made))
    top, bottom = _reach(depth, plan)
    weight = smoothstep((top - bottom) / span[plan.level], *_OWNS)
    scale = 1 + weight * (ratio - 1)
    moved = Depth(target + (depth.centre - own) * scale, depth.front * scale, depth.back * scale)
    top, bottom = _reach(moved, plan)
    inwards = np.maximum(rows.low[plan.level] - bottom, 0) - np.maximum(top - rows.high[plan.level], 0)
    moved = moved._replace(centre=moved.centre + (1 - weight) * inwards)
    changes = (
        blur_inside(np.where(usable, new - old, 0.0), plan.inside, soft)
        for new, old in zip(moved, depth, strict=True)
    )
    return Depth(
        *(np.where(plan.inside, old + change, old) for old, change in zip(depth, changes, strict=True))
    )


def _reach(depth: Depth, plan: _Plan) -> tuple[FloatArray, FloatArray]:
    """How far to the front and to the back the run of each cell reaches, (H, W) each."""
    numbers = np.arange(plan.runs.max() + 1)
    top = ndimage.maximum(depth.centre + depth.front, plan.runs, numbers)
    bottom = ndimage.minimum(depth.centre - depth.back, plan.runs, numbers)
    return top[plan.runs], bottom[plan.runs]


def _even_middle(depth: Depth, inside: BoolArray, soft: float) -> Depth:
    """About the same surface, whose front and back meet at the outline in a smooth line."""
    half = 0.5 * (depth.front + depth.back)
    own = depth.centre + 0.5 * (depth.front - depth.back)
    centre = spread_nearest(blur_inside(own, inside, soft), inside)
    off = np.clip(own - centre, -_MOST_OFF * half, _MOST_OFF * half)
    return Depth(centre, half + off, half - off)


def _raise(depth: Depth, plan: _Plan, rows: _Rows, tall: float) -> Depth:
    """Raise bumps in the middle of runs, `tall` cells high, where the rows go beyond the depth."""
    made = _measure_rows(depth, plan, len(rows.low))
    top, bottom = _reach(depth, plan)
    usable = rows.known & made.known
    columns = np.arange(plan.inside.shape[1])
    bump = np.exp(-(((columns - plan.middle) / (_ACROSS * tall)) ** 2))
    planes = []
    for plane, wanted, found, reach in (
        (depth.front, rows.high, made.high, top),
        (depth.back, -rows.low, -made.low, -bottom),
    ):
        lack = ndimage.gaussian_filter1d(np.where(usable, np.maximum(wanted - found, 0), 0), tall)
        reaches = np.exp(-np.maximum(found[plan.level] - reach, 0) / tall)
        planes.append(plane + np.where(plan.inside, bump * reaches * lack[plan.level], 0))
    return depth._replace(front=planes[0].astype(np.float32), back=planes[1].astype(np.float32))


def _lower(depth: Depth, plan: _Plan, rows: _Rows) -> Depth:
    """Round where the depth goes beyond the rows, which would cut it off flat."""
    top, bottom = depth.centre + depth.front, depth.centre - depth.back
    made = _measure_rows(depth, plan, len(rows.low))
    usable = rows.known & made.known
    front = _clip_softly(top, rows.high[plan.level], np.where(usable, made.high - rows.high, 0)[plan.level])
    back = -_clip_softly(-bottom, -rows.low[plan.level], np.where(usable, rows.low - made.low, 0)[plan.level])
    inside = plan.inside
    return depth._replace(
        front=np.where(inside, np.maximum(front - depth.centre, 0), depth.front).astype(np.float32),
        back=np.where(inside, np.maximum(depth.centre - back, 0), depth.back).astype(np.float32),
    )


def _clip_softly(value: FloatArray, most: FloatArray, beyond: FloatArray) -> FloatArray:
    """Values that are up to `beyond` above `most`, at most that; bent from as far below it on, not cut."""
    beyond = np.maximum(beyond, 0)
    over = np.maximum(value - (most - beyond), 0)
    return np.where(beyond > 0, value - over**2 / (4 * np.maximum(beyond, 1e-6)), value)
