"""Rest transforms as files hold them, exact in float64, and clips between their keys."""

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


def make_continuous(quaternions: Float64Array) -> Float64Array:
    """(T, …, 4) unit quaternions, each the nearer of q and -q to the one before it."""
    turned = (quaternions[1:] * quaternions[:-1]).sum(axis=-1, keepdims=True) < 0
    signs = np.cumprod(np.where(turned, -1.0, 1.0), axis=0)
    return np.concatenate((quaternions[:1], quaternions[1:] * signs))


def sample_rotations(clip: AnimationClip, times: Float64Array) -> Float64Array:
    """(T, J, 4) unit quaternions x, y, z, w at `times` (seconds), slerped between the clip's keys."""
    keys = clip.rotations.astype(np.float64)
    keys = make_continuous(keys / np.linalg.norm(keys, axis=-1, keepdims=True))
    if len(keys) == 1:
        return np.repeat(keys, len(times), axis=0)
    key_times = clip.times.astype(np.float64)
    after = np.clip(np.searchsorted(key_times, times, side="right"), 1, len(keys) - 1)
    start, end = keys[after - 1], keys[after]
    share = ((times - key_times[after - 1]) / (key_times[after] - key_times[after - 1]))[:, None, None]
    share = np.clip(share, 0, 1)
    angle = np.arccos(np.clip((start * end).sum(axis=-1, keepdims=True), -1, 1))
    sine = np.sin(angle)
    is_small = sine < 1e-6
    sine = np.where(is_small, 1.0, sine)
    first = np.where(is_small, 1 - share, np.sin((1 - share) * angle) / sine)
    second = np.where(is_small, share, np.sin(share * angle) / sine)
    mixed = first * start + second * end
    return mixed / np.linalg.norm(mixed, axis=-1, keepdims=True)


def sample_translations(clip: AnimationClip, times: Float64Array) -> Float64Array:
    """(T, 3) metres, of the first joint in the mesh frame, linear between the clip's keys."""
    columns = clip.translations.astype(np.float64).T
    return np.stack([np.interp(times, clip.times, column) for column in columns], axis=1)
