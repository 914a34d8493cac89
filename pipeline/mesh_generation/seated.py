"""Bring the knees of a sitting figure forward: from the front its thighs are only short."""

from __future__ import annotations

import numpy as np

from ..figure import PARTS, Figure
from ..types import BoolArray, FloatArray
from .silhouette import Silhouette, blur_inside, spread_nearest

_THIGH = 0.85
"""Length of the thigh, in shins."""
_LEGS = tuple(PARTS.index(name) for name in ("left_leg", "right_leg", "left_foot", "right_foot", "clothes"))
_SOFT = 0.012
"""Share of the height over which the shift fades beside the legs."""


def bring_knees_forward(
    centre: FloatArray, inside: BoolArray, silhouette: Silhouette, figure: Figure
) -> FloatArray:
    """Return centre (H, W), in cells, over `inside` (H, W), thighs leading forward, shins down."""
    places = {
        name: np.mean([silhouette.locate(figure[f"{side}_{name}"]) for side in ("left", "right")], axis=0)
        for name in ("hip", "knee", "ankle")
    }
    hip, knee, ankle = (float(places[name][1]) for name in ("hip", "knee", "ankle"))
    if not hip < knee < ankle:
        return centre
    thigh = _THIGH * (ankle - knee)
    forward = float(np.sqrt(max(thigh**2 - (knee - hip) ** 2, 0.0)))
    rows = np.arange(len(centre))
    shift = np.interp(rows, (hip, knee), (0.0, forward))
    parts = silhouette.look_up(figure.parts, rows[:, None], np.arange(centre.shape[1]))
    legs = np.isin(parts, _LEGS) & (rows > hip)[:, None]
    # Blurred within the figure only, or the outline would stay behind.
    share = spread_nearest(blur_inside(legs.astype(np.float32), inside, _SOFT * silhouette.height), inside)
    return centre + (shift[:, None] * share).astype(np.float32)
