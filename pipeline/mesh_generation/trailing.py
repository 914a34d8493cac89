"""Bring wings, tails and loose hair behind the body: from the front they only lie beside it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..figure import PARTS, Figure
from ..types import BoolArray, FloatArray, IntArray
from .depth import Depth
from .relief import smoothstep
from .silhouette import Silhouette, blur_inside, spread_nearest

_HAIR, _PROP = PARTS.index("hair"), PARTS.index("prop")
_HEAD, _TORSO = (_HAIR, PARTS.index("head")), (PARTS.index("torso"),)
_BESIDE_HEAD, _BESIDE_TRUNK = 0.55, 1.1
"""Half width of the head, in heights from crown to neck, and of the trunk, in those between the shoulders,
beyond which a part hangs free."""
_FREE = 1.4
"""The same half widths beyond which it is all the way behind."""
_SURE = 0.55
"""Median confidence of the landmarks up to which the parts of the figure are too unsure to be moved."""
_SPECK = 0.015
"""Half the width of misread specks within a part, as a share of the height."""
_SLENDER = 0.022
"""Largest radius of a staff, as a share of the height."""
_HELD = 0.7
"""Largest area of what a hand may hold, as a share of the trunk's or the head's: wings are larger."""
_HANDS = ("left_wrist", "left_hand", "right_wrist", "right_hand")
_ARMS = tuple(PARTS.index(f"{side}_{name}") for side in ("left", "right") for name in ("arm", "hand"))
_ARMLESS = 0.01
"""Share of a figure up to which arms are misread specks."""
_SOFT = 0.012
"""Share of the height over which the shift fades beside the part."""


def bring_trailing_back(depth: Depth, inside: BoolArray, silhouette: Silhouette, figure: Figure) -> Depth:
    """Return the depth (H, W), in cells, with loose hair and wings as far back as the body's back."""
    if float(np.median(figure.confidence)) <= _SURE:
        return depth
    rows, columns = np.arange(len(inside))[:, None], np.arange(inside.shape[1])
    parts = silhouette.look_up(figure.parts, rows, columns)
    away = _measure_away(rows, columns, silhouette, figure)
    shift = np.zeros(inside.shape, np.float32)
    trailing = ((_HAIR, _HEAD), (_PROP, _TORSO)) if _has_arms(figure) else ((_HAIR, _HEAD),)
    for part, carrier in trailing:
        body = inside & np.isin(parts, carrier) & (away < 1)
        shown = ndimage.binary_closing(parts == part, iterations=round(_SPECK * silhouette.height))
        free = inside & shown & (away > 1)
        if body.any():
            shift -= _drop_fixed(free, body, silhouette, figure) * float(np.median(depth.back[body]))
    shift = blur_inside(shift * smoothstep(away, 1.0, _FREE), inside, _SOFT * silhouette.height)
    return depth._replace(centre=depth.centre + spread_nearest(shift, inside))


def _has_arms(figure: Figure) -> bool:
    """Whether arms were read at all: else what hangs beside the trunk are arms, as a chick's wings."""
    return bool(np.isin(figure.parts, _ARMS).sum() > _ARMLESS * (figure.parts > 0).sum())


def _measure_away(rows: IntArray, columns: IntArray, silhouette: Silhouette, figure: Figure) -> FloatArray:
    """Distance (H, W) from the body's axis, in half widths of the head above the neck, of the trunk below."""
    places = {
        name: silhouette.locate(figure[name])
        for name in ("crown", "neck", "pelvis", "left_shoulder", "right_shoulder")
    }
    neck = places["neck"][1]
    axis = np.interp(rows, (neck, places["pelvis"][1]), (places["neck"][0], places["pelvis"][0]))
    head = _BESIDE_HEAD * (neck - places["crown"][1])
    trunk = _BESIDE_TRUNK / 2 * abs(places["left_shoulder"][0] - places["right_shoulder"][0])
    return np.abs(columns - axis) / np.maximum(np.where(rows < neck, head, trunk), 1.0)


def _drop_fixed(free: BoolArray, body: BoolArray, silhouette: Silhouette, figure: Figure) -> BoolArray:
    """`free` (H, W) without ears and brims, which end above the neck, without staffs and what a hand holds.

    body: (H, W), what carries it.
    """
    labels, count = ndimage.label(free)
    numbers = np.arange(count + 1)
    sizes = np.bincount(labels.ravel())
    radius = ndimage.maximum(ndimage.distance_transform_edt(free), labels, numbers)
    lowest = ndimage.maximum(np.broadcast_to(np.arange(len(free))[:, None], free.shape), labels, numbers)
    stays = (radius < _SLENDER * silhouette.height) | (lowest < silhouette.locate(figure["neck"])[1])
    for name in _HANDS:
        place = np.round(silhouette.locate(figure[name])).astype(int)
        column, row = np.clip(place, 0, (free.shape[1] - 1, len(free) - 1))
        stays[labels[row, column]] |= sizes[labels[row, column]] < _HELD * body.sum()
    return free & ~stays[labels]
