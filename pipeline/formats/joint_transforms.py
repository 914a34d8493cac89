"""Rest transforms as files hold them, exact in float64."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from ..types import AnimationClip, Skeleton

Float64Array = npt.NDArray[np.float64]

_STILL = 1e-6
"""Quaternions this close are one rotation: 2e-6 radians, what float32 keys leave open."""


def make_exact_rest(skeleton: Skeleton) -> Float64Array:
    """(J, 4, 4) rest transforms, metres, whose rotations are exact to float64.

    float32 rotations are off by 1e-7; made exact, local transforms multiply back to the bind matrices.
    """
    rest = np.tile(np.eye(4), (len(skeleton.names), 1, 1))
    left, _, right = np.linalg.svd(skeleton.rest[:, :3, :3].astype(np.float64))
    rest[:, :3, :3] = left @ right
    rest[:, :3, 3] = skeleton.positions
    return rest


def world_to_local(parents: npt.NDArray[np.integer], rest: Float64Array) -> Float64Array:
    """(J, 4, 4) transforms in the parents' axes, of (J, 4, 4) ones in the mesh frame."""
    local = rest.copy()
    below = parents >= 0
    local[below] = np.linalg.inv(rest[parents[below]]) @ rest[below]
    return local


def find_moving_joints(local_rest: Float64Array, clips: Sequence[AnimationClip]) -> list[int]:
    """Joints that any clip turns away from rest.

    They get keys in every clip: players that go from one clip to another leave what has no keys as it was.
    """
    rest = Rotation.from_matrix(local_rest[:, :3, :3]).as_quat()
    moving = np.zeros(len(local_rest), dtype=bool)
    for clip in clips:
        signs = np.where((clip.rotations * rest).sum(axis=-1, keepdims=True) < 0, -1.0, 1.0)
        moving |= (np.linalg.norm(clip.rotations * signs - rest, axis=-1) > _STILL).any(axis=0)
    return np.flatnonzero(moving).tolist()
