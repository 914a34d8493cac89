"""Swords and staffs of a mesh without a picture: bound to the hand that they are at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...conventions import MAX_INFLUENCES
from ...mesh.areas import sample_surface
from ...types import BoolArray, Mesh, Skeleton, SkinWeights
from ..skeleton import PREFIX, SIDES

_POINTS = 500
_REACH = 1.0
"""How far from the wrist a hand may hold something, as a share of the forearm's length."""


def bind_blades(
    mesh: Mesh, skeleton: Skeleton, skin: SkinWeights, blades: Sequence[BoolArray]
) -> tuple[SkinWeights, list[str]]:
    """Bind each of `blades` (F,) rigidly to the hand that reaches it, and say so; others stay as they are."""
    joints, weights, notes = skin.joints.copy(), skin.weights.copy(), []
    for blade in blades:
        vertices = np.unique(mesh.faces[blade])
        points = sample_surface(mesh.positions, mesh.faces[blade], _POINTS)
        gaps = {}
        for side in SIDES:
            hand, elbow = (skeleton.index(PREFIX + side + part) for part in ("Hand", "ForeArm"))
            wrist = skeleton.positions[hand].astype(np.float64)
            forearm = float(np.linalg.norm(wrist - skeleton.positions[elbow]))
            gaps[hand] = float(np.linalg.norm(points - wrist, axis=1).min()) / max(forearm, 1e-9)
        hand = min(gaps, key=lambda joint: gaps[joint])
        if gaps[hand] <= _REACH:
            joints[vertices], weights[vertices] = hand, np.eye(1, MAX_INFLUENCES)
            side = "left" if "Left" in skeleton.names[hand] else "right"
            notes.append(
                f"a long piece of {int(blade.sum())} faces goes with the {side} hand, which holds it"
            )
    return SkinWeights(joints, weights), notes
