"""The several figures of a picture: told apart, and one of them chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ..errors import PictureError
from ..types import BoolArray, FloatArray, IntArray

_SIDE = 512
_BRIDGE = 0.006
"""Parts closer than twice this share of the longer side belong together."""
_MIN_AREA, _MIN_HEIGHT = 0.2, 0.5
"""A separate part is a figure if it is this large compared to the largest and the tallest one."""
_MIN_TOUCHING_AREA, _MIN_TOUCHING_HEIGHT = 0.4, 0.75
"""The same for figures that touch: wings and twin tails are smaller."""
_VALLEY = 0.06
"""Figures are split where they touch over less than this share of their height."""
_NEARLY = 0.85
_SAME_COLORS = 0.6
_BINS = 6
_MARGIN = 0.1
"""Around a figure that is shown alone, as a share of its longer side."""
_SOFT = 4
"""Width of the soft edges of the others in pixels."""


class Figures(NamedTuple):
    """regions: (N, H, W) bool from left to right. is_sheet: whether they are views of one character."""

    regions: BoolArray
    is_sheet: bool


def find_figures(rgb: FloatArray, alpha: FloatArray) -> Figures:
    """Tell the figures of alpha (H, W) apart; every pixel of at least one half belongs to one of them.

    rgb: (H, W, 3). Figures that touch are split where they clearly only touch, else taken as one.
    """
    subject = alpha >= 0.5
    step = max(1, max(alpha.shape) // _SIDE)
    if _label_parts(subject[::step, ::step]).max() < 2:
        return Figures(subject[None], False)
    labels = _label_parts(subject)
    count = int(labels.max())
    regions = np.stack([labels == index for index in range(1, count + 1)])
    order = np.argsort([np.flatnonzero(region.any(axis=0)).mean() for region in regions], kind="stable")
    regions = regions[order]
    return Figures(regions, count > 1 and _is_sheet(rgb, regions))


def choose_figure(figures: Figures, index: int | None) -> tuple[int, str]:
    """Return the index of the figure to use, from left to right, and a warning, empty if there is only one.

    index: the one that a person asks for; None for the first view of a sheet, else the largest, or the most
    central of nearly equal ones. PictureError if there are not so many.
    """
    count = len(figures.regions)
    if index is not None:
        if not 0 <= index < max(count, 1):
            raise PictureError(f"figure is {index}, but {count} figures were found: 0 to {count - 1} exist")
        return index, ""
    if count < 2:
        return 0, ""
    chosen = _choose(figures)
    others = f"pass figure=0 to {count - 1}, counted from the left, for another one"
    if figures.is_sheet:
        return chosen, f"{count} views of one character found, number {chosen} was used: {others}"
    return chosen, f"{count} figures found, number {chosen} was used: crop the picture, or {others}"


def show_alone(regions: BoolArray, chosen: int) -> tuple[tuple[slice, ...], BoolArray]:
    """The window around one of the regions (N, H, W), and where in it the others are, soft edges too."""
    rows, columns = (np.flatnonzero(regions[chosen].any(axis=axis)) for axis in (1, 0))
    margin = round(_MARGIN * max(np.ptp(rows), np.ptp(columns)))
    window = tuple(slice(max(0, line[0] - margin), line[-1] + 1 + margin) for line in (rows, columns))
    others = np.logical_or.reduce(np.delete(regions, chosen, axis=0))[window]
    return window, ndimage.binary_dilation(others, iterations=_SOFT) & ~regions[chosen][window]


def _choose(figures: Figures) -> int:
    area = figures.regions.sum(axis=(1, 2))
    equal = np.flatnonzero(area >= _NEARLY * area.max())
    if figures.is_sheet:
        # Sheets begin with the front; views from the side are narrower.
        widths = np.array([np.ptp(np.flatnonzero(region.any(axis=0))) for region in figures.regions])
        return int(np.flatnonzero(widths >= _NEARLY * widths.max())[0])
    width = figures.regions.shape[2]
    centers = [np.flatnonzero(figures.regions[k].any(axis=0)).mean() for k in equal]
    return int(equal[np.argmin(np.abs(np.array(centers) - width / 2))])


def _label_parts(subject: BoolArray) -> IntArray:
    """Labels (H, W) from 1 of the figures of `subject`; smaller parts go to the nearest figure."""
    reach = max(1, round(_BRIDGE * max(subject.shape)))
    joined = ndimage.distance_transform_edt(~subject) <= reach
    labels, count = ndimage.label(joined, structure=np.ones((3, 3)))
    labels = np.where(subject, labels, 0)
    parts = [part for index in range(1, count + 1) for part in _split_touching(labels == index)]
    kept = _large(parts, _MIN_AREA, _MIN_HEIGHT)
    if not kept:
        return np.zeros(subject.shape, dtype=np.int32)
    seeds = np.zeros(subject.shape, dtype=np.int32)
    for index, part in enumerate(kept, start=1):
        seeds[part] = index
    if (seeds > 0).sum() == subject.sum():
        return seeds
    nearest = ndimage.distance_transform_edt(seeds == 0, return_distances=False, return_indices=True)
    return np.where(subject, seeds[tuple(nearest)], 0)


def _split_touching(region: BoolArray) -> list[BoolArray]:
    """Split region (H, W) at columns where figures that stand side by side only touch."""
    columns = region.sum(axis=0)
    height = _height(region)
    used = np.flatnonzero(columns)
    if len(used) == 0 or np.ptp(used) < 0.6 * height:
        return [region]
    narrow, count = ndimage.label((columns <= _VALLEY * height) & (np.arange(len(columns)) > used[0]))
    for index in range(1, count + 1):
        valley = np.flatnonzero(narrow == index)
        middle = int(valley[np.argmin(columns[valley])])
        sides = [region.copy(), region.copy()]
        sides[0][:, middle:] = False
        sides[1][:, :middle] = False
        if len(_large(sides, _MIN_TOUCHING_AREA, _MIN_TOUCHING_HEIGHT)) == 2:
            return [part for side in sides for part in _split_touching(side)]
    return [region]


def _large(parts: Sequence[BoolArray], area: float, height: float) -> list[BoolArray]:
    """Those of the parts that are not much smaller than the largest and the tallest one."""
    sizes, heights = [int(part.sum()) for part in parts], [_height(part) for part in parts]
    return [
        part
        for part, size, tall in zip(parts, sizes, heights, strict=True)
        if size >= area * max(sizes) > 0 and tall >= height * max(heights)
    ]


def _height(region: BoolArray) -> int:
    rows = np.flatnonzero(region.any(axis=1))
    return int(np.ptp(rows)) + 1 if len(rows) else 0


def _is_sheet(rgb: FloatArray, regions: BoolArray) -> bool:
    """Whether all are equally tall, stand on one line and have the same colors."""
    rows = [np.flatnonzero(region.any(axis=1)) for region in regions]
    top, bottom = np.array([row[0] for row in rows]), np.array([row[-1] for row in rows])
    height = float((bottom - top).max()) + 1
    if np.ptp(top) > 0.12 * height or np.ptp(bottom) > 0.06 * height:
        return False
    cells = (np.clip(rgb, 0, 1) * (_BINS - 1e-3)).astype(int) @ np.array([1, _BINS, _BINS**2])
    colors = [np.bincount(cells[region], minlength=_BINS**3) / region.sum() for region in regions]
    return all(np.minimum(colors[0], other).sum() >= _SAME_COLORS for other in colors[1:])
