"""Contacts: where an arm or a leg is fused with a part of the body that it only touches.

Every part of the body is labeled rest, arm, shoulder, leg or thigh (by side; the shoulder connects the arm to
the rest, the thigh is the leg where both may touch) or appendage: what hangs on head or trunk and has joints
of its own. Arm and rest, both legs, and appendage and leg are never adjacent on a body whose limbs are free;
where they are, that is a contact. What a hand holds is part of the arm.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from ...types import BoolArray, Float64Array, Int64Array, Mesh, Skeleton, SkinWeights
from ..skeleton import LEG_PARTS, PREFIX, SIDES, list_appendage_joints

REST = 0
ARM, _SHOULDER, _LEG, _APPENDAGE, _THIGH = 1, 2, 3, 4, 5
LIMBS = (ARM, _LEG, _APPENDAGE)
NOWHERE = float("-inf")
_SHOULDER_SHARE = 0.35
"""Share of the upper arm that belongs to the shoulder and may be adjacent to the chest."""


def label_regions(
    skeleton: Skeleton, points: Float64Array, joints: Int64Array, legs_apart_below: float = NOWHERE
) -> Int64Array:
    """Label points (K, 3) by the joint (K,) with the largest weight.

    Returns REST, ±1 arm, ±2 shoulder, ±3 leg below the height `legs_apart_below`, 4 appendage, ±5 thigh; + is
    left.
    """
    below = points[:, 1] < legs_apart_below
    labels = np.full(len(points), REST)
    labels[np.isin(joints, list_appendage_joints(skeleton))] = _APPENDAGE
    for side, sign in zip(SIDES, (1, -1), strict=True):
        collar, upper, lower = (
            skeleton.index(f"{PREFIX}{side}{part}") for part in ("Shoulder", "Arm", "ForeArm")
        )
        hand = [at for at, name in enumerate(skeleton.names) if name.startswith(f"{PREFIX}{side}Hand")]
        start, end = (skeleton.positions[joint].astype(np.float64) for joint in (upper, lower))
        along = (points - start) @ (end - start) / max(float((end - start) @ (end - start)), 1e-12)
        is_upper = joints == upper
        labels[(joints == collar) | is_upper] = sign * _SHOULDER
        leg = [skeleton.index(f"{PREFIX}{side}{part}") for part in LEG_PARTS]
        is_leg = np.isin(joints, leg)
        labels[is_leg] = sign * np.where(below[is_leg], _LEG, _THIGH)
        labels[(is_upper & (along > _SHOULDER_SHARE)) | np.isin(joints, (lower, *hand))] = sign * ARM
    return labels


def label_vertices(mesh: Mesh, skeleton: Skeleton, skin: SkinWeights, legs_apart_below: float) -> Int64Array:
    """Label the vertices (V,) as `label_regions` does."""
    owner = skin.joints[np.arange(len(skin.joints)), skin.weights.argmax(axis=1)]
    return label_regions(
        skeleton, mesh.positions.astype(np.float64), owner.astype(np.int64), legs_apart_below
    )


def find_cut_faces(corners: Int64Array) -> BoolArray:
    """Return (F,) bool, whether a face whose corners have labels (F, 3) crosses a contact."""
    cut = np.zeros(len(corners), bool)
    for a, b in ((0, 1), (1, 2), (2, 0)):
        cut |= is_contact(corners[:, a], corners[:, b])
    return cut


def is_contact(first: Int64Array, second: Int64Array) -> BoolArray:
    """Return (K,) bool, whether labels (K,) next to each other are a contact.

    That is an arm beside anything but itself and its own shoulder, a leg beside the other one, or an
    appendage beside a leg.
    """
    differ = first != second
    own = first * second == ARM * _SHOULDER
    arms = differ & ~own & ((np.abs(first) == ARM) | (np.abs(second) == ARM))
    sizes = np.abs(first), np.abs(second)
    beside = (np.minimum(*sizes) >= _LEG) & ((sizes[0] == _APPENDAGE) != (sizes[1] == _APPENDAGE))
    return arms | (first * second == -_LEG * _LEG) | beside


def cut_contacts(graph: sparse.csr_matrix, labels: Int64Array, sources: Int64Array) -> sparse.csr_matrix:
    """Return the graph of the cells (N, N) without the edges that cross a contact.

    What no bone's cells, `sources`, would reach any more is not cut off.
    """
    links = graph.tocoo()
    kept = ~is_contact(labels[links.row], labels[links.col])
    if kept.all():
        return graph
    ends = links.row[kept], links.col[kept]
    count, body = csgraph.connected_components(sparse.coo_matrix((links.data[kept], ends), graph.shape))
    is_reached = np.isin(np.arange(count), body[sources])[body]
    kept |= ~is_reached[links.row] | ~is_reached[links.col]
    return sparse.coo_matrix((links.data[kept], (links.row[kept], links.col[kept])), graph.shape).tocsr()
