"""The silhouette from the side, on the grid of the front's: how deep the figure is at each height."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from ..types import BoolArray, FloatArray, FramedPicture, IntArray
from .silhouette import Silhouette, label_rows, measure_local_thickness

_RAMP = 0.7
_MARGIN = 4
_CORE = 0.3
"""Parts thinner than this share of the thickest at their height stick out: noses, tails, tufts of hair."""
_SHALLOW = 0.025
"""What sticks out no farther than this share of the height still belongs to the core."""


class Profile(NamedTuple):
    """Rows are levels that count up from the ground, columns run from back to front, both in cells.

    distance: (P, D) float32, cells to the outline, positive inside. core: (P, D) bool, without what sticks
    out, one run a level. thickness: (P, D) float32, radius of the part that each cell is in.
    """

    distance: FloatArray
    core: BoolArray
    thickness: FloatArray

    @property
    def inside(self) -> BoolArray:
        """(P, D) bool."""
        return self.distance > 0


def read_profile(silhouette: Silhouette, sides: Mapping[str, FramedPicture]) -> Profile | None:
    """The profile of the left or the right picture, or between both; None without one."""
    mirrored = {"left": -1, "right": 1}
    alphas = [
        _resample(sides[name], silhouette.height)[::-1, ::step]
        for name, step in mirrored.items()
        if name in sides
    ]
    if not alphas:
        return None
    width = max(alpha.shape[1] for alpha in alphas)
    return make_profile(np.mean([measure_distance(_widen(alpha, width)) for alpha in alphas], axis=0))


def make_profile(distance: FloatArray) -> Profile:
    """The profile of signed distances (P, D): row 0 on the ground, the front at the last columns."""
    inside = distance > 0
    thickness = measure_local_thickness(np.pad(inside, 2))[2:-2, 2:-2] * inside
    core = inside & (thickness >= _CORE * thickness.max(axis=1, keepdims=True))
    near = ndimage.distance_transform_edt(~core) <= _SHALLOW * len(core)
    return Profile(distance.astype(np.float32), _follow_trunk(inside & near), thickness)


def measure_distance(alpha: FloatArray) -> FloatArray:
    """Signed distance (H, W), in cells, to where alpha (H, W) crosses one half; positive inside."""
    inside = alpha > 0.5
    if not inside.any():
        return np.full(alpha.shape, -float(max(alpha.shape)), np.float32)
    distance = ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
    return np.where(np.abs(distance) <= 1, 2 * alpha - 1, distance - 0.5 * np.sign(distance)).astype(
        np.float32
    )


def _follow_trunk(core: BoolArray) -> BoolArray:
    """One run of each row of the core: of the largest row the longest, of others what goes on from there."""
    runs, kept = label_rows(core), np.zeros_like(core)
    if not core.any():
        return kept
    longest = _find_most(runs.ravel())
    start = int(np.nonzero(runs == longest)[0][0])
    kept[start] = runs[start] == longest
    rows = np.arange(len(core))
    for way in (rows[start + 1 :], rows[:start][::-1]):
        last = start
        for row in way[core[way].any(axis=1)]:
            kept[row] = runs[row] == (_find_most(runs[row][kept[last]]) or _find_most(runs[row]))
            last = row
    return kept


def _find_most(numbers: IntArray) -> int:
    """The commonest of numbers (N,) beside 0; 0 if there is none."""
    counts = np.bincount(numbers, minlength=1)
    counts[0] = 0
    return int(counts.argmax())


def _resample(picture: FramedPicture, height: float) -> FloatArray:
    """Alpha of the subject, `height` cells tall, with a margin on all sides but the ground's."""
    left, top, right, bottom = picture.box
    step = (bottom - top) / height
    shape = round(height) + 2 * _MARGIN, round((right - left) / step) + 2 * _MARGIN
    pad = int(np.ceil(_MARGIN * step)) + 2
    x, y = left - _MARGIN * step + pad, top - _MARGIN * step + pad
    image = Image.fromarray(np.pad(picture.rgba[..., 3], pad))
    box = (x, y, x + shape[1] * step, y + shape[0] * step)
    alpha = np.asarray(image.resize(shape[::-1], Image.Resampling.HAMMING, box=box))
    return ndimage.gaussian_filter(alpha, _RAMP)[: shape[0] - _MARGIN]


def _widen(alpha: FloatArray, width: int) -> FloatArray:
    """Alpha with nothing at both sides, `width` columns in all."""
    left = (width - alpha.shape[1]) // 2
    return np.pad(alpha, ((0, 0), (left, width - alpha.shape[1] - left)))
