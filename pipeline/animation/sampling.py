"""A character at one moment of a clip."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from ..rig.posing import place_joints, read_turns, skin_mesh
from ..types import AnimationClip, FloatArray, RiggedCharacter, TexturedMesh


def sample_clip(clip: AnimationClip, times: FloatArray) -> AnimationClip:
    """Return the clip keyed at other times (T,), seconds: rotations slerped, places mixed linearly.

    A loop goes on before its start and after its end; other clips stay as they start and end.
    """
    length = float(clip.times[-1])
    asked = np.asarray(times, np.float64)
    asked = asked % length if clip.loop and length > 0 else np.clip(asked, 0.0, length)
    after = np.clip(np.searchsorted(clip.times, asked, side="right"), 1, max(len(clip.times) - 1, 1))
    after = np.minimum(after, len(clip.times) - 1)
    before = np.maximum(after - 1, 0)
    span = np.maximum(clip.times[after] - clip.times[before], 1e-9)
    share = np.clip((asked - clip.times[before]) / span, 0.0, 1.0)[:, None]
    first, last = (Rotation.from_quat(clip.rotations[keys].reshape(-1, 4)) for keys in (before, after))
    joints = clip.rotations.shape[1]
    part = (first.inv() * last).as_rotvec() * np.repeat(share, joints, axis=0)
    rotations = (first * Rotation.from_rotvec(part)).as_quat().reshape(-1, joints, 4)
    places = clip.translations[before] + share * (clip.translations[after] - clip.translations[before])
    return AnimationClip(clip.name, times, rotations, places, clip.loop)


def pose_character(character: RiggedCharacter, clip: AnimationClip, times: FloatArray) -> list[TexturedMesh]:
    """Return the character's mesh at each of the times (T,), seconds; normals turn with the skin."""
    skeleton, textured = character.skeleton, character.textured
    sampled = sample_clip(clip, times)
    placed = place_joints(skeleton, read_turns(skeleton, sampled), sampled.translations)
    return [
        TexturedMesh(skin_mesh(textured.mesh, skeleton, character.skin, joints), textured.material)
        for joints in placed
    ]
