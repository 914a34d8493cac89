"""Arms that are mere relief on the body move with the chest instead of tearing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...mesh.areas import measure_areas
from ...types import Skeleton, SkinWeights
from ..skeleton import PREFIX, SIDES
from .separate import SeparatedMesh
from .skinning import keep_strongest

_PARTS = ("Arm", "ForeArm", "Hand")
_MAX_CLOSING = 0.7
"""Area of the flat faces that close an arm where it was cut from the body, per area of its rest: half or
less for an arm that hangs beside the body and shows its outline."""


def find_fused_arms(separated: SeparatedMesh, skeleton: Skeleton) -> tuple[str, ...]:
    """Return the sides, of SIDES, whose arm is for the most part made of the faces that close the cuts."""
    mesh, skin = separated.mesh, separated.skin
    owner = skin.joints[np.arange(len(skin.joints)), skin.weights.argmax(axis=1)]
    areas = measure_areas(mesh.positions, mesh.faces)
    is_new = np.arange(len(mesh.faces)) >= len(mesh.faces) - separated.closing_faces
    fused = []
    for side in SIDES:
        joints = [skeleton.index(f"{PREFIX}{side}{part}") for part in _PARTS]
        is_arm = np.isin(owner, joints)[mesh.faces].all(axis=1)
        if areas[is_arm & is_new].sum() > _MAX_CLOSING * areas[is_arm & ~is_new].sum():
            fused.append(side)
    return tuple(fused)


def hold_arms(skeleton: Skeleton, skin: SkinWeights, sides: Sequence[str]) -> SkinWeights:
    """Return the skin with what the arms of these sides move bound to the chest."""
    parts = tuple(f"{PREFIX}{side}{part}" for side in sides for part in _PARTS)
    targets = np.arange(len(skeleton.names))
    targets[[name.startswith(parts) for name in skeleton.names]] = skeleton.index(f"{PREFIX}Spine2")
    weights = np.zeros((len(skin.joints), len(targets)))
    np.add.at(weights, (np.arange(len(weights))[:, None], targets[skin.joints]), skin.weights)
    return SkinWeights(*keep_strongest(weights, np.arange(len(targets))))
