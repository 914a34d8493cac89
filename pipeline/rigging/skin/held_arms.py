"""Arms that are fused with the body along most of their length move with the chest instead of tearing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...mesh.areas import measure_areas
from ...types import Float64Array, Mesh, Skeleton, SkinWeights
from ..skeleton import PREFIX, SIDES
from .contact_cuts import NOWHERE, find_cut_faces, label_vertices
from .skinning import keep_strongest

_MAX_SEAM = 3.2
"""Length of the seam along which an arm would be cut from the body, before and behind it, in arms."""


def find_fused_arms(
    mesh: Mesh, skeleton: Skeleton, skin: SkinWeights, *, legs_apart_below: float = NOWHERE
) -> tuple[str, ...]:
    """Return the sides, of SIDES, whose arm `separate_limbs` could not cut from the body cleanly."""
    corners = label_vertices(mesh, skeleton, skin, legs_apart_below)[mesh.faces]
    cut = find_cut_faces(corners)
    areas = measure_areas(mesh.positions, mesh.faces[cut])
    # Two triangles of the strip that is cut stand on each edge of the seam.
    lengths = 0.5 * np.sqrt(4 / np.sqrt(3) * areas)
    fused = []
    for side, sign in zip(SIDES, (1, -1), strict=True):
        seam = float(lengths[(corners[cut] == sign).any(axis=1)].sum())
        if seam > _MAX_SEAM * _measure_arm(skeleton, side):
            fused.append(side)
    return tuple(fused)


def hold_arms(skeleton: Skeleton, skin: SkinWeights, sides: Sequence[str]) -> SkinWeights:
    """Return the skin with what the arms of these sides move bound to the chest."""
    if not sides:
        return skin
    parts = tuple(f"{PREFIX}{side}{part}" for side in sides for part in ("Arm", "ForeArm", "Hand"))
    targets = np.arange(len(skeleton.names))
    targets[[name.startswith(parts) for name in skeleton.names]] = skeleton.index(f"{PREFIX}Spine2")
    weights = np.zeros((len(skin.joints), len(targets)))
    np.add.at(weights, (np.arange(len(weights))[:, None], targets[skin.joints]), skin.weights)
    return SkinWeights(*keep_strongest(weights, np.arange(len(targets))))


def _measure_arm(skeleton: Skeleton, side: str) -> float:
    """Length from shoulder to wrist, metres."""
    line: Float64Array = np.array(
        [skeleton.positions[skeleton.index(f"{PREFIX}{side}{part}")] for part in ("Arm", "ForeArm", "Hand")]
    )
    return float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum())
