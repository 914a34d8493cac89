"""The branches of a hand: superlevel sets of the geodesic distance from the forearm.

They are the arcs of the distance's Reeb graph (Y. Shinagawa, T. L. Kunii, "Constructing a Reeb Graph
Automatically from Cross Sections", IEEE CG&A 1991), filtered by persistence: the distance from a tip back
to the point where its branch merges with one that reaches farther.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ...mesh.topology import label_components
from ...progress import Progress, ignore_progress
from ...types import Float64Array, Int64Array
from ..voxel_solid import NEIGHBORS_26, VoxelSolid
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
    reach = np.where(np.isfinite(distances), distances, -1.0)
    levels = np.arange(reach.max(), 0.0, -step)[1:]
    tips, merge_levels = _track_tips(solid, reach, levels, progress)
    kept = _select_persistent(reach[tips], merge_levels, _MIN_PERSISTENCE * hand.length)
    field = np.full(solid.cells.shape, -1.0)
    field[solid.cells] = reach
    branches = []
    for tip in kept if len(kept) > 1 else []:
        base = float(max(merge_levels[tip, other] for other in kept if other != tip))
        labels, _ = ndimage.label(field >= levels[levels > base].min(), NEIGHBORS_26)
        cells = labels[solid.cells] == labels[tuple(solid.indices[tips[tip]])]
        branch = _trace_branch(solid.centers[cells], distances[cells], base)
        section = cells.sum() * solid.size**3 / max(branch.length, solid.size)
        if branch.length > _MIN_ASPECT * 2 * np.sqrt(section / np.pi):
            branches.append(branch)
    return branches


def _track_tips(
    solid: VoxelSolid, reach: Float64Array, levels: Float64Array, progress: Progress
) -> tuple[Int64Array, Float64Array]:
    """The farthest cells (T,) of components of superlevel sets, and the levels (T, T) at which two merge.

    reach: (N,) of each cell. levels: falling, none above all cells. The components are joined from patches,
    connected cells between two levels: a patch without a neighbor farther out is where one begins.
    """
    bands = np.searchsorted(-levels, -reach)
    bands[bands == len(levels)] = -1
    patches, inner, outer = _label_patches(solid, bands)
    progress(0.5)
    band = np.full(patches.max() + 1, -1)
    band[patches] = bands
    is_tip = (band >= 0) & ~np.isin(np.arange(len(band)), inner)
    farthest = np.lexsort((-reach, patches))
    farthest = farthest[np.unique(patches[farthest], return_index=True)[1]]
    names = np.flatnonzero(is_tip)
    names = names[np.lexsort((farthest[names], band[names]))]
    return farthest[names], _merge_tips(names, band, inner, outer, levels)


def _label_patches(solid: VoxelSolid, bands: Int64Array) -> tuple[Int64Array, Int64Array, Int64Array]:
    """The patch (N,) of each cell, and pairs (P,), (P,) of one and its neighbor farther out."""
    later = solid.neighbors[:, 13:]
    bands = bands.astype(np.int16)
    here, there = bands[:, None], np.append(bands, -1)[later]
    starts, steps = np.nonzero((here == there) & (here >= 0))
    patches = label_components((starts, later[starts, steps]), len(bands))
    starts, steps = np.nonzero((here != there) & (here >= 0) & (there >= 0))
    one, two = patches[starts], patches[later[starts, steps]]
    is_inner = bands[starts] > there[starts, steps]
    count = int(patches.max()) + 1
    pairs = np.where(is_inner, one, two) * count + np.where(is_inner, two, one)
    inner, outer = np.divmod(np.unique(pairs), count)
    return patches, inner, outer


def _merge_tips(
    names: Int64Array, band: Int64Array, inner: Int64Array, outer: Int64Array, levels: Float64Array
) -> Float64Array:
    """(T, T) levels at which the tips of the patches `names` merge, joining patches from the tips inwards."""
    merge_levels = np.zeros((len(names), len(names)))
    groups: dict[int, list[int]] = {int(name): [tip] for tip, name in enumerate(names)}
    owners = np.arange(len(band))
    order = np.argsort(band[inner], kind="stable")
    for patch, neighbor in zip(inner[order].tolist(), outer[order].tolist(), strict=True):
        here, there = _find_owner(owners, patch), _find_owner(owners, neighbor)
        if here == there:
            continue
        one, two = groups.pop(here, []), groups.pop(there)
        for tip in one:
            merge_levels[tip, two] = merge_levels[two, tip] = levels[band[patch]]
        owners[there] = here
        groups[here] = one + two
    return merge_levels


def _find_owner(owners: Int64Array, patch: int) -> int:
    """The patch that stands for all that were joined with this one; shortens the way there."""
    while owners[patch] != patch:
        owners[patch] = owners[owners[patch]]
        patch = int(owners[patch])
    return patch


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
