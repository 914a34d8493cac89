"""Clips as FBX animation: a stack and a layer per clip, a curve node per joint, a curve per axis.

FBX interpolates Euler angles linearly, whereas clips slerp quaternions. A clip is therefore keyed at its own
times, at FRAME_RATE, and wherever the two still differ by more than LINEAR_TOLERANCE.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from ..animation.sampling import sample_rotations, sample_translations
from ..types import AnimationClip, Float64Array, Int64Array
from .fbx_angles import euler_to_quaternion, matrix_to_euler, quaternions_to_continuous_euler
from .fbx_binary import FbxNode
from .fbx_scene import SceneBuilder, make_properties, seconds_to_ktime
from .joint_transforms import find_moving_joints

FRAME_RATE = 30.0
LINEAR_TOLERANCE = 0.25
"""Degrees between linear interpolation and slerp, halfway between two keys."""
_MIN_STEP_SECONDS = 1.0 / 1000
_SAME_TIME_SECONDS = 1e-4
_LINEAR_KEY = 24836
"""Linear interpolation (4) with the tangent flags that Autodesk's programs write."""
_KEY_DATA = (0.0, 0.0, 9.419963346924634e-30, 0.0)
"""Slopes of 0; the third number packs two tangent weights of 1/3."""


def add_clips(
    scene: SceneBuilder,
    clips: Sequence[AnimationClip],
    joints: Sequence[int],
    local_rest: Float64Array,
    units_per_metre: float,
) -> None:
    """Append the clips. joints: (J,) object ids. local_rest: (J, 4, 4) transforms in the file's units."""
    moving = find_moving_joints(local_rest, clips)
    for clip in clips:
        layer = _add_stack(scene, clip)
        times, angles = _find_keys(clip, moving, local_rest)
        ktimes = seconds_to_ktime(times)
        positions = sample_translations(clip, times) * units_per_metre
        _add_curves(scene, layer, joints[clip.mover], "Translation", ktimes, positions)
        for column, joint in enumerate(moving):
            _add_curves(scene, layer, joints[joint], "Rotation", ktimes, angles[:, column])


def _add_stack(scene: SceneBuilder, clip: AnimationClip) -> int:
    """Append the stack and its one layer; return the layer."""
    stop = np.int64(seconds_to_ktime(clip.times[-1:].astype(np.float64))[0])
    span = make_properties(("LocalStop", "time", stop), ("ReferenceStop", "time", stop))
    stack = scene.add("AnimationStack", clip.name, "AnimStack", "", span)
    # With a property, because assimp drops an empty layer.
    weight = make_properties(("Weight", "factor", 100.0))
    layer = scene.add("AnimationLayer", "BaseLayer", "AnimLayer", "", weight)
    scene.connect(layer, stack)
    scene.add_take(clip.name, stop)
    return layer


def _find_keys(
    clip: AnimationClip, moving: list[int], local_rest: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Times (T,) in seconds and angles (T, len(moving), 3) in degrees of the keys."""
    before = matrix_to_euler(local_rest[moving, :3, :3])
    times = _merge_frames(clip.times.astype(np.float64))
    while True:
        angles = quaternions_to_continuous_euler(sample_rotations(clip, times)[:, moving], before)
        deviations = _find_deviations(clip, moving, times, angles)
        if not len(deviations):
            return times, angles
        times = np.sort(np.concatenate((times, deviations)))


def _find_deviations(
    clip: AnimationClip, moving: list[int], times: Float64Array, angles: Float64Array
) -> Float64Array:
    """Times halfway between two keys at which linear interpolation deviates from the clip."""
    is_long = np.diff(times) > _MIN_STEP_SECONDS
    if not moving or not is_long.any():
        return times[:0]
    midpoints = ((times[1:] + times[:-1]) / 2)[is_long]
    linear = euler_to_quaternion((angles[1:] + angles[:-1])[is_long] / 2)
    apart = _angle_between(linear, sample_rotations(clip, midpoints)[:, moving])
    return midpoints[(apart > LINEAR_TOLERANCE).any(axis=1)]


def _merge_frames(key_times: Float64Array) -> Float64Array:
    """The times of the clip's keys and of the frames between them."""
    frames = np.arange(0, key_times[-1], 1 / FRAME_RATE)
    after = np.searchsorted(key_times, frames).clip(max=len(key_times) - 1)
    nearest = np.minimum(np.abs(key_times[after] - frames), np.abs(frames - key_times[after - 1]))
    return np.sort(np.concatenate((key_times, frames[nearest > _SAME_TIME_SECONDS])))


def _angle_between(first: Float64Array, second: Float64Array) -> Float64Array:
    """Degrees (...) between unit quaternions (..., 4)."""
    turn = Rotation.from_quat(first.reshape(-1, 4)) * Rotation.from_quat(second.reshape(-1, 4)).inv()
    return np.degrees(turn.magnitude()).reshape(first.shape[:-1])


def _add_curves(
    scene: SceneBuilder,
    layer: int,
    joint: int,
    channel: str,
    ktimes: Int64Array,
    values: Float64Array,
) -> None:
    """Append a curve node of `joint` and its curves. channel: Translation or Rotation; values: (T, 3)."""
    start = ((f"d|{axis}", "factor", float(v)) for axis, v in zip("XYZ", values[0], strict=True))
    node = scene.add("AnimationCurveNode", channel[0], "AnimCurveNode", "", make_properties(*start))
    scene.connect(node, layer)
    scene.connect(node, joint, f"Lcl {channel}")
    for axis, column in zip("XYZ", values.T, strict=True):
        curve = scene.add("AnimationCurve", "", "AnimCurve", "", *_make_curve(ktimes, column))
        scene.connect(curve, node, f"d|{axis}")


def _make_curve(ktimes: Int64Array, values: Float64Array) -> Iterable[FbxNode]:
    yield FbxNode("Default", (float(values[0]),))
    yield FbxNode("KeyVer", (4008,))
    yield FbxNode("KeyTime", (ktimes,))
    yield FbxNode("KeyValueFloat", (values.astype(np.float32),))
    yield FbxNode("KeyAttrFlags", (np.array([_LINEAR_KEY], dtype=np.int32),))
    yield FbxNode("KeyAttrDataFloat", (np.array(_KEY_DATA, dtype=np.float32),))
    yield FbxNode("KeyAttrRefCount", (np.array([len(ktimes)], dtype=np.int32),))
