"""Cloth that hides the body: capes and other thin sheets are taken off before the body is measured."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..voxel_solid import VoxelSolid

_EVERY_NEIGHBOUR = np.ones((3, 3, 3), dtype=bool)
_LEAST_SHEET = 0.02
_SHEET_SPAN = 0.15


def strip_sheets(solid: VoxelSolid) -> VoxelSolid:
    """The body without parts at most two cells thick that are sheets: large, and wide in two directions."""
    thick = np.asarray(ndimage.binary_opening(solid.cells, _EVERY_NEIGHBOUR))
    labels, count = ndimage.label(solid.cells & ~thick)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    height = float(np.ptp(solid.indices[:, 1]) + 1)
    boxes, sheets = ndimage.find_objects(labels), []
    for number in 1 + np.flatnonzero(sizes[1:] > _LEAST_SHEET * len(solid.indices)):
        spans = sorted(part.stop - part.start for part in boxes[number - 1])
        if spans[1] > _SHEET_SPAN * height:
            sheets.append(int(number))
    if not sheets:
        return solid
    bodies, _ = ndimage.label(solid.cells & ~np.isin(labels, sheets), _EVERY_NEIGHBOUR)
    return VoxelSolid(bodies == 1 + int(np.argmax(np.bincount(bodies.ravel())[1:])), solid.origin, solid.size)
