"""Giving fingers their share of a hand's skin, by distances inside of the hand.

Geodesic voxel binding as in skinning.py, on the hand's own fine cells, so that the way from one finger to
the next leads through the palm.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from ...mesh.normals import vertex_normals
from ...progress import Progress, span_progress
from ...types import Mesh, Skeleton
from ..fit.hand_solid import HandSolid, crop_hand
from ..skeleton import FINGERS, PREFIX, SIDES
from ..voxel_solid import Indices, Points
from .smoothing import smooth_over_edges

_FALLOFF = 8.0
_TREE_REACH = 2
_INSET = 0.7
_REACH = 2.5
_SMOOTHING = 0.03
_PALM_END = 0.9


def share_with_fingers(
    weights: Points, joints: Indices, mesh: Mesh, skeleton: Skeleton, progress: Progress
) -> tuple[Points, Indices]:
    """Weights (V, B) of joints (B,) with columns for the finger joints, and the joints of all columns.

    The sum of each row stays: what a finger gets, the row's other columns give up in proportion. A
    skeleton without fingers changes nothing.
    """
    for number, side in enumerate(SIDES):
        chains = _list_chains(skeleton, side)
        if chains:
            part = span_progress(progress, number / len(SIDES), (number + 1) / len(SIDES))
            shares = _share_hand(mesh, skeleton, skeleton.index(f"{PREFIX}{side}Hand"), chains, part)
            gained = shares * weights.sum(axis=1, keepdims=True)
            weights = np.concatenate((weights * (1.0 - shares.sum(axis=1, keepdims=True)), gained), axis=1)
            joints = np.concatenate((joints, *(chain[:3] for chain in chains)))
        progress((number + 1) / len(SIDES))
    return weights, joints


def _list_chains(skeleton: Skeleton, side: str) -> list[list[int]]:
    """The four joints of each finger that the skeleton has."""
    stems = [f"{PREFIX}{side}Hand{finger}" for finger in FINGERS]
    return [
        [skeleton.index(f"{stem}{number}") for number in (1, 2, 3, 4)]
        for stem in stems
        if f"{stem}1" in skeleton.names
    ]


def _share_hand(
    mesh: Mesh, skeleton: Skeleton, palm: int, chains: list[list[int]], progress: Progress
) -> Points:
    """(V, 3 F) shares of three bones for each finger; what a row lacks to 1 is the palm's and the body's."""
    at = skeleton.positions.astype(np.float64)
    shares = np.zeros((len(mesh.positions), 3 * len(chains)))
    tips = at[[chain[3] for chain in chains]]
    farthest = tips[np.linalg.norm(tips - at[palm], axis=1).argmax()]
    hand = crop_hand(mesh, at[skeleton.parents[palm]], at[palm], farthest)
    if hand is None:
        return shares
    vertices, cells = _match_cells(mesh, hand)
    bones = _list_bones(at, palm, chains)
    distances = np.empty((len(cells), len(bones)))
    for number, bone in enumerate(bones):
        distances[:, number] = _measure_bone(hand, bone)[cells]
        progress(number / len(bones))
    near = (distances.min(axis=1, keepdims=True) / distances) ** _FALLOFF
    near = _smooth(near / near.sum(axis=1, keepdims=True), vertices, mesh, _SMOOTHING * hand.length)
    near *= _relate(len(chains))[near.argmax(axis=1)]
    shares[vertices] = near[:, 1:] / near.sum(axis=1, keepdims=True)
    return shares


def _list_bones(at: Points, palm: int, chains: list[list[int]]) -> list[Points]:
    """(S, 2, 3) segments of the palm, from the wrist towards the knuckles, and of each finger's bones."""
    roots = [chain[0] for chain in chains[1:]]
    bones = [np.array([(at[palm], at[palm] + _PALM_END * (at[root] - at[palm])) for root in roots])]
    for chain in chains:
        bones += [np.array([(at[a], at[b])]) for a, b in pairwise(chain)]
    return bones


def _measure_bone(hand: HandSolid, segments: Points) -> Points:
    """(N,) metres from the nearest segment to each cell, through the inside."""
    steps = np.linspace(0.0, 1.0, 60)[:, None]
    points = np.concatenate([start + steps * (end - start) for start, end in segments])
    cells = np.unique(hand.solid.nearest(points))
    away = hand.solid.measure_distances(cells)
    return np.minimum(away, hand.length * 10) + 0.5 * hand.solid.size


def _match_cells(mesh: Mesh, hand: HandSolid) -> tuple[Indices, Indices]:
    """The vertices of the hand, and for each the cell just inside of it."""
    solid = hand.solid
    low, high = solid.centres.min(axis=0) - 2 * solid.size, solid.centres.max(axis=0) + 2 * solid.size
    inside = np.asarray((mesh.positions >= low) & (mesh.positions <= high)).all(axis=1)
    vertices = np.flatnonzero(inside)
    places = mesh.positions[vertices] - _INSET * solid.size * vertex_normals(mesh)[vertices]
    gaps, cells = solid.tree.query(places, distance_upper_bound=_REACH * solid.size)
    found = np.isfinite(gaps)
    return vertices[found], cells[found]


def _smooth(shares: Points, vertices: Indices, mesh: Mesh, reach: float) -> Points:
    """Smooth over the edges between the hand's vertices."""
    number = np.full(len(mesh.positions), -1)
    number[vertices] = np.arange(len(vertices))
    faces = number[mesh.faces]
    edges = np.concatenate((faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]))
    edges = edges[(edges >= 0).all(axis=1)]
    return smooth_over_edges(shares, mesh.positions[vertices].astype(np.float64), edges, reach)


def _relate(fingers: int) -> Points:
    """(1 + 3 F, 1 + 3 F) 1 for columns at most two steps apart in the tree of palm and fingers, else 0."""
    columns = np.arange(1, 1 + 3 * fingers)
    parents = np.where(columns % 3 == 1, 0, columns - 1)
    tree = sparse.coo_matrix((np.ones(len(columns)), (columns, parents)), shape=(len(columns) + 1,) * 2)
    steps = csgraph.shortest_path(tree.tocsr(), directed=False, unweighted=True)
    return np.asarray(steps <= _TREE_REACH, np.float64)
