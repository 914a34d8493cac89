"""Landmarks on the body's axis, measured on horizontal slices of its voxels: midline, crotch, neck.

Slices are voxel rows of equal y. Thickness is the depth of the solid behind a point of the front view.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...types import Float64Array, Int64Array
from ..voxel_solid import VoxelSolid

MIN_NECK_PROMINENCE = 1.15
_MAX_VALLEY_THICKNESS = 0.55
_MIN_HEM_STEP, _HEM_ROWS = 2.2, 0.012
_NECK_LEVELS, _CROTCH_PER_NECK = (0.645, 0.776, 0.865), (0.496, 0.543, 0.553)
"""Average height of the crotch as a share of the neck's, for heights of the neck as shares of the body's."""
_NECK_LEVEL = 0.86
_ARMPIT_BELOW_NECK = 0.257
_MIN_LEG_HEIGHT = 0.10
_MAX_CROTCH_LEVEL = 0.62
_MAX_TRUNK_HALF_WIDTH = 0.14
"""Share of the height. Arms spread wider than that would make a narrow neck of the chest below them."""
_NECK_PROMINENCE_SHARE = 0.5
_NECK_GAP = 0.08
_NECK_PER_CHEST, _NECK_LIFTS = (0.2, 0.31, 0.6), (-0.02, 0.026, 0.07)
"""Height of the neck's joint above its foot, for cross-sections of the neck as shares of the chest's."""
_NECK_FOOT_AREA = 1.12
_NECK_RANGE = (0.25, 0.93)
_MIN_HEAD_VOLUME = 0.015


@dataclass(frozen=True, eq=False)
class Torso:
    """Landmarks, metres in the mesh frame.

    height: of the whole body. ground: lowest y. middle: x of the body's axis at the crotch. lean: how far the
    axis moves in x per metre above it. crotch, neck, crown: y.
    has_legs, has_neck: whether crotch and neck were measured rather than placed by average proportions.
    has_hem: the legs are visible only below the hem of a skirt; the crotch was not measured.
    neck_prominence: see `_find_neck`.
    rows: (Y,) y of the voxel rows. valley: (Y,) x of the gap between the legs, NaN above the crotch.
    """

    height: float
    ground: float
    middle: float
    crotch: float
    neck: float
    has_legs: bool
    has_neck: bool
    has_hem: bool
    neck_prominence: float
    rows: Float64Array
    valley: Float64Array
    crown: float
    lean: float = 0.0

    def axis_at(self, y: float) -> float:
        """Return x of the body's axis at height y."""
        return self.middle + self.lean * (y - self.crotch)

    @property
    def length(self) -> float:
        """Metres from the crotch to the neck."""
        return self.neck - self.crotch


def measure_torso(solid: VoxelSolid) -> Torso:
    """Find the landmarks; those hidden by a robe or long hair are placed by average proportions."""
    thickness = solid.cells.sum(axis=2) * solid.size
    rows = solid.origin[1] + solid.size * np.arange(thickness.shape[1])
    filled = np.flatnonzero(thickness.any(axis=0))
    ground, height = float(rows[filled[0]]), solid.size * len(filled)
    x = solid.origin[0] + solid.size * np.arange(len(thickness))
    middle = _find_middle(thickness, x, (rows - ground) / height)
    valley = _find_valley(thickness, x, middle, height)
    seen = (rows - ground) / height < _MAX_CROTCH_LEVEL
    legs = _longest_run(~np.isnan(valley) & seen)
    has_legs = len(legs) * solid.size > _MIN_LEG_HEIGHT * height
    has_hem = has_legs and _is_hem(thickness.sum(axis=0), int(legs[-1]), height / solid.size)
    crotch = float(rows[legs[-1]]) if has_legs else ground + 0.47 * height
    above = np.arange(len(rows)) > (legs[-1] if has_legs else -1)
    trunk = np.where(np.abs(x - middle)[:, None] <= _MAX_TRUNK_HALF_WIDTH * height, thickness, 0.0)
    neck, prominence = _find_neck(_axis_areas(trunk, x, middle), rows, crotch, ground + height)
    has_neck = prominence > MIN_NECK_PROMINENCE
    is_crotch = has_legs and not has_hem
    if not has_neck:
        neck = crotch + 0.74 * (ground + height - crotch) if is_crotch else ground + _NECK_LEVEL * height
    if not is_crotch:
        share = float(np.interp((neck - ground) / height, _NECK_LEVELS, _CROTCH_PER_NECK))
        crotch = ground + share * (neck - ground)
    valley = np.where(above | ~has_legs, np.nan, valley)
    seen = has_legs, has_neck, has_hem, prominence
    return Torso(height, ground, middle, crotch, neck, *seen, rows, valley, crown=ground + height)


def move_neck(torso: Torso, armpit: float) -> Torso:
    """Return the torso with the neck placed above armpits at height `armpit`, metres."""
    neck = torso.crotch + (armpit - torso.crotch) / (1 - _ARMPIT_BELOW_NECK)
    return replace(torso, neck=min(neck, torso.ground + 0.95 * torso.height))


