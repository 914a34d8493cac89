"""The frame in which a network sees a mesh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..pipeline.types import Float64Array, FloatArray


@dataclass(frozen=True, eq=False)
class ModelFrame:
    """The transform from a mesh to the model's frame: translate by -origin, rotate, scale.

    origin: (3,), metres. rotation: (3, 3), mesh to model.
    """

    origin: Float64Array
    rotation: Float64Array
    scale: float

    def to_model(self, points: FloatArray) -> FloatArray:
        """Points (N, 3) of the mesh, metres -> the model's frame, float32."""
        return ((points - self.origin) @ self.rotation.T * self.scale).astype(np.float32)

    def to_mesh(self, points: FloatArray) -> Float64Array:
        """Points (N, 3) in the model's frame -> the mesh's frame, metres."""
        return points.astype(np.float64) / self.scale @ self.rotation + self.origin
