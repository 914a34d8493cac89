"""The branches of a hand: superlevel sets of the geodesic distance from the forearm.

They are the arcs of the distance's Reeb graph (Y. Shinagawa, T. L. Kunii, "Constructing a Reeb Graph
Automatically from Cross Sections", IEEE CG&A 1991), filtered by persistence: the distance from a tip back
to the point where its branch merges with one that reaches farther.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ...progress import Progress, ignore_progress
from ...types import Float64Array, Int64Array
from ..voxel_solid import NEIGHBORS_26
from .hand_solid import HandSolid

_LEVEL_STEP = 1.5
"""Cells between two levels."""
_MIN_PERSISTENCE = 0.09
"""Share of the hand's length."""
_MIN_ASPECT = 1.0
"""Length over diameter."""
_SAMPLES = 10


@dataclass(frozen=True, eq=False)
class Branch:
    """A branch of the hand, free of the others.

    line: (11, 3) metres, the centerline from its base to its tip. base: geodesic distance in metres from
    the cut through the forearm at which the branch merges with another. flatness: width over depth of the
    cross-sections, 1 for a round branch and 2.2 for two round ones side by side.
    """

    line: Float64Array
    base: float
    flatness: float

    @property
    def length(self) -> float:
        """Arc length, metres."""
        return float(np.linalg.norm(np.diff(self.line, axis=0), axis=1).sum())

    @property
    def straightness(self) -> float:
        """Distance between the ends divided by the length, 0..1."""
        return float(np.linalg.norm(self.line[-1] - self.line[0])) / max(self.length, 1e-12)


def find_branches(hand: HandSolid, progress: Progress = ignore_progress) -> list[Branch]:
    """Return the branches as long and slender as fingers; none unless there are at least two branches."""
    solid, step = hand.solid, _LEVEL_STEP * hand.solid.size
    distances = solid.measure_distances(hand.start)
    field = np.full(solid.cells.shape, -1.0)
    field[solid.cells] = np.where(np.isfinite(distances), distances, -1.0)
    levels = np.arange(field.max(), 0.0, -step)[1:]
    tips, merge_levels = _track_tips(field, levels, progress)
    kept = _select_persistent(field.ravel()[tips], merge_levels, _MIN_PERSISTENCE * hand.length)
    branches = []
    for tip in kept if len(kept) > 1 else []:
        base = float(max(merge_levels[tip, other] for other in kept if other != tip))
        labels, _ = ndimage.label(field >= levels[levels > base].min(), NEIGHBORS_26)
        cells = labels[solid.cells] == labels.ravel()[tips[tip]]
        branch = _trace_branch(solid.centers[cells], distances[cells], base)
        section = cells.sum() * solid.size**3 / max(branch.length, solid.size)
        if branch.length > _MIN_ASPECT * 2 * np.sqrt(section / np.pi):
            branches.append(branch)
    return branches


def _track_tips(
    field: Float64Array, levels: Float64Array, progress: Progress
) -> tuple[Int64Array, Float64Array]:
    """Flat indices (T,) of each component's farthest cell, and the levels (T, T) at which two merge."""
    tips = np.empty((0, 3), np.int64)
    rows = []
    for done, (level, box) in enumerate(zip(levels, _list_boxes(field, levels), strict=True)):
        progress(done / len(levels))
        inside, low = field[box], np.array([part.start for part in box])
        labels, count = ndimage.label(inside >= level, NEIGHBORS_26)
        known = set(labels[tuple((tips - low).T)].tolist())
        for label in range(1, count + 1):
            if label not in known:
                cells = np.argwhere(labels == label)
                tips = np.vstack((tips, low + cells[inside[tuple(cells.T)].argmax()]))
        rows.append(labels[tuple((tips - low).T)])
    merge_levels = np.zeros((len(tips), len(tips)))
    for level, row in zip(levels[::-1], rows[::-1], strict=True):
        first, second = np.nonzero(row[:, None] == row[None])
        merge_levels[first, second] = level
    return np.array(np.ravel_multi_index(tuple(tips.T), field.shape), np.int64), merge_levels


def _list_boxes(field: Float64Array, levels: Float64Array) -> list[tuple[slice, ...]]:
    """The box around the cells of `field` at or above each level; levels: falling, none above all cells."""
    cells = np.argwhere(field >= levels[-1]) if len(levels) else np.empty((0, 3), np.int64)
    values = field[tuple(cells.T)]
    order = np.argsort(-values, kind="stable")
    low, high = np.minimum.accumulate(cells[order]), np.maximum.accumulate(cells[order])
    last = np.searchsorted(-values[order], -levels, side="right") - 1
    return [tuple(map(slice, low[row], high[row] + 1)) for row in last]


def _select_persistent(reach: Float64Array, merge_levels: Float64Array, shortest: float) -> list[int]:
    """Tips, farthest first, whose branch is at least `shortest` long before it merges with a kept one."""
    kept: list[int] = []
    for tip in np.argsort(-reach, kind="stable").tolist():
        if reach[tip] - max((merge_levels[tip, other] for other in kept), default=0.0) >= shortest:
            kept.append(tip)
    return kept


def _trace_branch(centers: Float64Array, distances: Float64Array, base: float) -> Branch:
    """Centers of the cells in equal steps of distance, extended straight to the tip."""
    share = (distances - distances.min()) / max(float(np.ptp(distances)), 1e-12)
    steps = np.minimum((share * _SAMPLES).astype(int), _SAMPLES - 1)
    _, steps, counts = np.unique(steps, return_inverse=True, return_counts=True)
    middles = np.stack([np.bincount(steps, column) for column in centers.T], axis=1) / counts[:, None]
    spread = np.linalg.eigvalsh(np.cov((centers - middles[steps]).T)) if len(centers) > 1 else np.ones(3)
    flatness = float(np.sqrt(spread[2] / max(spread[1], 1e-12 * spread[2])))
    ahead = middles[-1] - middles[max(len(middles) - 3, 0)]
    ahead /= max(float(np.linalg.norm(ahead)), 1e-12)
    tip = middles[-1] + max(float(((centers - middles[-1]) @ ahead).max()), 0.0) * ahead
    return Branch(np.concatenate((middles, tip[None])), base, flatness)
