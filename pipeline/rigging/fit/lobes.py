"""Limbs of a figure without human form: only where its outline has two legs, or two arms beside the trunk."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from ...types import BoolArray, Int64Array
from .arms import Arm
from .front_view import FrontView
from .proportions import is_believable_arm
from .torso import Torso, move_neck

# Shares of the height.
_LOW = 0.05
"""Where legs stand apart."""
_LEG_GAP, _ARM_GAP = (0.1, 0.62), (0.08, 0.6)
"""Height of the gap between two legs, and between an arm and the trunk."""
_SYMMETRIC, _ASIDE = 0.7, 0.15
"""Overlap (IoU) of the outline with its mirror image, of which animals seen from the side have less, and
how far from the mirror limbs may be centered, as a share of the width."""
_UNEQUAL = 2.5
"""Width of the broader leg in widths of the other beyond which they are no pair."""


def find_legs(view: FrontView, torso: Torso) -> Torso | None:
    """Return the torso with the crotch between two legs that stand apart; None if no two do."""
    filled = view.filled
    gaps, _ = _label_gaps(filled)
    rows = np.flatnonzero(filled.any(axis=0))
    low = int(rows[0] + round(_LOW * len(rows)))
    found = np.unique(gaps[:, low][gaps[:, low] > 0])
    if len(found) != 1:
        return None
    gap = gaps == found[0]
    levels = np.flatnonzero(gap.any(axis=0))
    middles = np.array([np.flatnonzero(gap[:, row]).mean() for row in levels])
    inside = [np.flatnonzero(gap[:, row])[[0, -1]] for row in levels]
    widths = [
        [_measure_run(filled[:start, row][::-1]), _measure_run(filled[stop + 1 :, row])]
        for row, (start, stop) in zip(levels, inside, strict=True)
    ]
    narrow, broad = np.sort(np.median(widths, axis=0))
    is_deep = _LEG_GAP[0] <= (levels[-1] - rows[0]) / len(rows) <= _LEG_GAP[1]
    if not is_deep or broad > _UNEQUAL * narrow or not _is_symmetric(filled, float(middles[-1])):
        return None
    columns = np.full(len(torso.rows), np.nan)
    below = np.arange(rows[0], levels[-1] + 1)
    columns[below] = np.interp(below, levels, middles)
    valley = float(view.solid.origin[0]) + view.solid.size * columns
    return replace(
        torso,
        middle=float(valley[levels[-1]]),
        crotch=float(torso.rows[levels[-1]]),
        valley=valley,
        has_legs=True,
        has_hem=False,
    )


def find_arms(view: FrontView, torso: Torso) -> Torso | None:
    """Return the torso with a neck above two arms that hang beside it; None if no two do."""
    middle = float(torso.middle - view.solid.origin[0]) / view.solid.size
    if not _is_symmetric(view.filled, middle):
        return None
    gaps, count = _label_gaps(view.filled)
    height = int(view.filled.any(axis=0).sum())
    tops: dict[bool, float] = {}
    for part in ndimage.find_objects(gaps, count):
        columns, rows = part
        top = float(torso.rows[rows.stop - 1])
        is_gap = _ARM_GAP[0] <= (rows.stop - rows.start) / height <= _ARM_GAP[1] and top > torso.crotch
        if is_gap and not columns.start <= middle < columns.stop:
            side = columns.start > middle
            tops[side] = max(top, tops.get(side, top))
    if len(tops) < 2:
        return None
    armpit = 0.5 * sum(tops.values())
    return torso if torso.has_neck and torso.neck > armpit else move_neck(torso, armpit)


def are_arms(arms: dict[str, Arm], torso: Torso) -> bool:
    """Whether both arms are apart from the body, from the armpits to the hands, and are believable."""
    pairs = zip(arms.values(), (1, -1), strict=True)
    return all(
        arm.is_free and not arm.is_fused and is_believable_arm(arm, torso, side) for arm, side in pairs
    )


def _is_symmetric(filled: BoolArray, middle: float) -> bool:
    """Whether the outline (X, Y) is about its own mirror image, around some column near `middle`."""
    x, y = np.nonzero(filled)
    reach = _ASIDE * np.ptp(x)
    for center in np.arange(middle - reach, middle + reach, 0.5):
        mirrored = np.rint(2 * center - x).astype(int)
        inside = (mirrored >= 0) & (mirrored < len(filled))
        both = int(filled[mirrored[inside], y[inside]].sum())
        if both >= _SYMMETRIC * (2 * len(x) - both):
            return True
    return False


def _label_gaps(filled: BoolArray) -> tuple[Int64Array, int]:
    """Labels (X, Y) from 1 of what is empty between filled cells of its row, and their count."""
    before, after = (np.logical_or.accumulate(filled[::step], axis=0)[::step] for step in (1, -1))
    labels, count = ndimage.label(before & after & ~filled)
    return labels.astype(np.int64), int(count)


def _measure_run(row: BoolArray) -> int:
    """Number of cells (X,) up to the first empty one."""
    return len(row) if row.all() else int(np.argmin(row))
