"""Skin weights of the fingers.

Geodesic voxel binding as in skinning.py, on the finer voxels of the hand, where the shortest path from one
finger to the next leads through the palm.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ...mesh.normals import vertex_normals
from ...mesh.topology import list_directed_edges
from ...progress import Progress, span_progress
from ...types import Float64Array, Int64Array, Mesh, Skeleton
from ..fit.hand_solid import HandSolid, crop_hand
from ..skeleton import FINGERS, PREFIX, SIDES, measure_tree_distances
from ..voxelize import list_corners
from .smoothing import smooth_over_edges

_FALLOFF = 8.0
_MAX_TREE_DISTANCE = 2
_INSET_CELLS, _MAX_CELL_DISTANCE = 0.7, 2.5
_SMOOTHING = 0.03
"""Share of the hand's length."""
_PALM_LENGTH = 0.9
"""Share of the distance from the wrist to the knuckles."""
_SAMPLES_PER_BONE = 60


def share_with_fingers(
    weights: Float64Array, joints: Int64Array, mesh: Mesh, skeleton: Skeleton, progress: Progress
) -> tuple[Float64Array, Int64Array]:
    """Append columns for the finger joints to weights (V, B) of joints (B,); return both.

    The sum of each row is kept: the other columns are scaled down by the weight that goes to the fingers.
    Nothing changes for a skeleton without fingers.
    """
    fingers = {side: chains for side in SIDES if (chains := _list_chains(skeleton, side))}
    if not fingers:
        progress(1.0)
        return weights, joints
    corners = list_corners(mesh)
    for number, (side, chains) in enumerate(fingers.items()):
        palm = skeleton.index(f"{PREFIX}{side}Hand")
        part = span_progress(progress, number / len(fingers), (number + 1) / len(fingers))
        shares = _share_hand(mesh, corners, skeleton, palm, chains, part)
        gained = shares * weights.sum(axis=1, keepdims=True)
        weights = np.concatenate((weights * (1.0 - shares.sum(axis=1, keepdims=True)), gained), axis=1)
        joints = np.concatenate((joints, *(chain[:3] for chain in chains)))
    progress(1.0)
    return weights, joints


def _list_chains(skeleton: Skeleton, side: str) -> list[list[int]]:
    """The four joints of each finger in the skeleton."""
    stems = [f"{PREFIX}{side}Hand{finger}" for finger in FINGERS]
    return [
        [skeleton.index(f"{stem}{number}") for number in (1, 2, 3, 4)]
        for stem in stems
        if f"{stem}1" in skeleton.names
    ]


def _share_hand(
    mesh: Mesh,
    corners: tuple[Float64Array, Float64Array],
    skeleton: Skeleton,
    palm: int,
    chains: list[list[int]],
    progress: Progress,
) -> Float64Array:
    """(V, 3 F) weights of three bones per finger; the rest to 1 belongs to the palm and the body.

    corners: of the mesh, as of `list_corners`.
    """
    at = skeleton.positions.astype(np.float64)
    shares = np.zeros((len(mesh.positions), 3 * len(chains)))
    tips = at[[chain[3] for chain in chains]]
    farthest = tips[np.linalg.norm(tips - at[palm], axis=1).argmax()]
    hand = crop_hand(corners, at[skeleton.parents[palm]], at[palm], farthest)
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
    near *= _relate_columns(len(chains))[near.argmax(axis=1)]
    shares[vertices] = near[:, 1:] / near.sum(axis=1, keepdims=True)
    return shares


def _list_bones(at: Float64Array, palm: int, chains: list[list[int]]) -> list[Float64Array]:
    """Segments (S, 2, 3) of the palm, from the wrist towards the knuckles, and of each finger's bones."""
    roots = [chain[0] for chain in chains[1:]]
    bones = [np.array([(at[palm], at[palm] + _PALM_LENGTH * (at[root] - at[palm])) for root in roots])]
    for chain in chains:
        bones += [np.array([(at[a], at[b])]) for a, b in pairwise(chain)]
    return bones


def _measure_bone(hand: HandSolid, segments: Float64Array) -> Float64Array:
    """(N,) geodesic distances of the cells from the nearest segment, metres."""
    steps = np.linspace(0.0, 1.0, _SAMPLES_PER_BONE)[:, None]
    points = np.concatenate([start + steps * (end - start) for start, end in segments])
    cells = np.unique(hand.solid.nearest(points))
    away = hand.solid.measure_distances(cells)
    return np.minimum(away, hand.length * 10) + 0.5 * hand.solid.size


def _match_cells(mesh: Mesh, hand: HandSolid) -> tuple[Int64Array, Int64Array]:
    """The vertices (K,) of the hand, and for each the cell (K,) just below the surface."""
    solid = hand.solid
    low, high = solid.centers.min(axis=0) - 2 * solid.size, solid.centers.max(axis=0) + 2 * solid.size
    inside = np.asarray((mesh.positions >= low) & (mesh.positions <= high)).all(axis=1)
    vertices = np.flatnonzero(inside)
    inset = mesh.positions[vertices] - _INSET_CELLS * solid.size * vertex_normals(mesh)[vertices]
    gaps, cells = solid.tree.query(inset, distance_upper_bound=_MAX_CELL_DISTANCE * solid.size)
    found = np.isfinite(gaps)
    return vertices[found], cells[found]


def _smooth(shares: Float64Array, vertices: Int64Array, mesh: Mesh, reach: float) -> Float64Array:
    """Smooth along the edges between the hand's vertices."""
    number = np.full(len(mesh.positions), -1)
    number[vertices] = np.arange(len(vertices))
    faces = number[mesh.faces]
    edges = np.stack(list_directed_edges(faces), axis=1)
    edges = edges[(edges >= 0).all(axis=1)]
    return smooth_over_edges(shares, mesh.positions[vertices].astype(np.float64), edges, reach)


def _relate_columns(finger_count: int) -> Float64Array:
    """(1 + 3 F, 1 + 3 F) 1 for bones at most two joints apart in the tree of palm and fingers, else 0."""
    columns = np.arange(1 + 3 * finger_count)
    parents = np.where(columns % 3 == 1, 0, columns - 1)
    return np.asarray(measure_tree_distances(parents) <= _MAX_TREE_DISTANCE, np.float64)
