"""The model's frame: the body within -1..1 and, after the coarse model, Hips at the origin facing +Z."""

from __future__ import annotations

import numpy as np

from ...pipeline.errors import RigError
from ...pipeline.types import FloatArray
from ..model_frame import ModelFrame
from .joints import NAMES

_MIN_LENGTH = 1e-6
_HIPS, _LEFT, _RIGHT = (NAMES.index(name) for name in ("Hips", "LeftUpLeg", "RightUpLeg"))


def fit_bounds(points: FloatArray) -> ModelFrame:
    """The frame of the coarse model: the points' bounds centered at the origin, their longest side 2."""
    low, high = (bound.astype(np.float64) for bound in (points.min(axis=0), points.max(axis=0)))
    return ModelFrame((low + high) / 2, np.eye(3), 2.0 / max(float((high - low).max()), 1e-12))


def face_forward(frame: ModelFrame, joints: FloatArray) -> ModelFrame:
    """Move Hips to the origin and rotate the frame so that left is +X and forward +Z.

    joints: (52, 3), in `frame`. RigError if Hips and both upper legs are collinear, which leaves no forward
    direction.
    """
    hips, left, right = (joints[index].astype(np.float64) for index in (_HIPS, _LEFT, _RIGHT))
    forward, across = np.cross(right - hips, left - hips), left - right
    lengths = np.linalg.norm(forward), np.linalg.norm(across)
    if not min(lengths) > _MIN_LENGTH:
        raise RigError(
            "Make-It-Animatable placed Hips and both upper legs on one line, at "
            + ", ".join(str(np.round(place, 4).tolist()) for place in (hips, left, right))
        )
    z, x = forward / lengths[0], across / lengths[1]
    turn = np.stack((x, np.cross(z, x), z))
    return ModelFrame(frame.to_mesh(hips), turn @ frame.rotation, frame.scale)


def fit_scale(frame: ModelFrame, points: FloatArray) -> ModelFrame:
    """Scale the frame so that the largest absolute coordinate of the points (N, 3), given in it, is 1."""
    return ModelFrame(frame.origin, frame.rotation, frame.scale / float(np.abs(points).max()))
