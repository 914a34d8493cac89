"""Welds: where an arm has grown together with the body that it only touches.

A part of the body is labelled REST, ARM (of one side) or SHOULDER (of one side, the way from arm to rest).
ARM and REST never meet on a body whose arms stand free; where they do, there is a weld.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from ...types import BoolArray, Skeleton
from ..skeleton import PREFIX, SIDES
from ..voxel_solid import Indices, Points

REST = 0
_ARM, _SHOULDER = 1, 2
_SHOULDER_SHARE = 0.35
"""Share of the upper arm that may meet the chest."""


def label_regions(skeleton: Skeleton, points: Points, joints: Indices) -> Indices:
    """Label points (K, 3) by the joint (K,) that owns them: REST, or +-1 arm, +-2 shoulder, + is left."""
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


def are_apart(first: Indices, second: Indices) -> BoolArray:
    """Whether two labels belong to parts that only touch: an arm and anything but its own shoulder."""
    differ = first != second
    own = first * second == _ARM * _SHOULDER
    return differ & ~own & ((np.abs(first) == _ARM) | (np.abs(second) == _ARM))


def cut_links(graph: sparse.csr_matrix, labels: Indices) -> sparse.csr_matrix:
    """The graph over cells (N, N) without its links over welds; itself where there are none."""
    links = graph.tocoo()
    apart = are_apart(labels[links.row], labels[links.col])
    if not apart.any():
        return graph
    kept = ~apart
    return sparse.coo_matrix((links.data[kept], (links.row[kept], links.col[kept])), graph.shape).tocsr()
