"""Skin weights from geodesic distances through the interior of the body.

Geodesic voxel binding: O. Dionne, M. de Lasa, "Geodesic Voxel Binding for Production Character Meshes",
SCA 2013, with six changes. Distances are measured in radii of the bone they start from, so that a thin arm
does not take over the chest beside it, and beyond its surface alike for all bones. What is one rigid piece
stays one, and a closed piece that is one part of the body's is bound to that part. A vertex is bound only to
bones near its closest ones in the skeleton; between limbs of both sides the weights fade. The interior is
cut where limbs only touch the body or each other. What has a mirror image has mirrored weights.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from ...conventions import MAX_INFLUENCES
from ...mesh.components import MeshComponents, find_components
from ...mesh.topology import list_directed_edges
from ...progress import Progress, ignore_progress, span_progress
from ...types import BoolArray, Float64Array, FloatArray, Int64Array, IntArray, Mesh, Skeleton, SkinWeights
from ..appendages import Appendage, list_appendage_bones
from ..skeleton import PREFIX, measure_tree_distances
from ..voxel_solid import VoxelSolid
from ..voxelize import voxelize_mesh
from .bone_distances import Bone, find_nearest_bones, list_bones, list_source_cells, measure_bones
from .contact_cuts import ARM, NOWHERE, cut_contacts, is_contact, label_regions
from .finger_skin import share_with_fingers
from .mirror_pieces import mirror_distances
from .piece_parts import separate_pieces
from .rigid_pieces import hold_pieces
from .smoothing import smooth_over_edges

_FALLOFF = 8.0
_LIMB_FALLOFF = 20.0
"""Between the bones of an arm or leg: elbows and knees bend by more than other joints, and lose less volume
the narrower they do it."""
_CELLS_PER_VERTEX = 6
_MAX_TREE_DISTANCE = 2
_LIMB_PARTS = ("arm", "leg")
_CHEST = ("Spine1", "Spine2")
_SIDE_FADE = 0.08
_SMOOTHING = 0.008
"""Share of the body's height."""
_MIN_WEIGHT = 0.01


def compute_skin_weights(
    mesh: Mesh,
    skeleton: Skeleton,
    *,
    hidden: Collection[str] = (),
    legs_apart_below: float = NOWHERE,
    appendages: Sequence[Appendage] = (),
    solid: VoxelSolid | None = None,
    influences: int = MAX_INFLUENCES,
    progress: Progress = ignore_progress,
) -> SkinWeights:
    """Bind a mesh to a skeleton from `fit_skeleton`.

    The joints named in `hidden` carry no weight: what is nearest to their bones moves with the chest, or with
    the hips in the case of a leg.

    Below the height `legs_apart_below`, metres, the legs are bound as if they did not touch. `appendages`,
    whose joints the skeleton has, are bound to those. `solid` is the mesh's interior, if it is known.

    Returns at most `influences` joints per vertex; rows sum to 1. End joints carry no weight, and coincident
    vertices (UV seams) get equal weights. Components detached from the body are bound like the nearest
    point of the body, rigid ones (`hold_pieces`) as one. Raises RigError if the mesh encloses no volume.
    """
    progress(0.0)
    solid = solid or voxelize_mesh(mesh)
    bones = list_bones(skeleton)
    bones += [bone for appendage in appendages for bone in list_appendage_bones(skeleton, appendage)]
    owners = _list_owners(skeleton, bones, hidden)
    nearest = owners[find_nearest_bones(solid, bones)]
    region = label_regions(skeleton, solid.centers, nearest, legs_apart_below)
    sources = np.concatenate([list_source_cells(solid, bone) for bone in bones])
    graph = cut_contacts(solid.graph, region, sources)
    distances = measure_bones(solid, graph, bones, span_progress(progress, 0.2, 0.7))
    bones, distances = _merge_hidden(bones, owners, distances)
    welded = find_components(mesh)
    cells = _nearby_cells(solid, welded.points, region)
    near = np.asarray(distances[cells].mean(axis=1), np.float64)
    near = mirror_distances(near, welded, skeleton, bones)
    near = _separate_pieces(near, welded, region[cells[:, 0]], bones)
    weights = _blend_weights(near, welded.points, welded.faces, region[cells[:, 0]], skeleton, bones)
    weights = hold_pieces(weights, welded, skeleton, bones)
    owners = np.array([bone.joint for bone in bones])
    weights, owners = share_with_fingers(
        weights, owners, Mesh(welded.points, welded.faces), skeleton, span_progress(progress, 0.7, 0.95)
    )
    joints, shares = keep_strongest(weights, owners, count=influences)
    joints, shares = joints[welded.inverse], shares[welded.inverse]
    for appendage in appendages:
        joints[appendage.vertices] = skeleton.index(PREFIX + appendage.names[0])
        shares[appendage.vertices] = np.eye(1, influences)
    progress(1.0)
    return SkinWeights(joints, shares)


