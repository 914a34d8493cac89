"""Bring the knees of a sitting figure forward: from the front its thighs are only short."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..figure import PARTS, Figure
from ..types import BoolArray, Float64Array, FloatArray
from .silhouette import Silhouette, blur_inside

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
        name: np.mean([_place(silhouette, figure, f"{side}_{name}") for side in ("left", "right")], axis=0)
        for name in ("hip", "knee", "ankle")
    }
    hip, knee, ankle = (float(places[name][1]) for name in ("hip", "knee", "ankle"))
    if not hip < knee < ankle:
        return centre
    thigh = _THIGH * (ankle - knee)
    forward = float(np.sqrt(max(thigh**2 - (knee - hip) ** 2, 0.0)))
    rows = np.arange(len(centre))
    shift = np.interp(rows, (hip, knee), (0.0, forward))
    legs = _sample_legs(silhouette, figure, centre.shape) & (rows > hip)[:, None]
    # Blurred within the figure only, or the outline would stay behind.
    near = ndimage.distance_transform_edt(~inside, return_distances=False, return_indices=True)
    share = blur_inside(legs.astype(np.float32), inside, _SOFT * silhouette.height)[tuple(near)]
    return centre + (shift[:, None] * share).astype(np.float32)


def _place(silhouette: Silhouette, figure: Figure, name: str) -> Float64Array:
    return (figure[name][:2].astype(np.float64) * silhouette.side - silhouette.origin) / silhouette.step


def _sample_legs(silhouette: Silhouette, figure: Figure, shape: tuple[int, int]) -> BoolArray:
    """Where the parts below the hips are legs or what covers them, (H, W) bool."""
    size = len(figure.parts)
    row, column = (
        np.clip((start + (np.arange(count) + 0.5) * silhouette.step) * size / silhouette.side, 0, size - 1)
        for start, count in zip(silhouette.origin[::-1], shape, strict=True)
    )
    return np.isin(figure.parts[np.ix_(row.astype(int), column.astype(int))], _LEGS)
