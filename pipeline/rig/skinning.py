"""Skin weights by distances through the inside of the body.

Geodesic voxel binding: O. Dionne, M. de Lasa, "Geodesic Voxel Binding for Production Character
Meshes", SCA 2013. Two changes: distances are measured in radii of the bone they start from, so that a
thin arm does not take over the chest beside it; and a vertex is bound only to the bones around its
nearest one in the tree, never to limbs of both sides, so that parts that touch stay apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from ..conventions import FORWARD, MAX_INFLUENCES
from ..progress import Progress, ignore_progress
from ..types import BoolArray, Mesh, Skeleton, SkinWeights
from .skeleton import ARM_PARTS, JOINTS, LEG_PARTS, PREFIX
from .solid import Indices, Points, VoxelSolid, voxelise_mesh

_FALLOFF = 8.0
_HAND_LENGTH = 0.55
_JAW_REACH = 0.4
_NEIGHBOUR_CELLS = 6
_TREE_REACH = 2
_RADIUS_QUANTILE, _THINNEST = 0.7, 0.018
_CHEST = ("Spine1", "Spine2")
_SIDE_FADE = 0.15
_SMOOTHING = 0.015
_SMALLEST_WEIGHT = 0.01


@dataclass(frozen=True, eq=False)
class _Bone:
    """One weighted joint. segments: (S, 2, 3) metres. side: +1 left limb, -1 right limb, 0 trunk."""

    joint: int
    segments: Points
    side: int
    part: str


def compute_skin_weights(
    mesh: Mesh, skeleton: Skeleton, *, progress: Progress = ignore_progress
) -> SkinWeights:
    """Bind a closed mesh to a skeleton from `fit_skeleton`.

    At most 4 influences a vertex, rows sum to 1; end joints carry no weight, and vertices at one place
    (UV seams) get equal weights. RigError if the mesh encloses no volume.
    """
    progress(0.0)
    solid = voxelise_mesh(mesh)
    bones = _list_bones(skeleton)
    places, copies = np.unique(mesh.positions, axis=0, return_inverse=True)
    cells = _nearby_cells(solid, places.astype(np.float64))
    distances = np.empty((len(places), len(bones)))
    sources = [_source_cells(solid, bone) for bone in bones]
    radii = _measure_radii(solid, bones, sources)
    for number in range(len(bones)):
        away = solid.measure_distances(sources[number])[cells].mean(axis=1)
        distances[:, number] = (away + 0.5 * solid.size) / radii[number]
        progress(0.1 + 0.7 * (number + 1) / len(bones))
    farther = _mark_farther_side(distances, np.array([bone.side for bone in bones]))
    weights = _distances_to_weights(distances, farther)
    weights = _smooth_weights(weights, places, copies.reshape(-1)[mesh.faces])
    weights[farther > 0] = 0.0
    progress(0.9)
    weights = _keep_related(weights, _related_bones(skeleton, bones))
    joints, shares = _keep_strongest(weights, np.array([bone.joint for bone in bones]))
    progress(1.0)
    return SkinWeights(joints[copies.reshape(-1)], shares[copies.reshape(-1)])


def _list_bones(skeleton: Skeleton) -> list[_Bone]:
    """The bones that carry weight: all but the end joints."""
    at = {name.removeprefix(PREFIX): place.astype(np.float64) for name, place in _named_positions(skeleton)}
    bones = []
    for name, _, _, child in JOINTS:
        if name.endswith("_End"):
            continue
        tip = (
            at[child] if child else at[name] + _HAND_LENGTH * (at[name] - at[name.replace("Hand", "ForeArm")])
        )
        if name == "Spine2":
            tip = 0.5 * (at[name] + tip)
        segments = [(at[name], tip)]
        if name == "Hips":
            segments.append((at[name], 0.5 * (at["LeftUpLeg"] + at["RightUpLeg"])))
        if name == "Head":
            jaw = _JAW_REACH * np.linalg.norm(tip - at[name]) * np.array(FORWARD)
            segments.append((at[name], at[name] + jaw))
        bones.append(
            _Bone(skeleton.index(PREFIX + name), np.array(segments), _limb_side(name), _body_part(name))
        )
    return bones


def _named_positions(skeleton: Skeleton) -> zip[tuple[str, Points]]:
    return zip(skeleton.names, skeleton.positions, strict=True)


def _limb_side(name: str) -> int:
    for side, sign in (("Left", 1), ("Right", -1)):
        if name.startswith(side) and name.removeprefix(side) in ARM_PARTS + LEG_PARTS:
            return sign
    return 0


def _body_part(name: str) -> str:
    stem = name.removeprefix("Left").removeprefix("Right")
    if stem in LEG_PARTS:
        return "leg"
    if stem in ARM_PARTS:
        return "collar" if stem == "Shoulder" else "arm"
    return "head" if stem in ("Neck", "Head") else "trunk"


def _source_cells(solid: VoxelSolid, bone: _Bone) -> Indices:
    found = []
    for start, end in bone.segments:
        count = max(2, int(np.linalg.norm(end - start) / (0.5 * solid.size)))
        found.append(solid.nearest(start + np.linspace(0, 1, count)[:, None] * (end - start)))
    return np.unique(np.concatenate(found))


def _measure_radii(solid: VoxelSolid, bones: list[_Bone], sources: list[Indices]) -> Points:
    """(B,) typical metres from a bone to the surface, common to the bones of one part of the body."""
    depth = ndimage.distance_transform_edt(solid.cells)[tuple(solid.indices.T)] * solid.size
    thinnest = _THINNEST * solid.size * solid.cells.any(axis=(0, 2)).sum()
    parts = np.array([bone.part for bone in bones])
    radii = np.empty(len(bones))
    for part in set(parts):
        cells = np.concatenate([sources[number] for number in np.flatnonzero(parts == part)])
        radii[parts == part] = max(float(np.quantile(depth[cells], _RADIUS_QUANTILE)), thinnest)
    return radii


def _nearby_cells(solid: VoxelSolid, places: Points) -> Indices:
    """(V, 6) the cells nearest to each vertex; those not joined to the first are replaced by it."""
    _, cells = solid.tree.query(places, k=_NEIGHBOUR_CELLS)
    gap = np.abs(solid.indices[cells] - solid.indices[cells[:, :1]]).max(axis=2)
    return np.where(gap <= 1, cells, cells[:, :1])


def _mark_farther_side(distances: Points, sides: Indices) -> Points:
    """(V, B) for limbs of the side that is farther away: by which share it is; 0 for all other bones."""
    excess = np.zeros_like(distances)
    left, right = (distances[:, sides == side].min(axis=1) for side in (1, -1))
    for side, own, other in ((1, left, right), (-1, right, left)):
        excess[:, sides == side] = np.maximum(own / np.maximum(other, 1e-9) - 1.0, 0.0)[:, None]
    return excess


def _distances_to_weights(distances: Points, farther: Points) -> Points:
    """Inverse-power falloff relative to the nearest bone; the farther side's limbs fade out."""
    nearest = np.maximum(distances.min(axis=1, keepdims=True), 1e-9)
    weights = (nearest / np.maximum(distances, 1e-9)) ** _FALLOFF
    weights *= np.clip(1.0 - farther / _SIDE_FADE, 0.0, 1.0)
    return weights / weights.sum(axis=1, keepdims=True)


