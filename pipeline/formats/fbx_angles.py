"""Euler angles in FBX's default order: degrees about X, then Y, then Z (matrix = Rz Ry Rx)."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from ..types import Float64Array

_GIMBAL_COSINE = 1e-9
FULL_TURN = 360.0


def matrix_to_euler(matrix: Float64Array) -> Float64Array:
    """Return the angles (..., 3) in degrees of rotations (..., 3, 3). In gimbal lock, Z is 0."""
    cosine = np.hypot(matrix[..., 0, 0], matrix[..., 1, 0])
    is_locked = cosine <= _GIMBAL_COSINE
    x = np.arctan2(matrix[..., 2, 1], matrix[..., 2, 2])
    x = np.where(is_locked, np.arctan2(-matrix[..., 1, 2], matrix[..., 1, 1]), x)
    y = np.arctan2(-matrix[..., 2, 0], cosine)
    z = np.where(is_locked, 0.0, np.arctan2(matrix[..., 1, 0], matrix[..., 0, 0]))
    return np.degrees(np.stack((x, y, z), axis=-1))


def euler_to_quaternion(degrees: Float64Array) -> Float64Array:
    """Return unit quaternions (..., 4) x, y, z, w of angles (..., 3) in degrees."""
    turns = Rotation.from_euler("xyz", degrees.reshape(-1, 3), degrees=True)
    return turns.as_quat().reshape(*degrees.shape[:-1], 4)


def quaternions_to_continuous_euler(quaternions: Float64Array, before: Float64Array) -> Float64Array:
    """Return the angles (T, J, 3) in degrees of quaternions (T, J, 4) over time, without jumps.

    before: (J, 3) degrees, the angles before the first key. (x, y, z) and (x + 180, 180 - y, z + 180) are the
    same rotation, and so are angles that differ by 360: each key takes the one closest to its predecessor.
    """
    if not quaternions.size:
        return np.zeros((*quaternions.shape[:2], 3))
    matrices = Rotation.from_quat(quaternions.reshape(-1, 4)).as_matrix()
    angles = matrix_to_euler(matrices.reshape(*quaternions.shape[:2], 3, 3))
    is_locked = 90 - np.abs(angles[..., 1]) < np.degrees(_GIMBAL_COSINE)
    for time, key in enumerate(angles):
        # In gimbal lock only x - z (y = 90) or x + z (y = -90) is defined: z keeps its value.
        shift = np.where(is_locked[time], before[:, 2], 0.0)
        key[:, 0] += np.sign(key[:, 1]) * shift
        key[:, 2] += shift
        choices = np.stack((key, key * (1, -1, 1) + 180))
        choices += FULL_TURN * np.rint((before - choices) / FULL_TURN)
        nearest = np.abs(choices - before).sum(axis=-1).argmin(axis=0)
        key[:] = before = np.take_along_axis(choices, nearest[None, :, None], axis=0)[0]
    return angles
