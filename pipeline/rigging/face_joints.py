"""Joints of a face with ARKit's morph targets: both eyes and the jaw, which programs without them turn.

The lids' blink shows where an eye is, and the open mouth what goes with the jaw. Eyes that are painted on a
smooth surface are bound to the head: their joints are where a program looks from and fastens eyes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..mesh_extras import MorphTarget
from ..types import AnimationClip, Float64Array, Mesh, RiggedCharacter, Skeleton, SkinWeights
from .skin.skinning import keep_strongest

_EYES = {"leftEye": "eyeBlinkLeft", "rightEye": "eyeBlinkRight"}
_JAW, _OPEN = "jaw", "jawOpen"
_EYE_DEPTH = 0.3
"""Of the middle of an eye behind its lids, as a share of the width of what blinks."""


def add_face_joints(character: RiggedCharacter) -> RiggedCharacter:
    """Return the character with joints leftEye, rightEye and jaw below its head, at the end of its skeleton.

    Each is added where the mesh has its morph target and the skeleton no such role; they have the head's
    axes and are still in all clips. The jaw takes over as much of the head's weight as its opening moves.
    """
    skeleton, mesh = character.skeleton, character.textured.mesh
    morphs = {} if mesh.extras is None else {morph.name: morph for morph in mesh.extras.morphs}
    places = _place_joints(mesh, skeleton, morphs)
    if not places:
        return character
    head = skeleton.roles["head"]
    rest = np.repeat(skeleton.rest[head][None], len(places), axis=0)
    rest[:, :3, 3] = list(places.values())
    numbers = len(skeleton.names) + np.arange(len(places))
    grown = replace(
        skeleton,
        names=(*skeleton.names, *places),
        parents=np.concatenate((skeleton.parents, np.full(len(places), head))).astype(np.int32),
        rest=np.concatenate((skeleton.rest, rest)),
        roles={**skeleton.roles, **dict(zip(places, numbers.tolist(), strict=True))},
    )
    skin = character.skin
    if _JAW in places:
        skin = _share_jaw(skin, head, grown.roles[_JAW], _measure_moves(mesh, morphs[_OPEN]))
    clips = tuple(_add_still(clip, len(places)) for clip in character.clips)
    return replace(character, skeleton=grown, skin=skin, clips=clips)


def _place_joints(mesh: Mesh, skeleton: Skeleton, morphs: dict[str, MorphTarget]) -> dict[str, Float64Array]:
    """Role -> place (3,), metres: behind the lids, and between eyes and mouth below the ears."""
    if "head" not in skeleton.roles:
        return {}
    places = {}
    for role, name in _EYES.items():
        if name in morphs and role not in skeleton.roles:
            moved = mesh.positions[morphs[name].vertices].astype(np.float64)
            middle = np.average(moved, axis=0, weights=np.linalg.norm(morphs[name].deltas, axis=1) + 1e-12)
            places[role] = middle - (0, 0, _EYE_DEPTH * np.ptp(moved[:, 0]))
    if _OPEN in morphs and _JAW not in skeleton.roles:
        moved = mesh.positions[morphs[_OPEN].vertices].astype(np.float64)
        depth = float(skeleton.positions[skeleton.roles["head"]][2])
        places[_JAW] = np.array((moved[:, 0].mean(), moved[:, 1].max(), depth))
    return places


def _add_still(clip: AnimationClip, count: int) -> AnimationClip:
    """The clip with so many joints at its end that do not turn."""
    still = np.tile(np.array((0, 0, 0, 1), np.float32), (len(clip.times), count, 1))
    return replace(clip, rotations=np.concatenate((clip.rotations, still), axis=1))


def _measure_moves(mesh: Mesh, morph: MorphTarget) -> Float64Array:
    """(V,) how far a morph target moves each vertex, as a share of the farthest."""
    moves = np.zeros(len(mesh.positions))
    moves[morph.vertices] = np.linalg.norm(morph.deltas, axis=1)
    return moves / max(float(moves.max()), 1e-12)


def _share_jaw(skin: SkinWeights, head: int, jaw: int, share: Float64Array) -> SkinWeights:
    """The skin with that share (V,) of the head's weight given to the jaw."""
    mine = np.where(skin.joints == head, skin.weights, 0.0) * share[:, None]
    joints = np.column_stack((skin.joints, np.full(len(share), jaw))).astype(np.int64)
    weights = np.column_stack((skin.weights - mine, mine.sum(axis=1))).astype(np.float64)
    columns, shares = keep_strongest(
        weights, np.arange(weights.shape[1]), count=skin.influences, smallest=0.0
    )
    return SkinWeights(np.take_along_axis(joints, columns, axis=1), shares)
