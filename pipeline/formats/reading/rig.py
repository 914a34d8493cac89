"""Skeletons and clips of files, whose transforms may scale, as rotations and positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from ...mesh_extras import OwnClip
from ...orientation.frame import snap_to_axes
from ...types import BoolArray, Float64Array, Int64Array, IntArray, Skeleton


def read_rig(
    scene: Mapping[str, Any], arrays: Mapping[str, Any], warnings: list[str]
) -> tuple[Skeleton | None, tuple[OwnClip, ...]]:
    """The skeleton that a worker described, and the clips that move it; others are named in `warnings`."""
    described = scene["skeleton"]
    if others := [clip["name"] for clip in scene["clips"] if not clip["moves"]]:
        warnings.append(f"clips that move no joint are left out: {', '.join(others)}")
    if described is None or not np.isfinite(arrays["skeleton"]).all():
        return None, ()
    parents = np.array(described["parents"])
    clips = []
    for number, clip in enumerate(scene["clips"]):
        if not clip["moves"]:
            continue
        times, world = arrays[f"clip{number}_times"], arrays[f"clip{number}_world"]
        try:
            clips.append(make_clip(clip["name"], times, parents, world))
        except ValueError as error:
            warnings.append(f"the clip {clip['name']!r} is left out: {error}")
    return make_skeleton(described["names"], parents, arrays["skeleton"]), tuple(clips)


def make_skeleton(names: Sequence[str], parents: Int64Array, world: Float64Array) -> Skeleton:
    """The skeleton of joints whose transforms in the scene are world (J, 4, 4), parents (J,) first."""
    rest = np.tile(np.eye(4), (len(world), 1, 1))
    rest[:, :3, :3], rest[:, :3, 3] = remove_scale(world[:, :3, :3]), world[:, :3, 3]
    return Skeleton(tuple(names), parents, rest)


def make_clip(name: str, times: Float64Array, parents: Int64Array, world: Float64Array) -> OwnClip:
    """The clip in which the joints have the transforms world (T, J, 4, 4) at these times (T,), seconds.

    ValueError for values that are not finite.
    """
    if not np.isfinite(world).all():
        raise ValueError("its transforms are not finite")
    turns, places = remove_scale(world[..., :3, :3]), world[..., :3, 3]
    local, moved = turns.copy(), places.copy()
    for joint, parent in enumerate(parents):
        if parent >= 0:
            back = np.swapaxes(turns[:, parent], 1, 2)
            local[:, joint] = back @ turns[:, joint]
            moved[:, joint] = np.einsum("tij,tj->ti", back, places[:, joint] - places[:, parent])
    quaternions = Rotation.from_matrix(local.reshape(-1, 3, 3)).as_quat()
    return OwnClip(name, times, quaternions.reshape(*local.shape[:2], 4), moved)


def remove_scale(linear: Float64Array) -> Float64Array:
    """The rotation (..., 3, 3) of linear maps, whose first two columns keep their directions best."""
    one = _make_unit(linear[..., 0], (1.0, 0.0, 0.0))
    two = linear[..., 1] - (one * linear[..., 1]).sum(axis=-1, keepdims=True) * one
    two = _make_unit(two, (0.0, 1.0, 0.0))
    three = _make_unit(np.cross(one, two), (0.0, 0.0, 1.0))
    return np.stack((one, np.cross(three, one), three), axis=-1)


def _make_unit(vectors: Float64Array, fallback: tuple[float, float, float]) -> Float64Array:
    """Vectors (..., 3) of length 1; the fallback for those without a length."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.where(length > 1e-30, vectors / np.where(length > 1e-30, length, 1.0), fallback)


def place_at_bind(parents: IntArray, placed: Float64Array, binds: Float64Array) -> Float64Array:
    """Rest transforms (J, 4, 4) of joints as their mesh was bound to them.

    placed: (J, 4, 4) as the scene has them. binds: (J, 4, 4) from the mesh to each joint, NaN for a joint
    without, which keeps its place below its parent. The mesh's own place is that of the first bound joint in
    the scene, turned to the nearest axes.
    """
    bound: BoolArray = np.asarray(np.isfinite(binds).all(axis=(1, 2)))
    if not bound.any():
        return placed
    first = int(bound.argmax())
    mesh = np.eye(4)
    mesh[:3, :3] = snap_to_axes(placed[first, :3, :3] @ remove_scale(binds[first, :3, :3]))
    rest = placed.copy()
    scale = _measure_scale(placed, binds, bound)
    for joint, parent in enumerate(parents):
        if bound[joint]:
            back = np.linalg.inv(binds[joint])
            rest[joint, :3, :3] = mesh[:3, :3] @ remove_scale(back[:3, :3])
            rest[joint, :3, 3] = scale * mesh[:3, :3] @ back[:3, 3]
        elif parent >= 0:
            rest[joint] = rest[parent] @ np.linalg.inv(placed[parent]) @ placed[joint]
    return rest


def _measure_scale(placed: Float64Array, binds: Float64Array, bound: BoolArray) -> float:
    """The scene's units per unit of the mesh, from the distances between the bound joints."""
    here, there = placed[bound, :3, 3], np.linalg.inv(binds[bound])[:, :3, 3]
    one, two = (np.linalg.norm(places - places[0], axis=1).sum() for places in (here, there))
    return float(one / two) if two > 1e-12 else 1.0