def _list_owners(skeleton: Skeleton, bones: Sequence[Bone], hidden: Collection[str]) -> Int64Array:
    """(B,) the joint that moves what is nearest to each bone: its own, or for hidden ones hips or chest."""
    trunk = {
        part: skeleton.index(f"{PREFIX}{'Hips' if part == 'leg' else 'Spine2'}") for part in ("leg", "arm")
    }
    return np.array(
        [trunk[bone.part] if skeleton.names[bone.joint] in hidden else bone.joint for bone in bones]
    )


def _merge_hidden(
    bones: list[Bone], owners: Int64Array, distances: Float64Array
) -> tuple[list[Bone], Float64Array]:
    """The bones that carry weight, and distances (N, B) from them and those that they stand for."""
    kept = [bone for bone, owner in zip(bones, owners, strict=True) if bone.joint == owner]
    merged = [distances[:, owners == bone.joint].min(axis=1) for bone in kept]
    return kept, np.stack(merged, axis=1)


def _separate_pieces(
    distances: Float64Array, pieces: MeshComponents, region: Int64Array, bones: list[Bone]
) -> Float64Array:
    """The distances, without those between a piece of one part of the body and the bones of others."""
    side_excess = _measure_side_excess(distances, np.array([bone.side for bone in bones]))
    weights = _distances_to_weights(distances, bones, side_excess)
    return separate_pieces(distances, weights, pieces, bones, np.abs(region) == ARM)


def _blend_weights(
    distances: Float64Array,
    positions: Float64Array,
    faces: Int64Array,
    region: Int64Array,
    skeleton: Skeleton,
    bones: list[Bone],
) -> Float64Array:
    """(V, B) smoothed weights, of related bones only."""
    side_excess = _measure_side_excess(distances, np.array([bone.side for bone in bones]))
    weights = _distances_to_weights(distances, bones, side_excess)
    weights = _smooth_weights(weights, positions, faces, region)
    weights *= _fade_farther_side(side_excess)
    return _keep_related(weights, _relate_bones(skeleton, bones))


def _nearby_cells(solid: VoxelSolid, positions: Float64Array, region: Int64Array) -> Int64Array:
    """(V, 6) cells nearest to each vertex; those not adjacent to the first are replaced by it."""
    _, cells = solid.tree.query(positions, k=_CELLS_PER_VERTEX)
    gap = np.abs(solid.indices[cells] - solid.indices[cells[:, :1]]).max(axis=2)
    joined = (gap <= 1) & ~is_contact(region[cells], region[cells[:, :1]])
    return np.where(joined, cells, cells[:, :1])


def _measure_side_excess(distances: Float64Array, sides: Int64Array) -> Float64Array:
    """(V, B) relative excess distance of the farther side, for the bones of its limbs; 0 for other bones."""
    excess = np.zeros_like(distances)
    left, right = (distances[:, sides == side].min(axis=1) for side in (1, -1))
    for side, own, other in ((1, left, right), (-1, right, left)):
        excess[:, sides == side] = np.maximum(own / np.maximum(other, 1e-9) - 1.0, 0.0)[:, None]
    return excess


