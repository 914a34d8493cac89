"""Finding the two hands: the tips of the branches that are neither legs nor head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ...types import BoolArray
from ..voxel_solid import Indices, Points, VoxelSolid
from .torso import Torso

_FOOT_ROWS = 0.035
_CHEST_LEVEL = 0.70
_SHORTEST_BRANCH = 0.06
_FARTHEST_BACK = 0.5


@dataclass(frozen=True, eq=False)
class HandTip:
    """The fingertip of one side. position: (3,). reach: metres by which the branch stands free."""

    position: Points
    reach: float


def head_cells(solid: VoxelSolid, torso: Torso) -> BoolArray:
    """(N,) bool: the cells above the neck that hang together with the top over the axis."""
    cut = int(np.searchsorted(torso.rows, torso.neck))
    labels, _ = ndimage.label(solid.cells[:, cut:], np.ones((3, 3, 3), bool))
    found = np.zeros(len(solid.indices), bool)
    above = solid.indices[:, 1] >= cut
    x, y, z = (solid.indices[above] - (0, cut, 0)).T
    names = labels[x, y, z]
    near = np.abs(solid.centres[above, 0] - torso.middle) < 0.04 * torso.height
    if near.any():
        found[above] = names == np.bincount(names[near]).argmax()
    return found


def find_hands(solid: VoxelSolid, torso: Torso) -> tuple[HandTip | None, HandTip | None]:
    """Return the left (+X) and the right fingertip, None where no arm stands free of the body.

    A cell's detour is how much longer the way chest - cell - foot (or head) is than chest - foot: twice
    the length of the branch that the cell closes. Hands are beside the chest rather than before it,
    and hardly behind it, where long hair ends.
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
    side = solid.centres[:, 0] - torso.middle
    ahead = solid.centres[:, 2] - chest_point[2]
    detour[(ahead > np.abs(side)) | (-ahead > _FARTHEST_BACK * np.abs(side))] = 0.0
    left, right = (_branch_tip(solid, torso, np.where(sign * side > 0, detour, 0.0)) for sign in (1, -1))
    return left, right


def _chest_point(solid: VoxelSolid, torso: Torso) -> Points:
    height = torso.crotch + _CHEST_LEVEL * torso.length
    near = np.abs(solid.centres[:, :2] - (torso.middle, height)).max(axis=1) < 2 * solid.size
    depth = solid.centres[near, 2].mean() if near.any() else solid.centres[:, 2].mean()
    return np.array((torso.middle, height, depth))


def _feet_cells(solid: VoxelSolid, torso: Torso) -> tuple[Indices, Indices]:
    low = solid.centres[:, 1] < torso.ground + _FOOT_ROWS * torso.height
    left = solid.centres[:, 0] > torso.middle
    return np.flatnonzero(low & left), np.flatnonzero(low & ~left)


def _branch_tip(solid: VoxelSolid, torso: Torso, detour: Points) -> HandTip | None:
    best = int(np.argmax(detour))
    reach = float(detour[best]) / 2
    return HandTip(solid.centres[best], reach) if reach > _SHORTEST_BRANCH * torso.height else None
