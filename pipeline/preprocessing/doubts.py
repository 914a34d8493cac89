"""What a person should know about a cut-out, and what to do about it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..types import BoolArray, FloatArray

_TOUCH = 0.02
"""Share of a picture's side that a subject cut off there covers."""
_CROSS = 0.35
"""Share of the subject's extent, where the picture is cropped to the subject and soles may touch its side."""
_DEEPER, _GOES_ON = 0.012, 0.75
"""Depth below the side, as a share of the height, and share of the width there from which on the subject goes
on beyond the side: soles, crowns and fingertips that only touch it are round."""
_MIN_PIXELS = 120
_MAX_ASPECT = 1.6
"""Times the height: wings and outstretched arms are narrower."""
_LOST = {
    "top": "the top of the head is outside the picture",
    "bottom": "the feet are outside the picture",
    "left": "the figure is cut off at the picture's left",
    "right": "the figure is cut off at the picture's right",
}


_ADVICE = ": use one that shows the whole figure"
FEET_OUTSIDE = _LOST["bottom"] + _ADVICE


def find_doubts(alpha: FloatArray) -> tuple[str, ...]:
    """Warnings about the cut-out of alpha (H, W), before it is framed; none about a good one."""
    subject = alpha >= 0.5
    rows, columns = (np.flatnonzero(subject.any(axis=axis)) for axis in (1, 0))
    height, width = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
    doubts = [_LOST[side] + _ADVICE for side in _find_cut_sides(subject, height, width)]
    if max(height, width) < _MIN_PIXELS:
        doubts.append(
            f"the figure is only {width} x {height} pixels large: use a larger picture for a sharp texture"
        )
    if width > _MAX_ASPECT * height:
        doubts.append(
            f"the figure is {width / height:.1f} times as wide as tall: "
            "use a picture of one that stands upright"
        )
    return tuple(doubts)


def _find_cut_sides(subject: BoolArray, height: int, width: int) -> list[str]:
    turned = {"top": subject, "bottom": subject[::-1], "left": subject.T, "right": subject.T[::-1]}
    touched = [side for side, lines in turned.items() if lines[0].any()]
    deeper = max(1, round(_DEEPER * height))
    going_on = [side for side in touched if _goes_on(turned[side][: deeper + 1])]
    if len(touched) < 3:
        return [side for side in going_on if turned[side][0].mean() > _TOUCH]
    extents = {"top": width, "bottom": width, "left": height, "right": height}
    return [side for side in going_on if _longest_run(turned[side][0]) > _CROSS * extents[side]]


def _goes_on(lines: BoolArray) -> bool:
    """Whether the subject is hardly narrower on the first line than on the last."""
    return bool(lines[0].sum() > _GOES_ON * lines[-1].sum())


def _longest_run(line: BoolArray) -> int:
    labels, _ = ndimage.label(line)
    return int(np.bincount(labels)[1:].max())
