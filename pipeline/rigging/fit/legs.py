"""Hip, knee, ankle and toes of one leg."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..voxel_solid import Points, VoxelSolid
from .arms import column_depth
from .limbs import find_bend, trace_limb
from .torso import Torso

_HIP_ASIDE, _HIP_ABOVE, _HIP_BACK = 0.17, 0.141, 0.015
_ANKLE_LEVEL, _TOE_SHARE, _FOOT_LEVEL = 0.145, 0.52, 0.09
_ANKLE_ZONE = (0.07, 0.16)
_SHIN_LEVELS = (0.16, 0.32)
_KNEE = 0.5
_TOE_BASE = 0.75
_LEG_RADIUS = 0.13
_SHORTEST_FOOT = 0.12


@dataclass(frozen=True, eq=False)
class Leg:
    """Joints (3,), metres."""

    hip: Points
    knee: Points
    ankle: Points
    toe_base: Points
    toe_end: Points

    @property
    def spread(self) -> float:
        """Degrees of the leg off the vertical, outwards, seen from the front."""
        way = self.ankle - self.hip
        return float(np.degrees(np.arctan2(abs(way[0]), -way[1])))


def fit_leg(solid: VoxelSolid, torso: Torso, side: int) -> Leg:
    """Fit one leg (side +1 is the left); hidden legs get average places inside the body."""
    length = torso.crotch - torso.ground
    thigh = _row_centre(solid, torso, torso.crotch - 0.1 * torso.length, side)
    aside = 0.5 * (_HIP_ASIDE * torso.length + abs(thigh[0] - torso.middle))
    hip = np.array((torso.middle + side * aside, torso.crotch + _HIP_ABOVE * torso.length, 0.0))
    hip[2] = column_depth(solid, hip, 2 * solid.size) - _HIP_BACK * torso.length
    ankle = _place_ankle(solid, torso, length, side)
    line = trace_limb(solid, hip, ankle, radius=_LEG_RADIUS * torso.length, hold=0.25)
    knee = line.at(find_bend(line, _KNEE, 1.0))
    toe_base, toe_end = _place_toes(solid, torso, ankle, length, side)
    return Leg(hip, knee, ankle, toe_base, toe_end)


def _row_centre(solid: VoxelSolid, torso: Torso, y: float, side: int) -> Points:
    """Centre (3,) of the run beside the valley between the legs, at height y."""
    row = int(np.argmin(np.abs(torso.rows - y)))
    split = torso.valley[row] if np.isfinite(torso.valley[row]) else torso.middle
    x = solid.origin[0] + solid.size * np.arange(len(solid.cells))
    filled = solid.cells[:, row].any(axis=1) & (side * (x - split) > 0)
    inside = np.flatnonzero(filled)[::side]
    if not len(inside):
        return np.array((split + side * _HIP_ASIDE * torso.length, y, solid.centres[:, 2].mean()))
    breaks = np.flatnonzero(np.abs(np.diff(inside)) > 1)
    run = inside[: breaks[0] + 1] if len(breaks) else inside
    cells = np.argwhere(solid.cells[run, row])
    return np.array((x[run].mean(), y, solid.origin[2] + solid.size * cells[:, 1].mean()))


def _place_ankle(solid: VoxelSolid, torso: Torso, length: float, side: int) -> Points:
    """Carry the line of the shin's slices down to the height of the ankle."""
    levels = torso.ground + length * np.linspace(*_SHIN_LEVELS, 6)
    centres = np.array([_row_centre(solid, torso, y, side) for y in levels])
    slope, offset = np.polyfit(centres[:, 1], centres[:, [0, 2]], 1)
    y = torso.ground + length * float(np.clip(_ANKLE_LEVEL * (torso.length / length) ** 2, *_ANKLE_ZONE))
    x, z = slope * y + offset
    return np.array((x, y, z))


def _place_toes(
    solid: VoxelSolid, torso: Torso, ankle: Points, length: float, side: int
) -> tuple[Points, Points]:
    """Ball and tip of the foot: along the way from the ankle to the foremost of its lowest cells."""
    low = solid.centres[:, 1] < torso.ground + _FOOT_LEVEL * length
    here = solid.centres[low & (side * (solid.centres[:, 0] - torso.middle) > 0)]
    front = here[here[:, 2] > np.quantile(here[:, 2], 0.85)] if len(here) else ankle[None]
    way = front.mean(axis=0)[[0, 2]] - ankle[[0, 2]]
    way[1] = max(way[1], _SHORTEST_FOOT * length, abs(way[0]))
    reach = max(float(here[:, 2].max() if len(here) else 0.0) - ankle[2], way[1])
    way *= reach / way[1]
    base, end = ankle.copy(), ankle.copy()
    base[[0, 2]] += _TOE_BASE * way
    end[[0, 2]] += way
    base[1] = end[1] = torso.ground + _TOE_SHARE * (ankle[1] - torso.ground)
    return base, end
