"""Clips and characters sampled between the keys."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..rigging.pose.posing import make_continuous, place_keys, skin_mesh
from ..types import AnimationClip, Float64Array, FloatArray, RiggedCharacter, TexturedMesh


def sample_rotations(clip: AnimationClip, times: Float64Array) -> Float64Array:
    """Return unit quaternions (T, J, 4) x, y, z, w at times (T,) seconds, slerped between the clip's keys."""
    keys = clip.rotations.astype(np.float64)
    keys = make_continuous(keys / np.linalg.norm(keys, axis=-1, keepdims=True))
    if len(keys) == 1:
        return np.repeat(keys, len(times), axis=0)
    key_times = clip.times.astype(np.float64)
    after = np.clip(np.searchsorted(key_times, times, side="right"), 1, len(keys) - 1)
    start, end = keys[after - 1], keys[after]
    share = ((times - key_times[after - 1]) / (key_times[after] - key_times[after - 1]))[:, None, None]
    share = np.clip(share, 0, 1)
    angle = np.arccos(np.clip((start * end).sum(axis=-1, keepdims=True), -1, 1))
    sine = np.sin(angle)
    is_small = sine < 1e-6
    sine = np.where(is_small, 1.0, sine)
    first = np.where(is_small, 1 - share, np.sin((1 - share) * angle) / sine)
    second = np.where(is_small, share, np.sin(share * angle) / sine)
    mixed = first * start + second * end
    return mixed / np.linalg.norm(mixed, axis=-1, keepdims=True)


def sample_translations(clip: AnimationClip, times: Float64Array) -> Float64Array:
    """Return positions (T, 3) of the clip's mover, metres, linearly interpolated between the keys."""
    columns = clip.translations.astype(np.float64).T
    return np.stack([np.interp(times, clip.times, column) for column in columns], axis=1)


def pose_character(character: RiggedCharacter, clip: AnimationClip, times: FloatArray) -> list[TexturedMesh]:
    """Return the character's mesh, posed with its normals, at each of the times (T,), seconds.

    Times outside a loop wrap around; outside other clips the first or the last key holds.
    """
    skeleton, textured = character.skeleton, character.textured
    length, inside = float(clip.times[-1]), np.asarray(times, np.float64)
    inside = inside % length if clip.loop and length > 0 else np.clip(inside, 0.0, length)
    rotations, translations = sample_rotations(clip, inside), sample_translations(clip, inside)
    placed = place_keys(skeleton, rotations, translations, clip.mover)
    return [
        replace(textured, mesh=skin_mesh(textured.mesh, skeleton, character.skin, joints))
        for joints in placed
    ]
