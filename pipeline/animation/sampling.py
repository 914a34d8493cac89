"""A clip, and a character, between the keys."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..rigging.pose.posing import place_clip, skin_mesh
from ..types import AnimationClip, FloatArray, RiggedCharacter, TexturedMesh

Float64Array = npt.NDArray[np.float64]


def make_continuous(quaternions: Float64Array) -> Float64Array:
    """(T, …, 4) unit quaternions, each the nearer of q and -q to the one before it."""
    turned = (quaternions[1:] * quaternions[:-1]).sum(axis=-1, keepdims=True) < 0
    signs = np.cumprod(np.where(turned, -1.0, 1.0), axis=0)
    return np.concatenate((quaternions[:1], quaternions[1:] * signs))


def sample_rotations(clip: AnimationClip, times: Float64Array) -> Float64Array:
    """(T, J, 4) unit quaternions x, y, z, w at `times` (seconds), slerped between the clip's keys."""
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
    """(T, 3) metres, where the clip's mover is, linear between the clip's keys."""
    columns = clip.translations.astype(np.float64).T
    return np.stack([np.interp(times, clip.times, column) for column in columns], axis=1)


def sample_clip(clip: AnimationClip, times: FloatArray) -> AnimationClip:
    """Return the clip keyed at other times (T,), seconds.

    A loop goes on before its start and after its end; other clips stay as they start and end.
    """
    length = float(clip.times[-1])
    asked = np.asarray(times, np.float64)
    asked = asked % length if clip.loop and length > 0 else np.clip(asked, 0.0, length)
    rotations, places = sample_rotations(clip, asked), sample_translations(clip, asked)
    return replace(clip, times=times, rotations=rotations, translations=places)


def pose_character(character: RiggedCharacter, clip: AnimationClip, times: FloatArray) -> list[TexturedMesh]:
    """Return the character's mesh at each of the times (T,), seconds; normals turn with the skin."""
    skeleton, textured = character.skeleton, character.textured
    sampled = sample_clip(clip, times)
    placed = place_clip(skeleton, sampled)
    return [
        TexturedMesh(skin_mesh(textured.mesh, skeleton, character.skin, joints), textured.material)
        for joints in placed
    ]