def _is_hem(areas: Float64Array, crotch: int, rows: float) -> bool:
    """Whether the slices' areas (Y,) drop abruptly below the crotch, as they do at the hem of a skirt."""
    reach = max(2, round(_HEM_ROWS * rows))
    above, below = (
        areas[crotch + reach : crotch + 2 * reach],
        areas[max(0, crotch - 2 * reach) : crotch - reach],
    )
    return bool(len(above) and len(below) and np.median(above) > _MIN_HEM_STEP * np.median(below))


def _find_middle(thickness: Float64Array, x: Float64Array, level: Float64Array) -> float:
    """Median x of the silhouette's centers in the trunk's rows, refined by those of the runs around it."""
    trunk = (level > 0.45) & (level < 0.97)
    centers = (thickness > 0).T[trunk] @ x / np.maximum((thickness > 0).sum(axis=0)[trunk], 1)
    middle = float(np.median(centers))
    runs = [_run_around(column > 0, x, middle) for column in thickness.T[trunk]]
    return float(np.median([x[run].mean() for run in runs if len(run)] or [middle]))


def _run_around(filled: Float64Array, x: Float64Array, middle: float) -> Int64Array:
    """Indices of the filled run that contains, or is nearest to, `middle`."""
    inside = np.flatnonzero(filled)
    if not len(inside):
        return inside
    start = inside[np.argmin(np.abs(x[inside] - middle))]
    breaks = np.flatnonzero(~np.asarray(filled, bool))
    low, high = breaks[breaks < start], breaks[breaks > start]
    return np.arange(low[-1] + 1 if len(low) else 0, high[0] if len(high) else len(x))


def _find_valley(thickness: Float64Array, x: Float64Array, middle: float, height: float) -> Float64Array:
    """(Y,) x of the thinnest point near the axis between two thicker ones, NaN where there is none."""
    step = float(x[1] - x[0])
    inner = np.abs(x - middle) <= max(0.07 * height, step)
    left = (x > middle) & (x < middle + max(0.3 * height, 2 * step))
    right = (x < middle) & (x > middle - max(0.3 * height, 2 * step))
    best = np.minimum(thickness[left].max(axis=0), thickness[right].max(axis=0))
    low = thickness[inner].min(axis=0)
    thinnest = np.array([x[inner][column <= column.min() + 1e-9].mean() for column in thickness[inner].T])
    return np.where((best > 0) & (low < _MAX_VALLEY_THICKNESS * best), thinnest, np.nan)


def _longest_run(flags: Float64Array) -> Int64Array:
    """Indices of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], np.asarray(flags, int), [0]))))
    if not len(edges):
        return np.zeros(0, np.int64)
    longest = int(np.argmax(edges[1::2] - edges[::2]))
    return np.arange(edges[2 * longest], edges[2 * longest + 1])


def _axis_areas(thickness: Float64Array, x: Float64Array, middle: float) -> Float64Array:
    """(Y,) areas of the slices, each limited to the run around the axis, square metres."""
    step = x[1] - x[0]
    runs = (_run_around(column > 0, x, middle) for column in thickness.T)
    return np.array([step * column[run].sum() for run, column in zip(runs, thickness.T, strict=True)])


def _find_neck(areas: Float64Array, rows: Float64Array, crotch: float, top: float) -> tuple[float, float]:
    """Height of the neck's joint, and the prominence of the neck: the uppermost clear constriction.

    Prominence is the smaller of the largest areas above and below a slice, divided by the slice's own. The
    joint is near the foot of the neck, lower if the neck is slender, higher if a large head hides it.
    """
    level = (rows - crotch) / (top - crotch)
    volume = np.cumsum(areas[::-1])[::-1] / areas.sum()
    zone = (level > _NECK_RANGE[0]) & (level < _NECK_RANGE[1]) & (volume > _MIN_HEAD_VOLUME)
    smooth = np.convolve(areas, np.ones(3) / 3, mode="same")
    above = np.maximum.accumulate(smooth[::-1])[::-1]
    trunk = np.where(level > 0, smooth, 0.0)
    below = np.maximum.accumulate(trunk)
    prominence = np.where(zone, np.minimum(above, below) / np.maximum(smooth, 1e-12), 0.0)
    if not prominence.max() > 0:
        return float(crotch), 0.0
    good = np.flatnonzero(prominence >= 1 + _NECK_PROMINENCE_SHARE * (prominence.max() - 1))
    run = _top_run(good, _NECK_GAP * (top - crotch) / (rows[1] - rows[0]))
    slim = run[smooth[run] <= _NECK_FOOT_AREA * smooth[run].min()]
    foot = float(rows[slim[0]])
    chest = float(np.median(smooth[(level > 0) & (rows < foot)])) if slim[0] > 0 else 0.0
    share = smooth[run].min() / max(chest, 1e-12)
    lift = float(np.interp(share, _NECK_PER_CHEST, _NECK_LIFTS))
    return foot + lift * (foot - crotch), float(prominence[run].max())


def _top_run(indices: Int64Array, gap: float) -> Int64Array:
    """The last block of sorted indices whose steps are at most `gap`, or 1."""
    breaks = np.flatnonzero(np.diff(indices) > max(gap, 1.0))
    return indices[breaks[-1] + 1 :] if len(breaks) else indices
