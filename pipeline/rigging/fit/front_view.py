"""The voxels of a body as the front view shows them: outline, surfaces, and the limbs inside the outline."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from ...types import BoolArray, Float64Array, Int64Array
from ..voxel_solid import VoxelSolid

_STEP = 0.5
"""Cells between two samples across a limb."""


@dataclass(frozen=True, eq=False)
class FrontView:
    """Points are x, y (2,) in metres, of the mesh frame."""

    solid: VoxelSolid

    @cached_property
    def filled(self) -> BoolArray:
        """(X, Y) bool, the outline."""
        return np.asarray(self.solid.cells.any(axis=2))

    @cached_property
    def _thickness(self) -> tuple[Float64Array, Int64Array]:
        """Distance (X, Y) to the outline from inside, metres, and the nearest filled column (2, X, Y)."""
        inside = ndimage.distance_transform_edt(self.filled) * self.solid.size
        nearest = ndimage.distance_transform_edt(~self.filled, return_distances=False, return_indices=True)
        return inside, np.asarray(nearest, np.int64)

    def _find_column(self, point: Float64Array) -> tuple[int, int]:
        """The filled column nearest to a point."""
        column = np.rint((np.asarray(point[:2]) - self.solid.origin[:2]) / self.solid.size).astype(int)
        column = np.clip(column, 0, np.array(self.filled.shape) - 1)
        x, y = self._thickness[1][:, column[0], column[1]]
        return int(x), int(y)

    def pull_inside(self, point: Float64Array) -> Float64Array:
        """Return the point, or the center of the nearest filled column if it lies outside the outline."""
        column = np.array(self._find_column(point))
        center = self.solid.origin[:2] + self.solid.size * column
        return point[:2] if np.abs(point[:2] - center).max() <= self.solid.size else center

    def measure_radius(self, point: Float64Array) -> float:
        """Return the distance from a point to the outline, metres."""
        return float(self._thickness[0][self._find_column(point)])

    def measure_depths(self, point: Float64Array) -> tuple[float, float]:
        """Return z of the back and of the front surface behind and before a point, metres."""
        filled = np.flatnonzero(self.solid.cells[self._find_column(point)])
        z = self.solid.origin[2] + self.solid.size * filled[[0, -1]]
        return float(z[0]) - 0.5 * self.solid.size, float(z[1]) + 0.5 * self.solid.size

    def center_across(self, point: Float64Array, direction: Float64Array, radius: float) -> Float64Array:
        """Return the point moved to the middle of a limb that runs along `direction` (2,).

        It stays where it is if the limb, at most `radius` metres to each side, does not end there: inside the
        trunk, or where two limbs touch.
        """
        length = float(np.linalg.norm(direction))
        if length < 1e-9:
            return point
        across = np.array((-direction[1], direction[0])) / length
        ends = [self._walk_out(point, sign * across, 2 * radius) for sign in (1.0, -1.0)]
        return point if None in ends else point + 0.5 * (ends[0] - ends[1]) * across  # type: ignore[operator]

    def _walk_out(self, point: Float64Array, step: Float64Array, reach: float) -> float | None:
        """Metres from a point to the outline along a unit step (2,); None if it is farther than `reach`."""
        steps = np.arange(0.0, reach, _STEP * self.solid.size)
        places = np.rint((point + steps[:, None] * step - self.solid.origin[:2]) / self.solid.size).astype(
            int
        )
        places = np.clip(places, 0, np.array(self.filled.shape) - 1)
        outside = np.flatnonzero(~self.filled[tuple(places.T)])
        return float(steps[outside[0]]) if len(outside) else None