def _smooth_weights(weights: Points, places: Points, faces: Indices) -> Points:
    """Average over edges until the weights are smooth on about 1.5 % of the body's height.

    Edges longer than that pass on less, so that coarse meshes are not blurred.
    """
    edges = np.concatenate((faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]))
    lengths = np.linalg.norm(places[edges[:, 0]] - places[edges[:, 1]], axis=1)
    wanted = _SMOOTHING * float(np.ptp(places[:, 1]))
    rounds = int(np.clip(np.ceil(4 * (wanted / max(float(lengths.mean()), 1e-9)) ** 2), 2, 40))
    shares = np.minimum(1.0, wanted / np.maximum(lengths, 1e-9)) ** 2
    half = sparse.coo_matrix((shares, (edges[:, 0], edges[:, 1])), shape=(len(places),) * 2).tocsr()
    links = half.maximum(half.T)
    degree = np.maximum(np.asarray((links > 0).sum(axis=1)).ravel(), 1)
    kept = 1.0 - 0.5 * np.asarray(links.sum(axis=1)).ravel() / degree
    step = sparse.diags(kept) + sparse.diags(0.5 / degree) @ links
    for _ in range(rounds):
        weights = step @ weights
    return weights


def _related_bones(skeleton: Skeleton, bones: list[_Bone]) -> BoolArray:
    """(B, B) bool: not of opposite sides, and at most two steps apart in the tree or chest and upper arm."""
    joints = np.array([bone.joint for bone in bones])
    children = np.flatnonzero(skeleton.parents >= 0)
    size = (len(skeleton.names),) * 2
    tree = sparse.coo_matrix((np.ones(len(children)), (children, skeleton.parents[children])), shape=size)
    steps = csgraph.shortest_path(tree.tocsr(), directed=False, unweighted=True)[np.ix_(joints, joints)]
    names = [skeleton.names[joint].removeprefix(PREFIX) for joint in joints]
    chest = np.array([name in _CHEST for name in names])
    upper_arm = np.array([name.endswith(("LeftArm", "RightArm")) for name in names])
    near = (steps <= _TREE_REACH) | (chest[:, None] & upper_arm) | (upper_arm[:, None] & chest)
    sides = np.array([bone.side for bone in bones])
    return near & (sides[:, None] * sides[None] >= 0)


def _keep_related(weights: Points, related: BoolArray) -> Points:
    return weights * related[weights.argmax(axis=1)]


def _keep_strongest(weights: Points, joints: Indices) -> tuple[Indices, Points]:
    order = np.argsort(-weights, axis=1, kind="stable")[:, :MAX_INFLUENCES]
    shares = np.take_along_axis(weights, order, axis=1)
    shares /= shares.sum(axis=1, keepdims=True)
    shares[shares < _SMALLEST_WEIGHT] = 0.0
    shares /= shares.sum(axis=1, keepdims=True)
    return np.where(shares > 0, joints[order], joints[order[:, :1]]), shares
