"""One hand on a voxel grid of its own, because the body's cells are as wide as a finger."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ...types import BoolArray, Float64Array, Int64Array
from ..voxel_solid import NEIGHBORS_26, VoxelSolid
from ..voxelize import fill_box, keep_near, mark_box

_CELLS_PER_HAND, _MAX_CELLS = 90, 120_000
"""Along a hand, and in all of it: fingers of a thick hand are seen in larger cells."""
_COARSE_CELLS, _MAX_COARSE_CELLS = 30, 110_000
"""Along a hand, and in the whole box: where the hand is found first."""
_MARGIN = 0.5
_CUT_BEFORE_WRIST = 0.2
_MIN_HAND_PER_FOREARM = 0.7
"""Keeps the thumb in the box where the wrist was found too close to the fingertip."""
_START_THICKNESS = 0.03


@dataclass(frozen=True, eq=False)
class HandSolid:
    """The hand beyond a cut through the forearm.

    start: cells of `solid` beside the cut. length: metres from the wrist to the fingertip, at most 90 cells.
    is_free: whether the hand is connected to nothing but the forearm.
    """

    solid: VoxelSolid
    start: Int64Array
    length: float
    is_free: bool


def crop_hand(
    corners: tuple[Float64Array, Float64Array], elbow: Float64Array, wrist: Float64Array, tip: Float64Array
) -> HandSolid | None:
    """Voxelize the part of the mesh that is connected to the wrist, in a box around wrist and fingertip.

    corners: of the mesh, as of `list_corners`. elbow, wrist, tip: (3,) metres. The cut is perpendicular to
    the forearm. Returns None if the mesh has no forearm before the wrist.
    """
    length = float(np.linalg.norm(tip - wrist))
    reach = float(np.linalg.norm(wrist - elbow))
    forearm = (wrist - elbow) / max(reach, 1e-12)
    margin = _MARGIN * max(length, _MIN_HAND_PER_FOREARM * reach)
    low, high = np.minimum(wrist, tip) - margin, np.maximum(wrist, tip) + margin
    cut = float(wrist @ forearm) - _CUT_BEFORE_WRIST * length
    corners = keep_near(corners, low, high)
    low, high, size = _find_hand(corners, (low, high), length, wrist, forearm, cut)
    body = _keep_hand(fill_box(corners, low, high, size), low, size, wrist, forearm, cut)
    if not body.any():
        return None
    box = ndimage.find_objects(body.astype(np.int8))[0]
    is_free = all(part.start > 0 and part.stop < count for part, count in zip(box, body.shape, strict=True))
    solid = VoxelSolid(body[box], low + size * np.array([part.start for part in box]), size)
    start = np.flatnonzero(solid.centers @ forearm < cut + _START_THICKNESS * length)
    return HandSolid(solid, start, length, is_free) if len(start) else None


def _find_hand(
    corners: tuple[Float64Array, Float64Array],
    bounds: tuple[Float64Array, Float64Array],
    length: float,
    wrist: Float64Array,
    forearm: Float64Array,
    cut: float,
) -> tuple[Float64Array, Float64Array, float]:
    """Low and high (3,) of the hand within `bounds`, and the size of cells for it; seen in coarse cells."""
    low, high = bounds
    size = max(length / _COARSE_CELLS, float(np.prod(high - low) / _MAX_COARSE_CELLS) ** (1 / 3))
    inside = fill_box(corners, low, high, size)
    touched = inside | mark_box(corners, low, size, inside.shape)
    hand = _keep_hand(touched, low, size, wrist, forearm, cut - size)
    cells = np.argwhere(hand)
    if not len(cells):
        return low, high, size
    volume = np.count_nonzero(inside & hand) * size**3
    fine = max(length / _CELLS_PER_HAND, (volume / _MAX_CELLS) ** (1 / 3))
    found = [low + size * (extreme(cells, axis=0) + aside) for extreme, aside in ((np.min, -2), (np.max, 2))]
    return np.maximum(low, found[0]), np.minimum(high, found[1]), fine


def _keep_hand(
    cells: BoolArray, low: Float64Array, size: float, wrist: Float64Array, forearm: Float64Array, cut: float
) -> BoolArray:
    """The cells (X, Y, Z) beyond `cut`, metres along the forearm, that hang together at the wrist."""
    along = sum(
        (low[axis] + size * np.arange(count)).reshape([-1 if axis == other else 1 for other in range(3)])
        * forearm[axis]
        for axis, count in enumerate(cells.shape)
    )
    labels, _ = ndimage.label(cells & (along >= cut), NEIGHBORS_26)
    filled = np.argwhere(labels)
    if not len(filled):
        return np.zeros_like(cells)
    seed = filled[np.linalg.norm(low + size * filled - wrist, axis=1).argmin()]
    return np.asarray(labels == labels[tuple(seed)])
