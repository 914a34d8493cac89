"""Contacts: where an arm is fused with a part of the body that it only touches.

Every part of the body is labeled rest, arm or shoulder (arm and shoulder by side; the shoulder connects the
arm to the rest). Arm and rest are never adjacent on a body whose arms are free; where they are, that is a
contact.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from ...types import BoolArray, Float64Array, Int64Array, Skeleton
from ..skeleton import PREFIX, SIDES

REST = 0
_ARM, _SHOULDER = 1, 2
_SHOULDER_SHARE = 0.35
"""Share of the upper arm that belongs to the shoulder and may be adjacent to the chest."""


def label_regions(skeleton: Skeleton, points: Float64Array, joints: Int64Array) -> Int64Array:
    """Label points (K, 3) by the joint (K,) with the largest weight: REST, ±1 arm, ±2 shoulder; + is left."""
    labels = np.full(len(points), REST)
    for side, sign in zip(SIDES, (1, -1), strict=True):
        collar, upper, lower = (
            skeleton.index(f"{PREFIX}{side}{part}") for part in ("Shoulder", "Arm", "ForeArm")
        )
        hand = [at for at, name in enumerate(skeleton.names) if name.startswith(f"{PREFIX}{side}Hand")]
        start, end = (skeleton.positions[joint].astype(np.float64) for joint in (upper, lower))
        along = (points - start) @ (end - start) / max(float((end - start) @ (end - start)), 1e-12)
        is_upper = joints == upper
        labels[(joints == collar) | is_upper] = sign * _SHOULDER
        labels[(is_upper & (along > _SHOULDER_SHARE)) | np.isin(joints, (lower, *hand))] = sign * _ARM
    return labels


def is_contact(first: Int64Array, second: Int64Array) -> BoolArray:
    """Return (K,) bool, whether labels (K,) next to each other are a contact.

    That is an arm beside anything but itself and its own shoulder.
    """
    differ = first != second
    own = first * second == _ARM * _SHOULDER
    return differ & ~own & ((np.abs(first) == _ARM) | (np.abs(second) == _ARM))


def cut_contacts(graph: sparse.csr_matrix, labels: Int64Array) -> sparse.csr_matrix:
    """Return the graph of the cells (N, N) without the edges that cross a contact."""
    links = graph.tocoo()
    kept = ~is_contact(labels[links.row], labels[links.col])
    if kept.all():
        return graph
    return sparse.coo_matrix((links.data[kept], (links.row[kept], links.col[kept])), graph.shape).tocsr()
