"""The back of an open jacket is of what its sleeves are of, although a side of the trunk shows the shirt."""

from __future__ import annotations

import numpy as np

from ..types import BoolArray, FloatArray
from .figure_layout import FigureLayout
from .front_details import Materials

_SLEEVE = 0.5
"""Share of each arm from which on a material is its sleeve's; share of the hands from which on it is skin."""


def favor_sleeves(materials: Materials, support: FloatArray, layout: FigureLayout) -> FloatArray:
    """Support (H, W, C) above the legs in which, where a side shows what both sleeves are of, the rest fades.

    support: (H, W, C), how common each material is at the sides of each pixel's row, see measure_support.
    """
    sleeve = _find_sleeve(materials, layout)
    if sleeve is None:
        return support
    like, shown = materials.kinship[sleeve], support[..., sleeve]
    faded = support * (like + (1 - like) * (1 - shown[..., None]))
    return np.where(layout.legs[..., None], support, faded)


def _find_sleeve(materials: Materials, layout: FigureLayout) -> int | None:
    """The material that both arms are of, but not the hands."""
    left, _, right, _ = layout.head_box
    is_left = np.arange(layout.arms.shape[1]) < (left + right) / 2
    arms = np.minimum(*(_count_kin(materials, layout.arms & half) for half in (is_left, ~is_left)))
    sleeve = int(arms.argmax())
    is_skin = _count_kin(materials, layout.hands)[sleeve] > _SLEEVE
    return None if arms[sleeve] < _SLEEVE or is_skin else sleeve


def _count_kin(materials: Materials, area: BoolArray) -> FloatArray:
    """The share (C,) of an area that is of each material or its shades."""
    labels = materials.labels[area]
    shares = np.bincount(labels[labels >= 0], minlength=len(materials.colors)) / max(1, len(labels))
    return np.asarray(materials.kinship @ shares)
