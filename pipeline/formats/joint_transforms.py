"""Rest transforms for files, exact in float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from ..types import AnimationClip, Float64Array, Skeleton

_SAME_ROTATION = 1e-6
"""Largest difference of equal quaternions: 2e-6 radians, the precision of float32 keys."""


def make_exact_rest(skeleton: Skeleton) -> Float64Array:
    """Return the rest transforms (J, 4, 4), metres, with rotations orthogonal to float64 precision.

    float32 rotations deviate by 1e-7; without the deviation, products of local transforms equal the bind
    matrices.
    """
    rest = np.tile(np.eye(4), (len(skeleton.names), 1, 1))
    left, _, right = np.linalg.svd(skeleton.rest[:, :3, :3].astype(np.float64))
    rest[:, :3, :3] = left @ right
    rest[:, :3, 3] = skeleton.positions
    return rest


def world_to_local(parents: npt.NDArray[np.integer], rest: Float64Array) -> Float64Array:
    """Convert transforms (J, 4, 4) in the mesh frame to transforms relative to the parents."""
    local = rest.copy()
    below = parents >= 0
    local[below] = np.linalg.inv(rest[parents[below]]) @ rest[below]
    return local


def find_moving_joints(local_rest: Float64Array, clips: Sequence[AnimationClip]) -> list[int]:
    """Return the joints that any clip rotates away from rest.

    They get keys in every clip, because players that switch clips leave joints without keys as they are.
    """
    rest = Rotation.from_matrix(local_rest[:, :3, :3]).as_quat()
    moving = np.zeros(len(local_rest), dtype=bool)
    for clip in clips:
        signs = np.where((clip.rotations * rest).sum(axis=-1, keepdims=True) < 0, -1.0, 1.0)
        moving |= (np.linalg.norm(clip.rotations * signs - rest, axis=-1) > _SAME_ROTATION).any(axis=0)
    return np.flatnonzero(moving).tolist()


def move_in_parents(skeleton: Skeleton, clips: Sequence[AnimationClip]) -> list[AnimationClip]:
    """Return the clips with the places of their movers, (T, 3) metres, in the axes of the joint above."""
    moved = []
    for clip in clips:
        above = int(skeleton.parents[clip.mover])
        axes = np.eye(4) if above < 0 else make_exact_rest(skeleton)[above]
        places = (clip.translations - axes[:3, 3]) @ axes[:3, :3]
        moved.append(clip if above < 0 else replace(clip, translations=places))
    return moved
