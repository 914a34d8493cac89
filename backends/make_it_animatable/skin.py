"""From the model's 52 weights of a vertex to the four that a character carries."""

from __future__ import annotations

import numpy as np

from ...pipeline.conventions import MAX_INFLUENCES
from ...pipeline.types import BoolArray, FloatArray, IntArray
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


def keep_strongest(weights: FloatArray) -> tuple[IntArray, FloatArray]:
    """The strongest joints (V, 4) and their weights (V, 4), rows summing to 1; joints are indices of NAMES.

    Where fewer than four have any, the strongest joint fills the row with weight 0.
    """
    joints = np.argsort(-weights, axis=1, kind="stable")[:, :MAX_INFLUENCES]
    strongest = np.take_along_axis(weights, joints, axis=1)
    strongest = strongest / strongest.sum(axis=1, keepdims=True)
    return np.where(strongest > 0, joints, joints[:, :1]), strongest
