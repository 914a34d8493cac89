"""Limbs that cannot be told from the body move with it instead of tearing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...mesh.normals import compute_face_normals
from ...mesh.topology import label_face_components
from ...mesh.weld import weld_near
from ...types import Float64Array, Int64Array, Skeleton, SkinWeights
from ..skeleton import ARM_PARTS, LEG_PARTS, PREFIX, SIDES
from .separate import SeparatedMesh
from .skinning import keep_strongest

LIMBS = {
    "left arm": tuple(f"{PREFIX}Left{part}" for part in ARM_PARTS[1:]),
    "right arm": tuple(f"{PREFIX}Right{part}" for part in ARM_PARTS[1:]),
    "legs": tuple(PREFIX + side + part for side in SIDES for part in LEG_PARTS),
}
"""What is held as one, and the beginnings of its joints' names: those of fingers and props begin alike."""
_MAX_CLOSING = 0.7
"""Area of the cut that parts an arm from the body, per area of its rest: half or less for an arm that hangs
beside the body and shows its outline."""
_MAX_HAND_CLOSING = 1.0
"""The same of its hand: of one in a pocket or behind the back nothing is seen but where it was cut."""


def find_fused_arms(separated: SeparatedMesh, skeleton: Skeleton) -> tuple[str, ...]:
    """Return which arms, of LIMBS, or of their hands, consist mostly of what closes the cuts."""
    if not separated.closing_faces:
        return ()
    mesh, skin = separated.mesh, separated.skin
    owner = skin.joints[np.arange(len(skin.joints)), skin.weights.argmax(axis=1)]
    normals, areas = compute_face_normals(mesh.positions.astype(np.float64), mesh.faces)
    welded = weld_near(mesh.positions).inverse[mesh.faces]
    is_new = np.arange(len(mesh.faces)) >= len(mesh.faces) - separated.closing_faces
    fused = []
    for arm in ("left arm", "right arm"):
        joints = [skeleton.index(name) for name in LIMBS[arm]]
        for own, most in ((joints, _MAX_CLOSING), (joints[-1:], _MAX_HAND_CLOSING)):
            is_own = np.isin(owner, own)[mesh.faces].all(axis=1)
            cut = is_own & is_new
            rest = areas[is_own & ~is_new].sum()
            if _measure_cut(welded[cut], normals[cut] * areas[cut, None]) > most * rest:
                fused.append(arm)
                break
    return tuple(fused)


def _measure_cut(faces: Int64Array, areas: Float64Array) -> float:
    """Square metres of a cut that faces (F, 3) of welded vertices close; areas: (F, 3), along their normals.

    They fold over each other where its border goes to and fro: one that faces sideways, between the body and
    an arm beside it, counts as flat. One that faces forward or back leaves little of the arm as it is.
    """
    across, _, ahead = np.abs(areas.sum(axis=0))
    if across <= ahead:
        return float(np.linalg.norm(areas, axis=1).sum())
    patch = label_face_components(faces, int(faces.max()) + 1)
    flat = [np.bincount(patch, axis) for axis in areas.T]
    return float(np.linalg.norm(flat, axis=0).sum())


def hold_limbs(skeleton: Skeleton, skin: SkinWeights, limbs: Sequence[str]) -> SkinWeights:
    """Return the skin with what these of LIMBS move bound to the chest, that of the legs to the hips."""
    targets = np.arange(len(skeleton.names))
    for limb in limbs:
        trunk = skeleton.index(f"{PREFIX}{'Hips' if limb == 'legs' else 'Spine2'}")
        targets[[name.startswith(LIMBS[limb]) for name in skeleton.names]] = trunk
    weights = np.zeros((len(skin.joints), len(targets)))
    np.add.at(weights, (np.arange(len(weights))[:, None], targets[skin.joints]), skin.weights)
    return SkinWeights(*keep_strongest(weights, np.arange(len(targets)), count=skin.influences))
