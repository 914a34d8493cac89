"""The silhouette from the side, on the grid of the front's: how deep the figure is at each height."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from ..types import BoolArray, FloatArray, FramedPicture
from .silhouette import Silhouette, measure_local_thickness

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
    runs = ndimage.label(core, structure=[[0, 0, 0], [1, 1, 1], [0, 0, 0]])[0]
    lengths = np.bincount(runs.ravel())
    lengths[0] = 0
    kept = np.zeros_like(core)
    if not lengths.any():
        return kept
    start = int(np.nonzero(runs == lengths.argmax())[0][0])
    kept[start] = runs[start] == lengths.argmax()
    rows = np.arange(len(core))
    for way in (rows[start:], rows[start::-1]):
        last = start
        for before, row in pairwise(way):
            last = before if kept[before].any() else last
            found = np.bincount(runs[row][kept[last]], minlength=1)
            found[0] = 0
            if found.any():
                kept[row] = runs[row] == found.argmax()
            elif runs[row].any():
                kept[row] = runs[row] == np.argmax(
                    np.where(np.isin(np.arange(len(lengths)), runs[row]), lengths, 0)
                )
    return kept


def _resample(picture: FramedPicture, height: float) -> FloatArray:
    """Alpha of the subject, `height` cells tall, with a margin on all sides but the ground's."""
    rows, columns = (np.flatnonzero(picture.mask.any(axis=axis)) for axis in (1, 0))
    step = (rows[-1] + 1 - rows[0]) / height
    shape = round(height) + 2 * _MARGIN, round((columns[-1] + 1 - columns[0]) / step) + 2 * _MARGIN
    pad = int(np.ceil(_MARGIN * step)) + 2
    left, top = columns[0] - _MARGIN * step + pad, rows[0] - _MARGIN * step + pad
    image = Image.fromarray(np.pad(picture.rgba[..., 3], pad))
    box = (left, top, left + shape[1] * step, top + shape[0] * step)
    alpha = np.asarray(image.resize(shape[::-1], Image.Resampling.HAMMING, box=box))
    return ndimage.gaussian_filter(alpha, _RAMP)[: shape[0] - _MARGIN]


def _widen(alpha: FloatArray, width: int) -> FloatArray:
    """Alpha with nothing at both sides, `width` columns in all."""
    left = (width - alpha.shape[1]) // 2
    return np.pad(alpha, ((0, 0), (left, width - alpha.shape[1] - left)))
