"""The inside of one hand in cells of its own: those of the body's solid are as wide as a finger."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ...types import Mesh
from ..voxel_solid import Indices, Points, VoxelSolid
from ..voxelize import fill_box

_CELLS = 90
_MARGIN = 0.5
_BEFORE_WRIST = 0.2
_HAND_SHARE = 0.7
"""A hand's length in forearms: where the wrist was found too far out, the thumb still lies in the box."""
_SLAB = 0.03
_EVERY_NEIGHBOUR = np.ones((3, 3, 3), bool)


@dataclass(frozen=True, eq=False)
class HandSolid:
    """The hand beyond a cut through the forearm.

    length: metres from the wrist to the tip, 90 cells. start: numbers of the cells beside the cut.
    is_free: it meets nothing but the forearm.
    """

    solid: VoxelSolid
    start: Indices
    length: float
    is_free: bool


def crop_hand(mesh: Mesh, elbow: Points, wrist: Points, tip: Points) -> HandSolid | None:
    """Voxelise what hangs together with the wrist (3,) in a box around it and the fingertip (3,), metres.

    The cut is square to the forearm, from the elbow (3,).

    None where the mesh has no forearm before the wrist.
    """
    length = float(np.linalg.norm(tip - wrist))
    size, reach = length / _CELLS, float(np.linalg.norm(wrist - elbow))
    margin = _MARGIN * max(length, _HAND_SHARE * reach)
    low, high = np.minimum(wrist, tip) - margin, np.maximum(wrist, tip) + margin
    cells = fill_box(mesh, low, high, size)
    places = np.argwhere(cells)
    forearm = (wrist - elbow) / max(reach, 1e-12)
    beyond = (low + size * places - wrist) @ forearm >= -_BEFORE_WRIST * length
    cells[tuple(places[~beyond].T)] = False
    places = places[beyond]
    if not len(places):
        return None
    labels, _ = ndimage.label(cells, _EVERY_NEIGHBOUR)
    seed = places[np.linalg.norm(low + size * places - wrist, axis=1).argmin()]
    body = labels == labels[tuple(seed)]
    box = ndimage.find_objects(body.astype(np.int8))[0]
    is_free = all(part.start > 0 and part.stop < count for part, count in zip(box, body.shape, strict=True))
    solid = VoxelSolid(body[box], low + size * np.array([part.start for part in box]), size)
    start = np.flatnonzero((solid.centres - wrist) @ forearm < (_SLAB - _BEFORE_WRIST) * length)
    return HandSolid(solid, start, length, is_free) if len(start) else None
