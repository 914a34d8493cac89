"""How far the front and the back of the figure lie from the picture plane, from what was read of its body."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ..figure import PARTS
from ..figure.network import MARGIN, SIDE, BodyReading
from ..types import BoolArray, FloatArray
from .ground import Ground
from .poisson import solve_roundness
from .relief import emboss, read_relief, smoothstep
from .silhouette import Silhouette, blur_inside, measure_local_thickness, spread_nearest
from .silhouette_triangulation import Outline

_RIM, _BLUR, _PLAIN = 1.5, 0.8, 1.0
"""In the network's cells: distance from the outline within which depth is not resolved; smoothing of the
depth, and of the outline."""
_THIN, _WIDE = 1.2, 2.6
"""Local radius, in the network's cells, up to which a part is round and from which it is as deep as read."""
_PARTED, _DEEPEST = 0.75, 1.3
"""Local radius beside narrow gaps, relative to that without them, up to which a limb is no deeper than so
many times its width: the network reads what is on both sides as one."""
_SLENDER = [PARTS.index(f"{side}_{name}") for side in ("left", "right") for name in ("arm", "hand", "leg")]
_SLENDER.append(PARTS.index("clothes"))


class Depth(NamedTuple):
    """centre, front, back: (H, W) cells; the figure fills centre - back .. centre + front."""

    centre: FloatArray
    front: FloatArray
    back: FloatArray


def sample_depth(silhouette: Silhouette, outline: Outline, ground: Ground, body: BodyReading) -> Depth:
    """Sample front and back of the reading over `ground.extended` (H, W); thin parts are round."""
    inside = ground.extended
    cell = max(silhouette.inside.any(axis=axis).sum() for axis in (0, 1)) / ((1 - 2 * MARGIN) * SIDE)
    plain = _close_gaps(inside, cell)
    distance = _measure_distance(inside, plain)
    resolved = distance >= cell
    resolved |= inside & (ndimage.distance_transform_edt(~resolved) > 2 * cell)
    front, back = (
        blur_inside(spread_nearest(_sample(plane, silhouette, inside.shape), resolved), inside, _BLUR * cell)
        for plane in (body.front, body.back)
    )
    half_squared = np.maximum(0.5 * (front - back), 0.0) ** 2 * np.clip(distance / (_RIM * cell), 0.0, 1.0)
    radius = measure_local_thickness(inside)
    wide = smoothstep(blur_inside(radius, inside, cell) / cell, _THIN, _WIDE)
    round_squared = solve_roundness(inside, outline)
    parted = _find_slender(silhouette, body, inside.shape)
    parted &= radius < _PARTED * measure_local_thickness(plain)[: len(inside)]
    share = blur_inside(parted.astype(np.float32), inside, cell)
    half_squared += share * np.minimum(_DEEPEST**2 * round_squared - half_squared, 0.0)
    half = np.sqrt(np.where(inside, half_squared * wide + round_squared * (1 - wide), 0.0), dtype=np.float32)
    return Depth(0.5 * (front + back), emboss(half, read_relief(silhouette, inside)), half)


def _find_slender(silhouette: Silhouette, body: BodyReading, shape: tuple[int, int]) -> BoolArray:
    """Where (H, W) the reading has arms, hands, legs and trousers; feet are longer than they are wide."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.isin(silhouette.look_up(body.parts, rows, columns), _SLENDER)


def _close_gaps(inside: BoolArray, cell: float) -> BoolArray:
    """The region (H + 4 cells, W) without the outline's teeth and without narrow gaps.

    The lowest row of `inside` lies below the ground, which is no rim.
    """
    padded = np.pad(inside, ((0, int(4 * cell)), (0, 0)), mode="edge").astype(np.float32)
    return ndimage.gaussian_filter(padded, _PLAIN * cell) > 0.5


def _measure_distance(inside: BoolArray, plain: BoolArray) -> FloatArray:
    """Distance (H, W) of each cell from the plain outline: teeth must not cut through the sides."""
    distance = ndimage.distance_transform_edt(plain)[: len(inside)] - 0.5
    return blur_inside(np.maximum(distance, 0.0), inside, 1.0)


def _sample(plane: FloatArray, silhouette: Silhouette, shape: tuple[int, int]) -> FloatArray:
    """Resample plane (N, N) of the framed picture, NaN outside the subject, to `shape` cells of the grid."""
    filled = spread_nearest(plane, np.isfinite(plane))
    y, x = silhouette.to_picture(np.arange(shape[0]), np.arange(shape[1]), len(plane))
    places = np.meshgrid(y - 0.5, x - 0.5, indexing="ij")
    values = ndimage.map_coordinates(filled, places, order=1, mode="nearest")
    return values * (silhouette.side / silhouette.step)
