"""The branches of a hand, by the sets of cells that lie farther from the forearm than a level.

These are the arcs of the Reeb graph of the distance through the inside (Y. Shinagawa, T. L. Kunii,
"Constructing a Reeb Graph Automatically from Cross Sections", IEEE CG&A 1991), kept by persistence: the
way from a tip back to where it meets a farther one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .hand_solid import HandSolid
from .solid import Indices, Points

_STEP = 1.5
_SHORTEST = 0.09
_SLENDER = 1.0
_SAMPLES = 10


@dataclass(frozen=True, eq=False)
class Branch:
    """line: (11, 3) metres, the centreline of the free part from its foot to its tip.

    base: metres from the forearm's cut at which the branch meets another one.
    """

    line: Points
    base: float

    @property
    def length(self) -> float:
        """Metres along the line."""
        return float(np.linalg.norm(np.diff(self.line, axis=0), axis=1).sum())


def find_branches(hand: HandSolid) -> list[Branch]:
    """The branches that are long and slender as fingers; none where fewer than two branches part."""
    solid, step = hand.solid, _STEP * hand.solid.size
    distances = solid.measure_distances(hand.start)
    field = np.full(solid.cells.shape, -1.0)
    field[solid.cells] = np.where(np.isfinite(distances), distances, -1.0)
    levels = np.arange(field.max(), 0.0, -step)[1:]
    tips, meets = _track_tips(field, levels)
    kept = _keep_persistent(field.ravel()[tips], meets, _SHORTEST * hand.length)
    branches = []
    for tip in kept if len(kept) > 1 else []:
        base = float(max(meets[tip, other] for other in kept if other != tip))
        names, _ = ndimage.label(field >= base + 0.99 * step)
        cells = names[solid.cells] == names.ravel()[tips[tip]]
        branch = _trace_branch(solid.centres[cells], distances[cells], base)
        width = 2 * np.sqrt(cells.sum() * solid.size**3 / (np.pi * branch.length))
        if branch.length > _SLENDER * width:
            branches.append(branch)
    return branches


def _track_tips(field: Points, levels: Points) -> tuple[Indices, Points]:
    """(T,) flat numbers of the farthest cells of all components, (T, T) the levels at which they meet."""
    tips: list[int] = []
    rows = []
    for level in levels:
        labels, count = ndimage.label(field >= level)
        flat = labels.ravel()
        known = set(flat[tips].tolist())
        fresh = [name for name in range(1, count + 1) if name not in known]
        peaks = ndimage.maximum_position(field, labels, fresh) if fresh else []
        tips += [int(np.ravel_multi_index(peak, field.shape)) for peak in peaks]
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
    """Centres of equal steps of distance, and the farthest cell."""
    share = (distances - distances.min()) / max(float(np.ptp(distances)), 1e-12)
    steps = np.minimum((share * _SAMPLES).astype(int), _SAMPLES - 1)
    middles = [centres[steps == step].mean(axis=0) for step in range(_SAMPLES) if (steps == step).any()]
    return Branch(np.array([*middles, centres[distances.argmax()]]), base)
