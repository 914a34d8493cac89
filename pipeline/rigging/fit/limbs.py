"""The centerline of a limb, and the position of its middle joint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ...types import Float64Array, Int64Array
from ..voxel_solid import NEIGHBORS_26, VoxelSolid

_SAMPLES = 33
_MAX_SLICE_RADII = 1.9
_BEND_PRIOR = 0.35


@dataclass(frozen=True, eq=False)
class Centerline:
    """points: (33, 3) metres, evenly spaced from the body outwards. areas: (33,) cross-sections, m²."""

    points: Float64Array
    areas: Float64Array

    @property
    def length(self) -> float:
        """Arc length, metres."""
        return float(np.linalg.norm(np.diff(self.points, axis=0), axis=1).sum())

    def at(self, fraction: float) -> Float64Array:
        """Return the point (3,) at a fraction, 0..1, of the length."""
        row = np.clip(fraction, 0.0, 1.0) * (len(self.points) - 1)
        low = min(int(row), len(self.points) - 2)
        return self.points[low] + (row - low) * (self.points[low + 1] - self.points[low])


def trace_limb(
    solid: VoxelSolid, root: Float64Array, tip: Float64Array, *, radius: float, fixed_share: float
) -> Centerline:
    """Trace the centerline of a limb from its root joint (3,) to its tip (3,).

    The shortest path through the interior is moved to the centers of its cross-sections. Cross-sections
    are limited to 1.9 `radius` (metres) around the path, so that a body part that touches the limb is left
    out. The first `fixed_share` (0..1) of the path is not moved.
    """
    start, goal = solid.nearest(np.stack((root, tip)))
    path = solid.centers[solid.trace_path(int(start), int(goal))]
    line = _resample(np.concatenate((root[None], path[1:-1], tip[None])))
    areas = np.zeros(len(line))
    for _ in range(2):
        line, areas = _recenter(solid, _smooth(line), radius, fixed_share)
    return Centerline(_resample(_smooth(line)), areas)


def _resample(line: Float64Array) -> Float64Array:
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    along = np.concatenate(([0.0], np.cumsum(np.maximum(steps, 1e-9))))
    wanted = np.linspace(0.0, along[-1], _SAMPLES)
    return np.stack([np.interp(wanted, along, line[:, axis]) for axis in range(3)], axis=1)


def _smooth(line: Float64Array, rounds: int = 4) -> Float64Array:
    line = line.copy()
    for _ in range(rounds):
        line[1:-1] = 0.25 * line[:-2] + 0.5 * line[1:-1] + 0.25 * line[2:]
    return line


def _recenter(
    solid: VoxelSolid, line: Float64Array, radius: float, fixed_share: float
) -> tuple[Float64Array, Float64Array]:
    """Move points to the centers of their slices; interpolate where the radius cuts a slice off."""
    centered, areas = line.copy(), np.zeros(len(line))
    directions = np.gradient(line, axis=0)
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
    fixed = max(1, round(fixed_share * (len(line) - 1)))
    centered_at = [0]
    for index in range(len(line)):
        cells = _slice_cells(solid, line[index], directions[index], _MAX_SLICE_RADII * radius)
        areas[index] = len(cells) * solid.size**2 / 1.5
        if not fixed < index < len(line) - 1 or not len(cells):
            continue
        offset = solid.centers[cells] - line[index]
        is_cut = np.linalg.norm(offset, axis=1).max() > _MAX_SLICE_RADII * radius - 1.5 * solid.size
        if not is_cut:
            shift = offset.mean(axis=0)
            centered[index] += shift - (shift @ directions[index]) * directions[index]
            centered_at.append(index)
    centered_at.append(len(line) - 1)
    every = np.arange(len(line))
    columns = [np.interp(every, centered_at, centered[centered_at, axis]) for axis in range(3)]
    return np.stack(columns, axis=1), areas


def _slice_cells(solid: VoxelSolid, center: Float64Array, normal: Float64Array, radius: float) -> Int64Array:
    """Cells of the slice through `center` that are connected to the cell nearest to it."""
    steps = (center - solid.origin) / solid.size
    first = np.maximum(np.ceil(steps - radius / solid.size), 0).astype(np.int64)
    last = np.floor(steps + radius / solid.size).astype(np.int64)
    near = solid.numbers[tuple(map(slice, first, np.maximum(last + 1, 0)))]
    ball = near[near >= 0]
    offset = solid.centers[ball] - center
    flat = (np.abs(offset @ normal) <= 0.75 * solid.size) & ((offset**2).sum(axis=1) <= radius**2)
    ball, offset = ball[flat], offset[flat]
    if not len(ball):
        return ball
    local = solid.indices[ball] - solid.indices[ball].min(axis=0)
    box = np.zeros(local.max(axis=0) + 1, bool)
    box[tuple(local.T)] = True
    labels = ndimage.label(box, NEIGHBORS_26)[0][tuple(local.T)]
    return ball[labels == labels[np.argmin((offset**2).sum(axis=1))]]


def find_bend(line: Centerline, expected: float, last: float) -> float:
    """Return the fraction at which two straight bones, from the root to `last`, fit the line best.

    `expected` is the average fraction, a prior that decides for a straight limb.
    """
    samples = np.linspace(0.0, 1.0, len(line.points))
    kept = samples <= last
    root, end = line.points[0], line.at(last)
    scale = max(line.length, 1e-9)
    fractions = np.linspace(0.75 * expected, 1.25 * expected, 21)
    costs = []
    for fraction in fractions:
        bend = line.at(fraction)
        upper, lower = kept & (samples <= fraction), kept & (samples > fraction)
        above = _distances_to_line(line.points[upper], root, bend)
        below = _distances_to_line(line.points[lower], bend, end)
        gaps = np.concatenate((above, below))
        prior = _BEND_PRIOR * ((fraction - expected) / expected) ** 2
        costs.append(np.sqrt((gaps**2).mean()) / scale * 4 + prior)
    return float(fractions[int(np.argmin(costs))])


def _distances_to_line(points: Float64Array, start: Float64Array, end: Float64Array) -> Float64Array:
    """Distances (K,) of points (K, 3) from the straight line through two points."""
    direction = (end - start) / max(float(np.linalg.norm(end - start)), 1e-9)
    offset = points - start
    return np.linalg.norm(offset - (offset @ direction)[:, None] * direction, axis=1)
