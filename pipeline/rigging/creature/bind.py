"""Skin weights of a skeleton that is no person's, by distances through the interior as in ../skin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...mesh.components import find_components
from ...mesh.topology import list_directed_edges
from ...progress import Progress, ignore_progress
from ...types import Float64Array, Int64Array, Mesh, Skeleton, SkinWeights
from ..skin.bone_distances import Bone, measure_bones
from ..skin.skinning import keep_strongest
from ..skin.smoothing import smooth_over_edges
from ..voxel_solid import VoxelSolid
from .name_limbs import ROOT, SPINE

_TRUNK = "trunk"
"""The body part of root and spine; each other piece is one of its own, named apart from a person's."""
_FALLOFF, _SMOOTHING = 6.0, 0.02
"""Power of the distance; share of the longest side."""


def bind_creature(
    mesh: Mesh,
    skeleton: Skeleton,
    parts: Sequence[str],
    solid: VoxelSolid,
    *,
    progress: Progress = ignore_progress,
) -> SkinWeights:
    """Bind a mesh to a skeleton that `fit_creature` fitted; parts: (J,) name of the branch of each joint.

    At most 4 influences per vertex, rows sum to 1; end joints carry no weight, and vertices at one place get
    equal weights.
    """
    bones = _list_bones(skeleton, parts)
    distances = measure_bones(solid, solid.graph, bones, progress)
    welded = find_components(mesh)
    near = distances[solid.nearest(welded.points)]
    weights = (near.min(axis=1, keepdims=True) / np.maximum(near, 1e-9)) ** _FALLOFF
    weights /= weights.sum(axis=1, keepdims=True)
    edges = np.stack(list_directed_edges(welded.faces), axis=1)
    width = _SMOOTHING * float(np.ptp(welded.points, axis=0).max())
    weights = smooth_over_edges(weights, welded.points, edges, width)
    joints, shares = keep_strongest(weights, np.array([bone.joint for bone in bones]))
    return SkinWeights(joints[welded.inverse], shares[welded.inverse])


def _list_bones(skeleton: Skeleton, parts: Sequence[str]) -> list[Bone]:
    """One for each joint with children: the segments to those of its own piece, or its place alone."""
    positions = skeleton.positions.astype(np.float64)
    bones = []
    for joint in range(len(skeleton.names)):
        children = np.flatnonzero(skeleton.parents == joint)
        if len(children):
            bones.append(
                Bone(joint, _segments(positions, joint, children, parts), 0, _name_part(parts[joint]))
            )
    return bones


def _name_part(piece: str) -> str:
    return _TRUNK if piece.startswith((ROOT, SPINE)) else f"piece {piece}"


def _segments(
    positions: Float64Array, joint: int, children: Int64Array, parts: Sequence[str]
) -> Float64Array:
    own = [child for child in children if parts[child] == parts[joint]] or [joint]
    return np.stack([np.stack((positions[joint], positions[child])) for child in own])
