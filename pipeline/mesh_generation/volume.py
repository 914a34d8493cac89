"""The figure as a field in space: sheets and what sticks out of them, within the outlines of all views."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..types import BoolArray, FloatArray, IntArray
from .depth import Depth
from .ground import Ground
from .profile import Profile, measure_distance
from .protrusions import Protrusion, find_protrusions
from .silhouette import Silhouette, measure_local_thickness, spread_nearest

_MOST_CELLS = 5e6
_REACH, _SOFT = 4.0, 1.2
"""Cells from the surface up to which the field is kept, and over which it is smoothed."""
_DEEPEST, _LONGEST = 2.2, 5.0
"""Depth of a part to either side at most, in those that it would have if it were round; that of feet."""
_FEET = 0.08
"""Height of feet, as a share of the figure's."""
_LEAST = 0.8
_MARGIN = 2


def lift_volume(
    silhouette: Silhouette, depth: Depth, ground: Ground, profile: Profile, bare: Profile, shift: float
) -> tuple[FloatArray, IntArray]:
    """Positions (V, 3) float32, in cells, and faces (F, 3): x right, y up from the ground, z to the front.

    depth: (H, W), about the planes that fit_profile made. bare: the profile without limbs that depth has
    already. shift: the profile's column at z = 0.
    """
    from skimage.measure import marching_cubes

    inside, depth = ground.extended, _limit_depth(depth, ground, _FEET * silhouette.height)
    deep = profile.distance.shape[1]
    step = max(1.0, float(inside.size * deep / _MOST_CELLS) ** (1 / 3))
    y, x = (np.arange(0, count - 1, step, dtype=np.float32) for count in inside.shape)
    grid = _Grid(y, x, np.arange(-_MARGIN, deep + _MARGIN, step, dtype=np.float32))
    height = grid.sample(ground.height)
    offset = (grid.z - shift) - grid.sample(spread_nearest(depth.centre, inside))[..., None]
    half = np.where(offset > 0, *(grid.sample(plane)[..., None] for plane in (depth.front, depth.back)))
    field = _round_field(np.maximum(half, _LEAST), offset)
    for part in find_protrusions(depth, ground, bare):
        _add(field, grid, height, part)
    field = ndimage.gaussian_filter(np.clip(field, -_REACH, _REACH), _SOFT)
    outline = np.minimum(grid.sample(_measure_front(silhouette, inside)), height)
    np.minimum(field, outline[..., None], out=field)
    np.minimum(field, _look_up(profile.distance, height, grid.z), out=field)
    vertices, faces, _, _ = marching_cubes(np.pad(field, 1, constant_values=-1.0), 0.0)
    row, column, z = ((vertices - 1) * step).T
    lifted = ndimage.map_coordinates(ground.height, (row, column), order=1, mode="nearest")
    positions = np.stack([column, lifted, z - _MARGIN - shift], axis=1)
    return positions.astype(np.float32), faces[:, ::-1].astype(np.int32)


class _Grid:
    """Rows, columns and depths, in cells of the front's grid, at which the field is sampled."""

    def __init__(self, y: FloatArray, x: FloatArray, z: FloatArray) -> None:
        self.y, self.x, self.z = y, x, z
        self._places = np.meshgrid(y, x, indexing="ij")

    def sample(self, plane: FloatArray) -> FloatArray:
        """A plane (H, W) of the front at the grid's rows and columns."""
        return ndimage.map_coordinates(plane, self._places, np.float32, order=1, mode="nearest")


def _limit_depth(depth: Depth, ground: Ground, feet: float) -> Depth:
    """The depth (H, W), of thin parts no more than a few times their width.

    feet: how high they are, in cells.
    """
    inside, longest = ground.extended, np.where(ground.height < feet, _LONGEST, _DEEPEST)
    radius = np.maximum(measure_local_thickness(inside), 1.0)
    distance = ndimage.distance_transform_edt(inside)
    most = longest**2 * (radius**2 - (radius - np.minimum(distance, radius)) ** 2)
    # The square of the depth is smoothed: near the outline it is linear, so that edges stay round.
    front, back = (
        np.sqrt(np.maximum(ndimage.gaussian_filter(np.minimum(plane**2, most), 1.5), 0.0))
        for plane in (depth.front, depth.back)
    )
    return depth._replace(front=front, back=back)


def _round_field(half: FloatArray, offset: FloatArray) -> FloatArray:
    """About the distance, in cells, to where the offset is half a width; positive between."""
    return np.asarray((half * half - offset * offset) / (2 * half), np.float32)


def _measure_front(silhouette: Silhouette, inside: BoolArray) -> FloatArray:
    """Signed distance (H, W) to the outline in front; below the ground that of its feet goes on."""
    alpha, rows = inside.astype(np.float32), len(silhouette.alpha)
    edge = (silhouette.alpha > 0.5) == inside[:rows]
    alpha[:rows] = np.where(edge, silhouette.alpha, alpha[:rows])
    return measure_distance(alpha)


def _look_up(plane: FloatArray, height: FloatArray, z: FloatArray) -> FloatArray:
    """Values (Y, X, Z) of a plane over level and depth (P, D), at heights (Y, X) and depths (Z,)."""
    columns = np.clip(z, 0, plane.shape[1] - 1.001)
    left = columns.astype(int)
    across = plane[:, left] + (plane[:, left + 1] - plane[:, left]) * (columns - left).astype(np.float32)
    level = np.clip(height, 0, len(plane) - 1.001)
    below = level.astype(int)
    share = (level - below).astype(np.float32)[..., None]
    return np.asarray(across[below] * (1 - share) + across[below + 1] * share)


def _add(field: FloatArray, grid: _Grid, height: FloatArray, part: Protrusion) -> None:
    """Join a part to the field (Y, X, Z) in place."""
    levels, columns = (np.flatnonzero(part.half.any(axis=axis)) for axis in (1, 0))
    reach = float(part.half.max()) + _MARGIN
    within = (
        ((height >= levels[0] - _MARGIN) & (height <= levels[-1] + _MARGIN)).any(axis=1),
        (grid.x > part.axis.min() - reach) & (grid.x < part.axis.max() + reach),
        (grid.z >= columns[0] - _MARGIN) & (grid.z <= columns[-1] + _MARGIN),
    )
    if not all(used.any() for used in within):
        return
    rows, across, deep = (slice(used.argmax(), len(used) - used[::-1].argmax()) for used in within)
    level = height[rows, across]
    half = np.maximum(_look_up(part.half, level, grid.z[deep]), _LEAST / 2)
    axis = part.axis[np.clip(np.round(level), 0, len(part.axis) - 1).astype(int)]
    block = field[rows, across, deep]
    np.maximum(block, _round_field(half, (grid.x[across] - axis)[..., None]), out=block)
