"""What is made of the models' 52 weights of a vertex before the strongest of them are kept."""

from __future__ import annotations

import numpy as np

from ...pipeline.types import BoolArray, FloatArray
from .joints import NAMES, mark_excluded

_BESIDE_NORMALS = ("Spine", "Shoulder", "Arm", "ForeArm")
_OVERRULES = 1e5


def mix_weights(weights: FloatArray, with_normals: FloatArray) -> FloatArray:
    """Weights (V, 52) of the model that sees normals, but for spine and arms those of the other one."""
    stems = tuple(side + stem for side in ("", "Left", "Right") for stem in _BESIDE_NORMALS)
    columns = np.array([name.startswith(stems) for name in NAMES])
    return np.where(columns, weights, with_normals)


def refine_weights(weights: FloatArray, is_above_head: BoolArray) -> FloatArray:
    """Weights (V, 52), rows summing to 1, without what the strongest joint excludes; hair is the head's."""
    refined = weights.copy()
    refined[is_above_head, NAMES.index("Head")] = _OVERRULES
    refined[mark_excluded()[refined.argmax(axis=1)]] = 0.0
    return refined / refined.sum(axis=1, keepdims=True)
