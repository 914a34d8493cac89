"""The curve skeleton of a solid: a tree of lines along the middle of its trunk and limbs.

TEASAR: M. Sato, I. Bitter, M. Bender, A. Kaufman, M. Nakajima, "TEASAR: Tree-structure Extraction Algorithm
for Accurate and Robust Skeletons", Pacific Graphics 2000. All lines are shortest paths to the deepest cell,
where a step costs more the nearer it is to the surface; the farthest cell that no line explains starts the
next one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree

from ...types import Float64Array, Int64Array
from ..voxel_solid import VoxelSolid

_CENTERING, _POWER = 24.0, 4
"""How much more a step at the surface costs than one along the deepest cells, and how sharply that falls."""
_COVER_RADII, _COVER_CELLS = 1.5, 2.0
"""A line explains what is within so many of its depths, and so many cells more."""
_MIN_FREE, _MIN_FREE_DEPTHS = 0.075, 1.1
"""How far a limb reaches out of the balls along the other lines: as a share of the longest side, and in
depths there."""
_TOE, _MAX_TOE = 0.45, 0.16
"""What leaves a line late is a toe or a finger if it is shorter than that share of the way there, and of the
longest side."""
_MAX_BRANCHES, _MAX_TRIES = 16, 64
_BLUR = 2
"""Passes of a three-point mean along a line."""


@dataclass(frozen=True, eq=False)
class Branch:
    """points: (K, 3) metres, from where it leaves `parent` to its tip. depths: (K,) to the surface, metres.

    parent: number of the branch that it leaves, -1 for those that start at the root. start: the point of the
    parent where it leaves.
    """

    points: Float64Array
    depths: Float64Array
    parent: int = -1
    start: int = 0

    @property
    def length(self) -> float:
        """Metres."""
        return _measure(self.points)


def grow_tree(solid: VoxelSolid) -> list[Branch]:
    """The branches of the curve skeleton, parents before their children, longest first.

    The first two or more start at the root, the deepest cell of the solid.
    """
    root = int(solid.depths.argmax())
    toward, away = _find_paths(solid, root)
    size = float(solid.size * np.ptp(solid.indices, axis=0).max())
    where = np.full((len(away), 2), -1)
    branches: list[Branch] = []
    left = np.where(np.isfinite(away), away, -1.0)
    left[_find_covered(solid, np.array([root]))] = -1.0
    for _ in range(_MAX_TRIES):
        tip = int(left.argmax())
        if left[tip] <= 0 or len(branches) == _MAX_BRANCHES:
            break
        path = _trace(toward, tip, root, where)
        left[_find_covered(solid, path)] = -1.0
        parent, start = where[path[0]] if path[0] != root else (-1, 0)
        branch = Branch(_smooth(solid.centers[path]), solid.depths[path], int(parent), int(start))
        if not _is_limb(branch, branches, size):
            continue
        fresh = where[path, 0] < 0
        where[path[fresh]] = np.stack((np.full(fresh.sum(), len(branches)), np.flatnonzero(fresh)), axis=1)
        where[root] = -1
        branches.append(branch)
    return branches


def _find_paths(solid: VoxelSolid, root: int) -> tuple[Int64Array, Float64Array]:
    """(N,) the next cell on the way to the root, and (N,) distances from it through the solid, metres."""
    shallow = 1.0 - solid.depths / solid.depths.max()
    links = solid.graph.tocoo()
    cost = links.data * (
        1.0 + _CENTERING * shallow[links.col] ** _POWER + _CENTERING * shallow[links.row] ** _POWER
    )
    weighted = sparse.coo_matrix((cost, (links.row, links.col)), links.shape).tocsr()
    _, before = csgraph.dijkstra(weighted, indices=root, return_predecessors=True)
    return before.astype(np.int64), solid.measure_distances(np.array([root]))


def _trace(toward: Int64Array, tip: int, root: int, where: Int64Array) -> Int64Array:
    """The cells from the first that has a branch, or the root, to the tip."""
    path = [tip]
    while path[-1] != root and where[path[-1], 0] < 0:
        path.append(int(toward[path[-1]]))
    return np.array(path[::-1])


def _find_covered(solid: VoxelSolid, path: Int64Array) -> Int64Array:
    """The cells within reach of a path: about as far as the surface is, and a little more."""
    tree = cKDTree(solid.centers[path])
    reach = _COVER_RADII * solid.depths[path] + _COVER_CELLS * solid.size
    away, nearest = tree.query(solid.centers, distance_upper_bound=float(reach.max()))
    inside = np.isfinite(away)
    covered = np.flatnonzero(inside)
    return covered[away[inside] <= reach[nearest[inside]]]


def _is_limb(branch: Branch, others: list[Branch], size: float) -> bool:
    """Whether a line reaches out of the balls along the others, and is no toe."""
    if not others:
        return True
    points = np.concatenate([other.points for other in others] + [branch.points[:1]])
    depths = np.concatenate([other.depths for other in others] + [branch.depths[:1]])
    away = np.linalg.norm(points - branch.points[-1], axis=1) - depths
    nearest = int(away.argmin())
    if away[nearest] < max(_MIN_FREE * size, _MIN_FREE_DEPTHS * depths[nearest]):
        return False
    if branch.parent < 0:
        return True
    trunk = others[branch.parent]
    forks = [0, *(other.start for other in others if other.parent == branch.parent)]
    before = max(fork for fork in forks if fork <= branch.start)
    way = _measure(trunk.points[before : branch.start + 1])
    return not (branch.length < _TOE * way and branch.length < _MAX_TOE * size)


def _measure(points: Float64Array) -> float:
    return float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())


def _smooth(points: Float64Array) -> Float64Array:
    """The line with its steps rounded; its ends stay."""
    for _ in range(_BLUR * max(1, len(points) // 16)):
        inner = (points[:-2] + points[1:-1] + points[2:]) / 3
        points = np.concatenate((points[:1], inner, points[-1:])) if len(points) > 2 else points
    return points


@dataclass(frozen=True, eq=False)
class Piece:
    """A part of a branch between forks. parent: number of the piece that it continues, -1 at the root.

    is_tip: whether nothing continues it. depth: of the solid where it starts, metres.
    """

    points: Float64Array
    parent: int
    is_tip: bool
    depth: float


def cut_at_forks(branches: list[Branch]) -> list[Piece]:
    """Cut branches where others leave them; forks in each other's balls become one. Parents come first."""
    pieces: list[Piece] = []
    ends: dict[tuple[int, int], int] = {}
    for number, branch in enumerate(branches):
        cuts = _merge_forks(branch, [other.start for other in branches if other.parent == number])
        start = 0
        if branch.parent < 0:
            parent = -1
        else:
            known = [cut for owner, cut in ends if owner == branch.parent]
            nearest = min(known, key=lambda cut: abs(cut - branch.start))
            parent = ends[branch.parent, nearest]
        if branch.parent < 0:
            ends[number, 0] = -1
        for cut in (*cuts, len(branch.points) - 1):
            is_tip = cut == len(branch.points) - 1
            pieces.append(Piece(branch.points[start : cut + 1], parent, is_tip, float(branch.depths[start])))
            parent, start = len(pieces) - 1, cut
            ends[number, cut] = parent
    return pieces


def _merge_forks(branch: Branch, forks: list[int]) -> list[int]:
    """The forks of a branch that are apart from its start and from each other, in order."""
    merged: list[int] = []
    for fork in sorted(forks):
        last = merged[-1] if merged else 0
        apart = _measure(branch.points[last : fork + 1])
        is_start = not merged and branch.parent >= 0
        if apart > branch.depths[fork] and fork < len(branch.points) - 2 and not (is_start and fork == 0):
            merged.append(fork)
    return merged
