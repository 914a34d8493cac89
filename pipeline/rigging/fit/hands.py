"""Detection of the hands: the tips of the branches of the body that are neither legs nor head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ...types import BoolArray, Float64Array, Int64Array
from ..voxel_solid import NEIGHBORS_26, VoxelSolid
from .torso import Torso

_FOOT_HEIGHT = 0.035
_CHEST_LEVEL = 0.70
_MIN_BRANCH_LENGTH = 0.06
_MAX_BACK_SLOPE = 0.5


@dataclass(frozen=True, eq=False)
class HandTip:
    """The fingertip of one side. position: (3,) metres. reach: length of the free part of the arm, metres."""

    position: Float64Array
    reach: float


def head_cells(solid: VoxelSolid, torso: Torso) -> BoolArray:
    """Return (N,) bool, the cells above the neck that are connected to the cells on the body's axis."""
    cut = int(np.searchsorted(torso.rows, torso.neck))
    labels, _ = ndimage.label(solid.cells[:, cut:], NEIGHBORS_26)
    found = np.zeros(len(solid.indices), bool)
    above = solid.indices[:, 1] >= cut
    x, y, z = (solid.indices[above] - (0, cut, 0)).T
    names = labels[x, y, z]
    near = np.abs(solid.centers[above, 0] - torso.middle) < 0.04 * torso.height
    if near.any():
        found[above] = names == np.bincount(names[near]).argmax()
    return found


def find_hands(solid: VoxelSolid, torso: Torso) -> tuple[HandTip | None, HandTip | None]:
    """Return the left (+X) and the right fingertip, None where no arm is free of the body.

    A cell's detour is how much longer the path chest - cell - foot (or head) is than the path chest - foot:
    twice the length of the branch that ends at the cell. Only cells beside the chest count, not those in
    front of it, nor those well behind it, where long hair ends.
    """
    chest_point = _chest_point(solid, torso)
    chest = solid.nearest(chest_point)
    from_chest = solid.measure_distances(chest)
    head = head_cells(solid, torso)
    detour = np.full(len(head), np.inf)
    for end in (*_feet_cells(solid, torso), np.flatnonzero(head)):
        if len(end):
            straight = from_chest[end].min()
            detour = np.minimum(detour, solid.measure_distances(end) + from_chest - straight)
    detour[head] = 0.0
    side = solid.centers[:, 0] - torso.middle
    ahead = solid.centers[:, 2] - chest_point[2]
    detour[(ahead > np.abs(side)) | (-ahead > _MAX_BACK_SLOPE * np.abs(side))] = 0.0
    left, right = (_branch_tip(solid, torso, np.where(sign * side > 0, detour, 0.0)) for sign in (1, -1))
    return left, right


def _chest_point(solid: VoxelSolid, torso: Torso) -> Float64Array:
    height = torso.crotch + _CHEST_LEVEL * torso.length
    near = np.abs(solid.centers[:, :2] - (torso.middle, height)).max(axis=1) < 2 * solid.size
    depth = solid.centers[near, 2].mean() if near.any() else solid.centers[:, 2].mean()
    return np.array((torso.middle, height, depth))


def _feet_cells(solid: VoxelSolid, torso: Torso) -> tuple[Int64Array, Int64Array]:
    low = solid.centers[:, 1] < torso.ground + _FOOT_HEIGHT * torso.height
    left = solid.centers[:, 0] > torso.middle
    return np.flatnonzero(low & left), np.flatnonzero(low & ~left)


def _branch_tip(solid: VoxelSolid, torso: Torso, detour: Float64Array) -> HandTip | None:
    best = int(np.argmax(detour))
    reach = float(detour[best]) / 2
    return HandTip(solid.centers[best], reach) if reach > _MIN_BRANCH_LENGTH * torso.height else None
