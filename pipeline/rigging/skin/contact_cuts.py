"""Contacts: where an arm or a leg is fused with a part of the body that it only touches.

Every part of the body is labeled rest, arm, shoulder or leg (by side; the shoulder connects the arm to the
rest). Arm and rest, and both legs, are never adjacent on a body whose limbs are free; where they are, that is
a contact.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from ...types import BoolArray, Float64Array, Int64Array, Skeleton
from ..skeleton import LEG_PARTS, PREFIX, SIDES

REST = 0
_ARM, _SHOULDER, _LEG = 1, 2, 3
LIMBS = (_ARM, _LEG)
NOWHERE = float("-inf")
_SHOULDER_SHARE = 0.35
"""Share of the upper arm that belongs to the shoulder and may be adjacent to the chest."""


def label_regions(
    skeleton: Skeleton, points: Float64Array, joints: Int64Array, legs_apart_below: float = NOWHERE
) -> Int64Array:
    """Label points (K, 3) by the joint (K,) with the largest weight.

    Returns REST, ±1 arm, ±2 shoulder or, below the height `legs_apart_below`, ±3 leg; + is left.
    """
    below = points[:, 1] < legs_apart_below
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
        leg = [skeleton.index(f"{PREFIX}{side}{part}") for part in LEG_PARTS]
        labels[below & np.isin(joints, leg)] = sign * _LEG
        labels[(is_upper & (along > _SHOULDER_SHARE)) | np.isin(joints, (lower, *hand))] = sign * _ARM
    return labels


def is_contact(first: Int64Array, second: Int64Array) -> BoolArray:
    """Return (K,) bool, whether labels (K,) next to each other are a contact.

    That is an arm beside anything but itself and its own shoulder, or a leg beside the other one.
    """
    differ = first != second
    own = first * second == _ARM * _SHOULDER
    arms = differ & ~own & ((np.abs(first) == _ARM) | (np.abs(second) == _ARM))
    return arms | (first * second == -_LEG * _LEG)


def cut_contacts(graph: sparse.csr_matrix, labels: Int64Array) -> sparse.csr_matrix:
    """Return the graph of the cells (N, N) without the edges that cross a contact."""
    links = graph.tocoo()
    kept = ~is_contact(labels[links.row], labels[links.col])
    if kept.all():
        return graph
    return sparse.coo_matrix((links.data[kept], (links.row[kept], links.col[kept])), graph.shape).tocsr()
