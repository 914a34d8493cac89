"""The back of an open jacket is of what its sleeves are of, although a side of the trunk shows the shirt."""

from __future__ import annotations

import numpy as np

from ..types import BoolArray, FloatArray
from .figure_layout import FigureLayout
from .front_details import Materials, count_materials

_SLEEVE = 0.35, 0.5
"""Shares of each arm from which on a material may be its sleeve's, and is; of the hands, it is then skin."""


def favor_sleeves(materials: Materials, support: FloatArray, layout: FigureLayout) -> FloatArray:
    """Support (H, W, C) above the legs in which, where a side shows what both sleeves are of, the rest fades.

    support: (H, W, C), how common each material is at the sides of each pixel's row, see measure_support.
    """
    worn = _find_sleeves(materials, layout)
    shown = (support * (worn == 1)).max(axis=-1, keepdims=True)
    return np.where(layout.legs[..., None], support, support * (worn + (1 - worn) * (1 - shown)))


def _find_sleeves(materials: Materials, layout: FigureLayout) -> FloatArray:
    """How sure (C,), 0..1, each material is one of both sleeves, and not of bare arms: none of the hands."""
    left, _, right, _ = layout.head_box
    is_left = np.arange(layout.arms.shape[1]) < (left + right) / 2
    arms = np.minimum(*(_count_kin(materials, layout.arms & half) for half in (is_left, ~is_left)))
    least, most = _SLEEVE
    is_skin = _count_kin(materials, layout.hands) > most
    return np.where(is_skin, 0.0, np.clip((arms - least) / (most - least), 0, 1))


def _count_kin(materials: Materials, area: BoolArray) -> FloatArray:
    """The share (C,) of an area that is of each material or its shades."""
    return np.asarray(materials.kinship @ count_materials(materials, area))
