"""One hand on a voxel grid of its own, because the body's cells are as wide as a finger."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ...types import Float64Array, Int64Array, Mesh
from ..voxel_solid import NEIGHBORS_26, VoxelSolid
from ..voxelize import fill_box

_CELLS_PER_HAND, _MAX_CELLS = 90, 3_000_000
"""Along a hand, and in the whole box: of a stub below a long forearm, fingers are not worth more."""
_MARGIN = 0.5
_CUT_BEFORE_WRIST = 0.2
_MIN_HAND_PER_FOREARM = 0.7
"""Keeps the thumb in the box where the wrist was found too close to the fingertip."""
_START_THICKNESS = 0.03


@dataclass(frozen=True, eq=False)
class HandSolid:
    """The hand beyond a cut through the forearm.

    start: cells of `solid` beside the cut. length: metres from the wrist to the fingertip, mostly 90 cells.
    is_free: whether the hand is connected to nothing but the forearm.
    """

    solid: VoxelSolid
    start: Int64Array
    length: float
    is_free: bool


def crop_hand(mesh: Mesh, elbow: Float64Array, wrist: Float64Array, tip: Float64Array) -> HandSolid | None:
    """Voxelize the part of the mesh that is connected to the wrist, in a box around wrist and fingertip.

    elbow, wrist, tip: (3,) metres. The cut is perpendicular to the forearm. Returns None if the mesh has no
    forearm before the wrist.
    """
    length = float(np.linalg.norm(tip - wrist))
    reach = float(np.linalg.norm(wrist - elbow))
    margin = _MARGIN * max(length, _MIN_HAND_PER_FOREARM * reach)
    low, high = np.minimum(wrist, tip) - margin, np.maximum(wrist, tip) + margin
    size = max(length / _CELLS_PER_HAND, float(np.prod(high - low) / _MAX_CELLS) ** (1 / 3))
    cells = fill_box(mesh, low, high, size)
    filled = np.argwhere(cells)
    forearm = (wrist - elbow) / max(reach, 1e-12)
    beyond = (low + size * filled - wrist) @ forearm >= -_CUT_BEFORE_WRIST * length
    cells[tuple(filled[~beyond].T)] = False
    filled = filled[beyond]
    if not len(filled):
        return None
    labels, _ = ndimage.label(cells, NEIGHBORS_26)
    seed = filled[np.linalg.norm(low + size * filled - wrist, axis=1).argmin()]
    body = labels == labels[tuple(seed)]
    box = ndimage.find_objects(body.astype(np.int8))[0]
    is_free = all(part.start > 0 and part.stop < count for part, count in zip(box, body.shape, strict=True))
    solid = VoxelSolid(body[box], low + size * np.array([part.start for part in box]), size)
    past_cut = _START_THICKNESS - _CUT_BEFORE_WRIST
    start = np.flatnonzero((solid.centers - wrist) @ forearm < past_cut * length)
    return HandSolid(solid, start, length, is_free) if len(start) else None
