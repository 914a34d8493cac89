"""Removal of capes and other thin sheets that hide the body from the measurements."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..voxel_solid import NEIGHBORS_26, VoxelSolid

_MIN_SHEET_VOLUME = 0.02
"""Share of the body's cells."""
_MIN_SHEET_SPAN = 0.15
"""Share of the body's height, in two directions."""


def strip_sheets(solid: VoxelSolid) -> VoxelSolid:
    """Return the body without its sheets: large parts, at most two cells thick and wide in two directions.

    A body that is nothing but sheets is returned as it is.
    """
    thick = np.asarray(ndimage.binary_opening(solid.cells, NEIGHBORS_26))
    labels, count = ndimage.label(solid.cells & ~thick)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    height = float(np.ptp(solid.indices[:, 1]) + 1)
    boxes, sheets = ndimage.find_objects(labels), []
    for number in 1 + np.flatnonzero(sizes[1:] > _MIN_SHEET_VOLUME * len(solid.indices)):
        spans = sorted(part.stop - part.start for part in boxes[number - 1])
        if spans[1] > _MIN_SHEET_SPAN * height:
            sheets.append(int(number))
    if not sheets:
        return solid
    bodies, count = ndimage.label(solid.cells & ~np.isin(labels, sheets), NEIGHBORS_26)
    if not count:
        return solid
    return VoxelSolid(bodies == 1 + int(np.argmax(np.bincount(bodies.ravel())[1:])), solid.origin, solid.size)
