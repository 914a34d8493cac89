"""Skin weights by distances through the inside of the body.

Geodesic voxel binding: O. Dionne, M. de Lasa, "Geodesic Voxel Binding for Production Character
Meshes", SCA 2013. Three changes: distances are measured in radii of the bone they start from, so that a
thin arm does not take over the chest beside it; and a vertex is bound only to the bones around its
nearest one in the tree, never to limbs of both sides; and the inside is cut where an arm is welded to
the body, so that parts that touch stay apart.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from ...conventions import MAX_INFLUENCES
from ...mesh.components import MeshComponents, find_components, measure_component_extents
from ...progress import Progress, ignore_progress, span_progress
from ...types import BoolArray, FloatArray, IntArray, Mesh, Skeleton, SkinWeights
from ..skeleton import PREFIX
from ..voxel_solid import Indices, Points, VoxelSolid
from ..voxelize import voxelise_mesh
from .bone_distances import Bone, list_bones, measure_bones
from .contact_cuts import are_apart, cut_links, label_regions
from .finger_skin import share_with_fingers
from .smoothing import smooth_over_edges

_FALLOFF = 8.0
_NEIGHBOUR_CELLS = 6
_TREE_REACH = 2
_CHEST = ("Spine1", "Spine2")
_SIDE_FADE = 0.15
_SMOOTHING = 0.015
_SMALLEST_WEIGHT = 0.01
_TRIFLE, _MOST_TRIFLES = 0.1, 0.25


def compute_skin_weights(
    mesh: Mesh, skeleton: Skeleton, *, progress: Progress = ignore_progress
) -> SkinWeights:
    """Bind a mesh to a skeleton from `fit_skeleton`.

    At most 4 influences a vertex, rows sum to 1; end joints carry no weight, and vertices at one place
    (UV seams) get equal weights. Pieces that stand off the body are bound like the place nearest to
    them, small ones as a whole. RigError if the mesh encloses no volume.
    """
    progress(0.0)
    solid = voxelise_mesh(mesh)
    bones = list_bones(skeleton)
    distances = measure_bones(solid, solid.graph, bones, span_progress(progress, 0.1, 0.4))
    region = label_regions(skeleton, solid.centres, _nearest_joints(bones, distances))
    graph = cut_links(solid.graph, region)
    if graph.nnz < solid.graph.nnz:
        distances = measure_bones(solid, graph, bones, span_progress(progress, 0.4, 0.7))
    welded = find_components(mesh)
    cells = _nearby_cells(solid, welded.points, region)
    near = np.asarray(distances[cells].mean(axis=1), np.float64)
    weights = _blend_weights(near, welded.points, welded.faces, region[cells[:, 0]], skeleton, bones)
    weights = _make_small_components_rigid(weights, welded)
    owners = np.array([bone.joint for bone in bones])
    weights, owners = share_with_fingers(
        weights, owners, Mesh(welded.points, welded.faces), skeleton, span_progress(progress, 0.7, 0.95)
    )
    joints, shares = keep_strongest(weights, owners)
    progress(1.0)
    return SkinWeights(joints[welded.inverse], shares[welded.inverse])


def _nearest_joints(bones: list[Bone], distances: Points) -> Indices:
    return np.array([bone.joint for bone in bones])[distances.argmin(axis=1)]


def _blend_weights(
    distances: Points, places: Points, faces: Indices, region: Indices, skeleton: Skeleton, bones: list[Bone]
) -> Points:
    """(V, B) smooth weights of the vertices, bound to related bones only."""
    farther = _mark_farther_side(distances, np.array([bone.side for bone in bones]))
    weights = _distances_to_weights(distances, farther)
    weights = _smooth_weights(weights, places, faces, region)
    weights[farther > 0] = 0.0
    return _keep_related(weights, _related_bones(skeleton, bones))


def _nearby_cells(solid: VoxelSolid, places: Points, region: Indices) -> Indices:
    """(V, 6) the cells nearest to each vertex; those not joined to the first are replaced by it."""
    _, cells = solid.tree.query(places, k=_NEIGHBOUR_CELLS)
    gap = np.abs(solid.indices[cells] - solid.indices[cells[:, :1]]).max(axis=2)
    joined = (gap <= 1) & ~are_apart(region[cells], region[cells[:, :1]])
    return np.where(joined, cells, cells[:, :1])


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


def _smooth_weights(weights: Points, places: Points, faces: Indices, region: Indices) -> Points:
    """Smooth on about 1.5 % of the body's height; edges over a weld pass nothing on."""
    edges = np.concatenate((faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]))
    edges = edges[~are_apart(region[edges[:, 0]], region[edges[:, 1]])]
    return smooth_over_edges(weights, places, edges, _SMOOTHING * float(np.ptp(places[:, 1])))


def _make_small_components_rigid(weights: Points, components: MeshComponents) -> Points:
    """One weight for all of a piece smaller than a tenth of the height: an eye, a button, a bead.

    A mesh that consists of such pieces, unwelded triangles, is left as it is.
    """
    spans = measure_component_extents(components)
    small = spans < _TRIFLE * float(np.ptp(components.points[:, 1]))
    chosen = np.flatnonzero(small[components.labels])
    if not len(chosen) or len(chosen) > _MOST_TRIFLES * len(weights):
        return weights
    names = components.labels[chosen]
    order = (np.ones(len(chosen)), (names, np.arange(len(chosen))))
    totals = sparse.coo_matrix(order, shape=(len(spans), len(chosen))).tocsr() @ weights[chosen]
    stiff = weights.copy()
    stiff[chosen] = totals[names] / np.bincount(names, minlength=len(spans))[names][:, None]
    return stiff


def _related_bones(skeleton: Skeleton, bones: list[Bone]) -> BoolArray:
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


def keep_strongest(
    weights: FloatArray, joints: IntArray, *, smallest: float = _SMALLEST_WEIGHT
) -> tuple[IntArray, FloatArray]:
    """The strongest four of weights (V, B) of joints (B,): joints (V, 4) and weights (V, 4), rows sum to 1.

    Shares below `smallest` go; where fewer than four are left, the strongest joint fills the row with 0.
    """
    order = np.argsort(-weights, axis=1, kind="stable")[:, :MAX_INFLUENCES]
    shares = np.take_along_axis(weights, order, axis=1)
    shares /= shares.sum(axis=1, keepdims=True)
    shares[shares < smallest] = 0.0
    shares /= shares.sum(axis=1, keepdims=True)
    return np.where(shares > 0, joints[order], joints[order[:, :1]]), shares
