"""Hip, knee, ankle and toes of one leg."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...types import Float64Array
from ..voxel_solid import VoxelSolid
from .arms import column_depth
from .limbs import find_bend, trace_limb
from .torso import Torso

# Average proportions, as shares of the torso's length (hip, radius) or of the leg's.
_HIP_ASIDE, _HIP_ABOVE, _HIP_BACK = 0.17, 0.141, 0.015
_ANKLE_LEVEL, _TOE_LEVEL, _FOOT_LEVEL = 0.145, 0.52, 0.09
_ANKLE_RANGE = (0.07, 0.16)
_SHIN_LEVELS = (0.16, 0.32)
_KNEE_FRACTION = 0.5
_TOE_BASE_FRACTION = 0.75
_LEG_RADIUS = 0.13
_MIN_FOOT_LENGTH = 0.12


@dataclass(frozen=True, eq=False)
class Leg:
    """Joints (3,), metres."""

    hip: Float64Array
    knee: Float64Array
    ankle: Float64Array
    toe_base: Float64Array
    toe_end: Float64Array

    @property
    def line(self) -> Float64Array:
        """(3, 3) hip, knee and ankle."""
        return np.stack((self.hip, self.knee, self.ankle))

    @property
    def spread(self) -> float:
        """Degrees of the leg outwards from the vertical, in the front view."""
        offset = self.ankle - self.hip
        return float(np.degrees(np.arctan2(abs(offset[0]), -offset[1])))


def fit_leg(solid: VoxelSolid, torso: Torso, side: int) -> Leg:
    """Fit one leg; side: +1 left, -1 right. Hidden legs get average positions inside the body."""
    length = torso.crotch - torso.ground
    thigh = _row_center(solid, torso, torso.crotch - 0.1 * torso.length, side)
    aside = 0.5 * (_HIP_ASIDE * torso.length + abs(thigh[0] - torso.middle))
    hip = np.array((torso.middle + side * aside, torso.crotch + _HIP_ABOVE * torso.length, 0.0))
    hip[2] = column_depth(solid, hip, 2 * solid.size) - _HIP_BACK * torso.length
    ankle = _place_ankle(solid, torso, length, side)
    line = trace_limb(solid, hip, ankle, radius=_LEG_RADIUS * torso.length, fixed_share=0.25)
    knee = line.at(find_bend(line, _KNEE_FRACTION, 1.0))
    toe_base, toe_end = _place_toes(solid, torso, ankle, length, side)
    return Leg(hip, knee, ankle, toe_base, toe_end)


def _row_center(solid: VoxelSolid, torso: Torso, y: float, side: int) -> Float64Array:
    """Center (3,) of one leg's cross-section at height y: the filled run beside the gap between the legs."""
    row = int(np.argmin(np.abs(torso.rows - y)))
    split = torso.valley[row] if np.isfinite(torso.valley[row]) else torso.middle
    x = solid.origin[0] + solid.size * np.arange(len(solid.cells))
    filled = solid.cells[:, row].any(axis=1) & (side * (x - split) > 0)
    inside = np.flatnonzero(filled)[::side]
    if not len(inside):
        return np.array((split + side * _HIP_ASIDE * torso.length, y, solid.centers[:, 2].mean()))
    breaks = np.flatnonzero(np.abs(np.diff(inside)) > 1)
    run = inside[: breaks[0] + 1] if len(breaks) else inside
    cells = np.argwhere(solid.cells[run, row])
    return np.array((x[run].mean(), y, solid.origin[2] + solid.size * cells[:, 1].mean()))


def _place_ankle(solid: VoxelSolid, torso: Torso, length: float, side: int) -> Float64Array:
    """Extrapolate the line through the centers of the shin's slices to the height of the ankle."""
    levels = torso.ground + length * np.linspace(*_SHIN_LEVELS, 6)
    centers = np.array([_row_center(solid, torso, y, side) for y in levels])
    slope, offset = np.polyfit(centers[:, 1], centers[:, [0, 2]], 1)
    y = torso.ground + length * float(np.clip(_ANKLE_LEVEL * (torso.length / length) ** 2, *_ANKLE_RANGE))
    x, z = slope * y + offset
    return np.array((x, y, z))


def _place_toes(
    solid: VoxelSolid, torso: Torso, ankle: Float64Array, length: float, side: int
) -> tuple[Float64Array, Float64Array]:
    """Ball and tip of the foot, on the line from the ankle to the foremost of the foot's lowest cells."""
    low = solid.centers[:, 1] < torso.ground + _FOOT_LEVEL * length
    here = solid.centers[low & (side * (solid.centers[:, 0] - torso.middle) > 0)]
    front = here[here[:, 2] >= np.quantile(here[:, 2], 0.85)] if len(here) else ankle[None]
    direction = front.mean(axis=0)[[0, 2]] - ankle[[0, 2]]
    direction[1] = max(direction[1], _MIN_FOOT_LENGTH * length, abs(direction[0]))
    reach = max(float(here[:, 2].max() if len(here) else 0.0) - ankle[2], direction[1])
    direction *= reach / direction[1]
    base, end = ankle.copy(), ankle.copy()
    base[[0, 2]] += _TOE_BASE_FRACTION * direction
    end[[0, 2]] += direction
    base[1] = end[1] = torso.ground + _TOE_LEVEL * (ankle[1] - torso.ground)
    return base, end
