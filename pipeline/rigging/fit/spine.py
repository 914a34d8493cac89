"""The joints of the trunk, from the hips to the top of the head."""

from __future__ import annotations

import numpy as np

from ...types import Float64Array
from ..voxel_solid import VoxelSolid
from .torso import Torso

# Average proportions, as shares of the torso's length; _SPINE_BACK, _NECK_BACK: of half the body's depth.
_SPINE_LEVELS = {"Hips": 0.202, "Spine": 0.362, "Spine1": 0.538, "Spine2": 0.736}
_SPINE_BACK = {"Hips": 0.116, "Spine": 0.29, "Spine1": 0.355, "Spine2": 0.575}
_NECK_BELOW, _NECK_BACK = 0.15, 0.1
_HEAD_ABOVE, _HEAD_AHEAD = 0.079, 0.02
_MAX_HEAD_ABOVE = 0.3
"""Share of the height from the neck to the top."""
_PELVIS_LEVEL = 0.15
_CHEST_DEPTH, _MAX_DEPTH, _MAX_BEHIND = 0.9, 1.1, 0.1
"""Shares of the pelvis' depth."""


def place_spine(solid: VoxelSolid, torso: Torso) -> dict[str, Float64Array]:
    """Return the positions (3,) of the trunk's joints by name."""
    levels = {name: torso.crotch + share * torso.length for name, share in _SPINE_LEVELS.items()}
    positions = {name: _axis_point(solid, torso, y, _SPINE_BACK[name]) for name, y in levels.items()}
    chest = _axis_point(solid, torso, torso.neck - _NECK_BELOW * torso.length, _NECK_BACK)
    positions["Neck"] = np.array((torso.axis_at(torso.neck), torso.neck, chest[2]))
    above = min(_HEAD_ABOVE * torso.length, _MAX_HEAD_ABOVE * (torso.crown - torso.neck))
    positions["Head"] = positions["Neck"] + (0.0, above, _HEAD_AHEAD * torso.length)
    positions["HeadTop_End"] = np.array((positions["Head"][0], torso.crown, positions["Head"][2]))
    return positions


def _axis_point(solid: VoxelSolid, torso: Torso, y: float, back: float) -> Float64Array:
    """Joint (3,) of the spine at height y, behind the middle by `back`, a share of half the body's depth.

    Where the body is deeper than the pelvis and extends behind it, that is hair or a cape and left out.
    """
    depths = _axis_depths(solid, torso, y)
    pelvis = _axis_depths(solid, torso, torso.crotch + _PELVIS_LEVEL * torso.length)
    deep = float(np.ptp(pelvis))
    behind = float(pelvis.min() - depths.min())
    if np.ptp(depths) > _MAX_DEPTH * deep and behind > _MAX_BEHIND * deep:
        depths = depths[depths >= depths.max() - _CHEST_DEPTH * deep]
    half = 0.5 * float(np.ptp(depths))
    return np.array((torso.axis_at(y), y, depths.mean() - back * half))


def _axis_depths(solid: VoxelSolid, torso: Torso, y: float) -> Float64Array:
    """z (K,) of the cells around the body's axis at height y."""
    offset = np.abs(solid.centers[:, :2] - (torso.axis_at(y), y)).max(axis=1)
    return solid.centers[offset <= max(0.02 * torso.height, offset.min()), 2]
