"""How deep a figure's joints lie, from pictures of its sides.

From the front, the depth of a joint is a guess; from a side it is seen. Such a reading counts where the joint
is at the same height in both pictures: one that is hidden, or taken for its counterpart, mostly is not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from ..figure import LANDMARKS, Figure
from ..types import FloatArray
from .turn import measure_turn

_LEVEL = 0.05
"""Largest difference in height of a joint in both pictures, as a share of the figure's."""
_MEASURED = ("blazepose", "hand")
"""What reads landmarks in a side view well enough; from an outline alone the legs are often exchanged."""
_HIPS = [LANDMARKS.index(name) for name in ("left_hip", "right_hip")]


def measure_depths(figure: Figure, sides: Iterable[Figure]) -> Figure:
    """The figure with depths of its landmarks from `sides`: readings of the character's left or right side.

    A depth gets the confidence of the surest reading; those that none shows stay as they were.
    """
    landmarks, trust = figure.landmarks.copy(), figure.depth_confidence.copy()
    for side in sides:
        if side.source not in _MEASURED or side.kind != "side":
            continue
        depth, found = _read_depths(figure, side, 1.0 if measure_turn(side) > 0 else -1.0)
        surer = found > trust
        landmarks[surer, 2], trust[surer] = depth[surer], found[surer]
    return replace(figure, landmarks=landmarks, depth_confidence=trust)


def _read_depths(figure: Figure, side: Figure, forward: float) -> tuple[FloatArray, FloatArray]:
    """Depths (20,) from the pelvis, shares of the front's side, and confidence (20,) of each.

    forward: +1 if the figure looks to the right of the side's picture, -1 to the left.
    """
    heights = [item.box[3] - item.box[1] for item in (figure, side)]
    levels = [
        (item.landmarks[:, 1] - item.box[1]) / height
        for item, height in zip((figure, side), heights, strict=True)
    ]
    pelvis = side.landmarks[_HIPS, 0].mean()
    depth = forward * (side.landmarks[:, 0] - pelvis) * heights[0] / heights[1]
    is_level = np.abs(levels[0] - levels[1]) <= _LEVEL
    return depth.astype(np.float32), np.where(is_level, side.confidence, 0).astype(np.float32)
