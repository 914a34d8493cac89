"""The branches of a hand, by the sets of cells that lie farther from the forearm than a level.

These are the arcs of the Reeb graph of the distance through the inside (Y. Shinagawa, T. L. Kunii,
"Constructing a Reeb Graph Automatically from Cross Sections", IEEE CG&A 1991), kept by persistence: the
way from a tip back to where it meets a farther one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ...progress import Progress, ignore_progress
from ..voxel_solid import Indices, Points
from .hand_solid import HandSolid

_STEP = 1.5
_SHORTEST = 0.09
_SLENDER = 1.0
_SAMPLES = 10
_EVERY_NEIGHBOUR = np.ones((3, 3, 3), bool)


@dataclass(frozen=True, eq=False)
class Branch:
    """line: (11, 3) metres, the centreline of the free part from its foot to its tip.

    base: metres from the forearm's cut at which the branch meets another one. flatness: width over depth
    of its cross-sections, 1 for a round one and 2.2 for two round ones side by side.
    """

    line: Points
    base: float
    flatness: float

    @property
    def length(self) -> float:
        """Metres along the line."""
        return float(np.linalg.norm(np.diff(self.line, axis=0), axis=1).sum())

    @property
    def straightness(self) -> float:
        """Distance between the ends over the length."""
        return float(np.linalg.norm(self.line[-1] - self.line[0])) / max(self.length, 1e-12)


def find_branches(hand: HandSolid, progress: Progress = ignore_progress) -> list[Branch]:
    """The branches that are long and slender as fingers; none where fewer than two branches part."""
    solid, step = hand.solid, _STEP * hand.solid.size
    distances = solid.measure_distances(hand.start)
    field = np.full(solid.cells.shape, -1.0)
    field[solid.cells] = np.where(np.isfinite(distances), distances, -1.0)
    levels = np.arange(field.max(), 0.0, -step)[1:]
    tips, meets = _track_tips(field, levels, progress)
    kept = _keep_persistent(field.ravel()[tips], meets, _SHORTEST * hand.length)
    branches = []
    for tip in kept if len(kept) > 1 else []:
        base = float(max(meets[tip, other] for other in kept if other != tip))
        names, _ = ndimage.label(field >= levels[levels > base].min(), _EVERY_NEIGHBOUR)
        cells = names[solid.cells] == names.ravel()[tips[tip]]
        branch = _trace_branch(solid.centres[cells], distances[cells], base)
        section = cells.sum() * solid.size**3 / max(branch.length, solid.size)
        if branch.length > _SLENDER * 2 * np.sqrt(section / np.pi):
            branches.append(branch)
    return branches


def _track_tips(field: Points, levels: Points, progress: Progress) -> tuple[Indices, Points]:
    """(T,) flat numbers of the farthest cells of all components, (T, T) the levels at which they meet."""
    tips: list[int] = []
    rows = []
    for done, level in enumerate(levels):
        progress(done / len(levels))
        labels, count = ndimage.label(field >= level, _EVERY_NEIGHBOUR)
        flat = labels.ravel()
        known = set(flat[tips].tolist())
        for name in range(1, count + 1):
            if name not in known:
                cells = np.flatnonzero(flat == name)
                tips.append(int(cells[field.ravel()[cells].argmax()]))
        rows.append(flat[tips])
    meets = np.zeros((len(tips), len(tips)))
    for level, row in zip(levels[::-1], rows[::-1], strict=True):
        first, second = np.nonzero(row[:, None] == row[None])
        meets[first, second] = level
    return np.array(tips), meets


def _keep_persistent(reach: Points, meets: Points, shortest: float) -> list[int]:
    """Numbers of the tips, farthest first, that stand out by `shortest` before they meet a kept one."""
    kept: list[int] = []
    for tip in np.argsort(-reach, kind="stable").tolist():
        if reach[tip] - max((meets[tip, other] for other in kept), default=0.0) >= shortest:
            kept.append(tip)
    return kept


def _trace_branch(centres: Points, distances: Points, base: float) -> Branch:
    """Centres of equal steps of distance, and the tip straight on from the last ones."""
    share = (distances - distances.min()) / max(float(np.ptp(distances)), 1e-12)
    steps = np.minimum((share * _SAMPLES).astype(int), _SAMPLES - 1)
    _, steps, counts = np.unique(steps, return_inverse=True, return_counts=True)
    middles = np.stack([np.bincount(steps, column) for column in centres.T], axis=1) / counts[:, None]
    spread = np.linalg.eigvalsh(np.cov((centres - middles[steps]).T)) if len(centres) > 1 else np.ones(3)
    flatness = float(np.sqrt(spread[2] / max(spread[1], 1e-12 * spread[2])))
    ahead = middles[-1] - middles[max(len(middles) - 3, 0)]
    ahead /= max(float(np.linalg.norm(ahead)), 1e-12)
    tip = middles[-1] + max(float(((centres - middles[-1]) @ ahead).max()), 0.0) * ahead
    return Branch(np.concatenate((middles, tip[None])), base, flatness)
