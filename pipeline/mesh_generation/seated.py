"""Legs of a sitting figure: from the front its thighs, or legs that point to the viewer, are only short."""

from __future__ import annotations

import numpy as np

from ..figure import PARTS, Figure, shows_soles
from ..types import BoolArray, FloatArray
from .depth import Depth
from .silhouette import Silhouette, blur_inside, spread_nearest

_THIGH = 0.85
"""Length of the thigh, in shins."""
_AHEAD = 0.4
"""How far soles lie before the belly, in lengths of the trunk."""
_LEGS = tuple(PARTS.index(name) for name in ("left_leg", "right_leg", "left_foot", "right_foot", "clothes"))
_BARE_LEGS, _TORSO = _LEGS[:-1], (PARTS.index("torso"),)
_SOFT = 0.012
"""Share of the height over which the shift fades beside the legs."""


def sit_down(depth: Depth, inside: BoolArray, silhouette: Silhouette, figure: Figure) -> Depth:
    """Return the depth (H, W), in cells, over `inside` (H, W), with the legs of one who sits."""
    if figure.source != "blazepose" and shows_soles(figure.parts):  # BlazePose knows where the knees are
        return reach_out(depth, inside, silhouette, figure)
    return depth._replace(centre=bring_knees_forward(depth.centre, inside, silhouette, figure))


def reach_out(depth: Depth, inside: BoolArray, silhouette: Silhouette, figure: Figure) -> Depth:
    """Lengthen legs of which the soles are seen towards the viewer, until these are before the belly."""
    rows, columns = np.arange(len(inside))[:, None], np.arange(inside.shape[1])
    parts = silhouette.look_up(figure.parts, rows, columns)
    legs, belly = (inside & np.isin(parts, names) for names in (_BARE_LEGS, _TORSO))
    if not belly.any():
        return depth
    front = depth.centre + depth.front
    neck, pelvis = (silhouette.locate(figure[name])[1] for name in ("neck", "pelvis"))
    wanted = float(np.quantile(front[belly], 0.9)) + _AHEAD * float(pelvis - neck)
    half = max(wanted - float(np.quantile(front[legs], 0.9)), 0.0) / 2
    more = half * spread_nearest(
        blur_inside(legs.astype(np.float32), inside, _SOFT * silhouette.height), inside
    )
    return Depth(depth.centre + more, depth.front + more, depth.back + more)


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
