"""Post-processing of the predicted 52 weights per vertex, before only the strongest are kept."""

from __future__ import annotations

import numpy as np

from ...pipeline.types import BoolArray, FloatArray
from .joints import NAMES, mark_excluded

_WITHOUT_NORMALS = ("Spine", "Shoulder", "Arm", "ForeArm")
_DOMINANT = 1e5


def mix_weights(weights: FloatArray, with_normals: FloatArray) -> FloatArray:
    """Weights (V, 52) of the model with normals, except for spine and arms, which use the other model's."""
    stems = tuple(side + stem for side in ("", "Left", "Right") for stem in _WITHOUT_NORMALS)
    columns = np.array([name.startswith(stems) for name in NAMES])
    return np.where(columns, weights, with_normals)


def refine_weights(weights: FloatArray, is_above_head: BoolArray) -> FloatArray:
    """Remove influences that the strongest joint excludes, and give vertices above the head to Head.

    Returns weights (V, 52) whose rows sum to 1.
    """
    refined = weights.copy()
    refined[is_above_head, NAMES.index("Head")] = _DOMINANT
    refined[mark_excluded()[refined.argmax(axis=1)]] = 0.0
    return refined / refined.sum(axis=1, keepdims=True)
