"""The centreline of a limb, and the places of the joints along it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csgraph

from ..voxel_solid import Indices, Points, VoxelSolid

_SAMPLES = 33
_WIDEST = 1.9
_BEND_PRIOR = 0.35


@dataclass(frozen=True, eq=False)
class Centreline:
    """points: (33, 3) metres at equal steps from the body outwards. areas: (33,) cross-section, m²."""

    points: Points
    areas: Points

    @property
    def length(self) -> float:
        """Metres along the line."""
        return float(np.linalg.norm(np.diff(self.points, axis=0), axis=1).sum())

    def at(self, fraction: float) -> Points:
        """The point at a fraction, 0..1, of the length."""
        place = np.clip(fraction, 0.0, 1.0) * (len(self.points) - 1)
        low = min(int(place), len(self.points) - 2)
        return self.points[low] + (place - low) * (self.points[low + 1] - self.points[low])


def trace_limb(solid: VoxelSolid, root: Points, tip: Points, *, radius: float, hold: float) -> Centreline:
    """Follow a limb from its root joint to its tip through the middle of its cross-sections.

    The shortest inside path is moved to the centres of the slices that it cuts; slices are no wider than
    1.9 `radius` (metres) around it, so that a touching part stays out. The first `hold` (a fraction)
    stays on the straight way from the root.
    """
    start, goal = solid.nearest(np.stack((root, tip)))
    path = solid.centres[solid.trace_path(int(start), int(goal))]
    line = _resample(np.concatenate((root[None], path[1:-1], tip[None])))
    areas = np.zeros(len(line))
    for _ in range(2):
        line, areas = _recentre(solid, _smooth(line), radius, hold)
    return Centreline(_resample(_smooth(line)), areas)


def _resample(line: Points) -> Points:
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    along = np.concatenate(([0.0], np.cumsum(np.maximum(steps, 1e-9))))
    wanted = np.linspace(0.0, along[-1], _SAMPLES)
    return np.stack([np.interp(wanted, along, line[:, axis]) for axis in range(3)], axis=1)


def _smooth(line: Points, rounds: int = 4) -> Points:
    line = line.copy()
    for _ in range(rounds):
        line[1:-1] = 0.25 * line[:-2] + 0.5 * line[1:-1] + 0.25 * line[2:]
    return line


def _recentre(solid: VoxelSolid, line: Points, radius: float, hold: float) -> tuple[Points, Points]:
    """Move points to the centres of their slices; those in slices cut off by the radius are bridged."""
    centred, areas = line.copy(), np.zeros(len(line))
    directions = np.gradient(line, axis=0)
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
    fixed = max(1, round(hold * (len(line) - 1)))
    sure = [0]
    for index in range(len(line)):
        cells = _slice_cells(solid, line[index], directions[index], _WIDEST * radius)
        areas[index] = len(cells) * solid.size**2 / 1.5
        if not fixed < index < len(line) - 1 or not len(cells):
            continue
        offset = solid.centres[cells] - line[index]
        is_cut = np.linalg.norm(offset, axis=1).max() > _WIDEST * radius - 1.5 * solid.size
        if not is_cut:
            shift = offset.mean(axis=0)
            centred[index] += shift - (shift @ directions[index]) * directions[index]
            sure.append(index)
    sure.append(len(line) - 1)
    every = np.arange(len(line))
    return np.stack([np.interp(every, sure, centred[sure, axis]) for axis in range(3)], axis=1), areas


def _slice_cells(solid: VoxelSolid, centre: Points, normal: Points, radius: float) -> Indices:
    """Cells of the slice through `centre` that hang together with the cell nearest to it."""
    ball = np.array(solid.tree.query_ball_point(centre, radius), dtype=np.int64)
    if not len(ball):
        return ball
    offset = solid.centres[ball] - centre
    flat = np.abs(offset @ normal) <= 0.75 * solid.size
    ball, offset = ball[flat], offset[flat]
    if not len(ball):
        return ball
    _, names = csgraph.connected_components(solid.graph[ball][:, ball], directed=False)
    return ball[names == names[np.argmin((offset**2).sum(axis=1))]]


def find_bend(line: Centreline, expected: float, last: float) -> float:
    """Fraction at which two straight bones, root to bend to `last`, follow the line best.

    `expected` is the average fraction; it decides for a straight limb.
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
        gaps = np.concatenate(
            (_off_line(line.points[upper], root, bend), _off_line(line.points[lower], bend, end))
        )
        prior = _BEND_PRIOR * ((fraction - expected) / expected) ** 2
        costs.append(np.sqrt((gaps**2).mean()) / scale * 4 + prior)
    return float(fractions[int(np.argmin(costs))])


def _off_line(points: Points, start: Points, end: Points) -> Points:
    """(K,) distances of points from the straight line through two others."""
    direction = (end - start) / max(float(np.linalg.norm(end - start)), 1e-9)
    offset = points - start
    return np.linalg.norm(offset - (offset @ direction)[:, None] * direction, axis=1)