def _distances_to_weights(
    distances: Float64Array, bones: list[Bone], side_excess: Float64Array
) -> Float64Array:
    """Inverse-power falloff relative to the nearest bone; limbs of the farther side fade out.

    First between the parts of the body, then between the bones of each.
    """
    parts = [(bone.part, bone.side) for bone in bones]
    weights = np.empty_like(distances)
    nearest = np.maximum(distances.min(axis=1, keepdims=True), 1e-9)
    for part in set(parts):
        own = [number for number, other in enumerate(parts) if other == part]
        away = np.maximum(distances[:, own], 1e-9)
        least = away.min(axis=1, keepdims=True)
        shares = (least / away) ** (_LIMB_FALLOFF if part[0] in _LIMB_PARTS else _FALLOFF)
        weights[:, own] = (nearest / least) ** _FALLOFF * shares / shares.sum(axis=1, keepdims=True)
    weights *= _fade_farther_side(side_excess)
    return weights / weights.sum(axis=1, keepdims=True)


def _fade_farther_side(side_excess: Float64Array) -> Float64Array:
    return np.clip(1.0 - side_excess / _SIDE_FADE, 0.0, 1.0)


def _smooth_weights(
    weights: Float64Array, positions: Float64Array, faces: Int64Array, region: Int64Array
) -> Float64Array:
    """Smooth over about 1.5 % of the body's height, but not across contacts."""
    edges = np.stack(list_directed_edges(faces), axis=1)
    edges = edges[~is_contact(region[edges[:, 0]], region[edges[:, 1]])]
    return smooth_over_edges(weights, positions, edges, _SMOOTHING * float(np.ptp(positions[:, 1])))


def _relate_bones(skeleton: Skeleton, bones: list[Bone]) -> BoolArray:
    """(B, B) bool, whether two bones may share a vertex.

    They are not of opposite sides, and at most two joints apart in the tree or chest and upper arm.
    """
    joints = np.array([bone.joint for bone in bones])
    steps = measure_tree_distances(skeleton.parents)[np.ix_(joints, joints)]
    names = [skeleton.names[joint].removeprefix(PREFIX) for joint in joints]
    chest = np.array([name in _CHEST for name in names])
    upper_arm = np.array([name.endswith(("LeftArm", "RightArm")) for name in names])
    near = (steps <= _MAX_TREE_DISTANCE) | (chest[:, None] & upper_arm) | (upper_arm[:, None] & chest)
    sides = np.array([bone.side for bone in bones])
    return near & (sides[:, None] * sides[None] >= 0)


def _keep_related(weights: Float64Array, related: BoolArray) -> Float64Array:
    """The weights (V, B), each times the share of the vertex that belongs to bones related to its own.

    Squares let the strongest bones decide, without a jump where another bone becomes the strongest.
    """
    strength = weights**2
    strength /= np.maximum(strength.sum(axis=1, keepdims=True), 1e-12)
    return weights * (strength @ related)


def keep_strongest(
    weights: FloatArray, joints: IntArray, *, count: int = MAX_INFLUENCES, smallest: float = _MIN_WEIGHT
) -> tuple[IntArray, FloatArray]:
    """Return the `count` largest of weights (V, B) of joints (B,): joints (V, count), weights (V, count).

    Weights below `smallest` are dropped; rows sum to 1. If fewer remain, the row is filled with the strongest
    joint and weight 0.
    """
    order = np.argsort(-weights, axis=1, kind="stable")[:, :count]
    shares = np.take_along_axis(weights, order, axis=1)
    shares /= shares.sum(axis=1, keepdims=True)
    shares[shares < smallest] = 0.0
    shares /= shares.sum(axis=1, keepdims=True)
    return np.where(shares > 0, joints[order], joints[order[:, :1]]), shares
