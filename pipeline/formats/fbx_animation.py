"""Clips as FBX animation: a stack and a layer per clip, curve nodes per joint, a curve per axis.

Keys are Euler angles, between which FBX goes straight; the clips slerp. So a clip is keyed at its own
times, at FRAME_RATE, and wherever the two still differ by more than STRAIGHT_TOLERANCE.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from ..animation.sampling import sample_rotations, sample_translations
from ..types import AnimationClip
from .fbx_angles import euler_to_quaternion, matrix_to_euler, quaternions_to_continuous_euler
from .fbx_binary import FbxNode
from .fbx_scene import SceneBuilder, make_properties, seconds_to_ktime
from .joint_transforms import find_moving_joints

Float64Array = npt.NDArray[np.float64]

FRAME_RATE = 30.0
STRAIGHT_TOLERANCE = 0.25
"""Degrees between straight angles and slerp, halfway between two keys."""
_SHORTEST_STEP = 1.0 / 1000
_SAME_TIME = 1e-4
_LINEAR_KEY = 24836
"""Interpolation linear (4) with the tangent flags that Autodesk's programs give such keys."""
_KEY_DATA = (0.0, 0.0, 9.419963346924634e-30, 0.0)
"""Slopes and weights, none: the third number is two packed weights of a third."""


def add_clips(
    scene: SceneBuilder,
    clips: Sequence[AnimationClip],
    joints: Sequence[int],
    local_rest: Float64Array,
    units_per_metre: float,
) -> None:
    """Append every clip. joints: object ids of the J joints; local_rest: (J, 4, 4), as written."""
    moving = find_moving_joints(local_rest, clips)
    for clip in clips:
        layer = _add_stack(scene, clip)
        times, angles = _find_keys(clip, moving, local_rest)
        ktimes = seconds_to_ktime(times)
        places = sample_translations(clip, times) * units_per_metre
        _add_curves(scene, layer, joints[clip.mover], "Translation", ktimes, places)
        for column, joint in enumerate(moving):
            _add_curves(scene, layer, joints[joint], "Rotation", ktimes, angles[:, column])


def _add_stack(scene: SceneBuilder, clip: AnimationClip) -> int:
    """Append the stack and its one layer; return the layer."""
    stop = np.int64(seconds_to_ktime(clip.times[-1:].astype(np.float64))[0])
    span = make_properties(("LocalStop", "time", stop), ("ReferenceStop", "time", stop))
    stack = scene.add("AnimationStack", clip.name, "AnimStack", "", span)
    # With a property, because assimp drops a layer that has nothing inside.
    weight = make_properties(("Weight", "factor", 100.0))
    layer = scene.add("AnimationLayer", "BaseLayer", "AnimLayer", "", weight)
    scene.connect(layer, stack)
    scene.add_take(clip.name, stop)
    return layer


def _find_keys(
    clip: AnimationClip, moving: list[int], local_rest: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """(T,) seconds and (T, len(moving), 3) degrees."""
    before = matrix_to_euler(local_rest[moving, :3, :3])
    times = _merge_frames(clip.times.astype(np.float64))
    while True:
        angles = quaternions_to_continuous_euler(sample_rotations(clip, times)[:, moving], before)
        bends = _find_bends(clip, moving, times, angles)
        if not len(bends):
            return times, angles
        times = np.sort(np.concatenate((times, bends)))


def _find_bends(
    clip: AnimationClip, moving: list[int], times: Float64Array, angles: Float64Array
) -> Float64Array:
    """Middles between two keys where going straight misses the clip."""
    is_long = np.diff(times) > _SHORTEST_STEP
    if not moving or not is_long.any():
        return times[:0]
    middles = ((times[1:] + times[:-1]) / 2)[is_long]
    straight = euler_to_quaternion((angles[1:] + angles[:-1])[is_long] / 2)
    apart = _angle_between(straight, sample_rotations(clip, middles)[:, moving])
    return middles[(apart > STRAIGHT_TOLERANCE).any(axis=1)]


def _merge_frames(key_times: Float64Array) -> Float64Array:
    """The clip's keys and the frames between them that are not keys already."""
    frames = np.arange(0, key_times[-1], 1 / FRAME_RATE)
    after = np.searchsorted(key_times, frames).clip(max=len(key_times) - 1)
    nearest = np.minimum(np.abs(key_times[after] - frames), np.abs(frames - key_times[after - 1]))
    return np.sort(np.concatenate((key_times, frames[nearest > _SAME_TIME])))


def _angle_between(first: Float64Array, second: Float64Array) -> Float64Array:
    """Degrees between (…, 4) unit quaternions."""
    turn = Rotation.from_quat(first.reshape(-1, 4)) * Rotation.from_quat(second.reshape(-1, 4)).inv()
    return np.degrees(turn.magnitude()).reshape(first.shape[:-1])


def _add_curves(
    scene: SceneBuilder,
    layer: int,
    joint: int,
    channel: str,
    ktimes: npt.NDArray[np.int64],
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


def _make_curve(ktimes: npt.NDArray[np.int64], values: Float64Array) -> Iterable[FbxNode]:
    yield FbxNode("Default", (float(values[0]),))
    yield FbxNode("KeyVer", (4008,))
    yield FbxNode("KeyTime", (ktimes,))
    yield FbxNode("KeyValueFloat", (values.astype(np.float32),))
    yield FbxNode("KeyAttrFlags", (np.array([_LINEAR_KEY], dtype=np.int32),))
    yield FbxNode("KeyAttrDataFloat", (np.array(_KEY_DATA, dtype=np.float32),))
    yield FbxNode("KeyAttrRefCount", (np.array([len(ktimes)], dtype=np.int32),))
