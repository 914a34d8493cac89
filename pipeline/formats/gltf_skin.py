"""Skeleton, skin and clips in glTF 2.0 (sections 3.7.3, 3.8 and 3.11)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from ..rigging.pose.posing import make_continuous
from ..types import AnimationClip, Float64Array, FloatArray, IntArray, RiggedCharacter, Skeleton, SkinWeights
from .gltf_document import VERTICES, GltfDocument
from .joint_transforms import find_moving_joints, make_exact_rest, move_in_parents, world_to_local

_LOD = "MSFT_lod"
_SET = 4
"""Joints per vertex in one attribute."""


def add_skinned_nodes(
    document: GltfDocument, character: RiggedCharacter, mesh: int, lods: Sequence[int] = ()
) -> list[int]:
    """Append the node of `mesh` with its skin, then a node per joint; return the joints' nodes (J,).

    lods: meshes of coarser levels of detail, on the same skin. Their nodes are no part of the scene, but of
    MSFT_lod: who does not know that shows the finest level alone.

    The mesh's node and the root joint are siblings at the top of the scene, as glTF recommends, because the
    transform of a skinned mesh's node is ignored. Clips become animations.
    """
    skeleton, first = character.skeleton, len(document.tree.get("nodes", [])) + 1
    rest = make_exact_rest(skeleton)
    local = world_to_local(skeleton.parents, rest)
    skin = _add_skin(document, rest, first)
    node = document.add("nodes", {"name": "character", "mesh": mesh, "skin": skin})
    joints = _add_joints(document, skeleton, local, first)
    document.add("scenes", {"nodes": [node, joints[0]]})
    if lods:
        _add_lods(document, node, lods)
    moving = find_moving_joints(local, character.clips)
    for clip in move_in_parents(skeleton, character.clips):
        _add_animation(document, clip, moving, joints)
    return joints


def _add_lods(document: GltfDocument, finest: int, meshes: Sequence[int]) -> None:
    """Source: Khronos, the vendor extension MSFT_lod. Each level has half the share of the screen."""
    node = document.tree["nodes"][finest]
    levels = [
        document.add("nodes", {"name": f"{node['name']}_LOD{level}", "mesh": mesh, "skin": node["skin"]})
        for level, mesh in enumerate(meshes, start=1)
    ]
    node["extensions"] = {_LOD: {"ids": levels}}
    node["extras"] = {"MSFT_screencoverage": [0.5**level for level in range(1, len(levels) + 1)] + [0.0]}
    document.tree.setdefault("extensionsUsed", []).append(_LOD)


def add_armature(document: GltfDocument, skeleton: Skeleton, clips: Sequence[AnimationClip]) -> list[int]:
    """Append a node per joint, without a mesh, and the clips as animations; return the joints' nodes (J,)."""
    local = world_to_local(skeleton.parents, make_exact_rest(skeleton))
    joints = _add_joints(document, skeleton, local, len(document.tree.get("nodes", [])))
    document.add("scenes", {"nodes": [joints[root] for root in np.flatnonzero(skeleton.parents < 0)]})
    moving = find_moving_joints(local, clips)
    for clip in move_in_parents(skeleton, clips):
        _add_animation(document, clip, moving, joints)
    return joints


def add_skin_attributes(document: GltfDocument, skin: SkinWeights, joint_count: int) -> dict[str, int]:
    """Append JOINTS_0 and WEIGHTS_0, and JOINTS_1 and WEIGHTS_1 of more than four; return the accessors."""
    joints, weights = _normalize_influences(skin)
    dtype = np.uint8 if joint_count <= 256 else np.uint16
    attributes = {}
    for number, first in enumerate(range(0, skin.influences, _SET)):
        own = slice(first, first + _SET)
        attributes[f"JOINTS_{number}"] = document.add_accessor(joints[:, own].astype(dtype), VERTICES)
        attributes[f"WEIGHTS_{number}"] = document.add_accessor(weights[:, own], VERTICES)
    return attributes


def _normalize_influences(skin: SkinWeights) -> tuple[IntArray, FloatArray]:
    """Apply glTF's rules: no joint twice per vertex, joint 0 where the weight is 0, sums of 1 in float32."""
    joints, weights = skin.joints.copy(), skin.weights.astype(np.float64)
    for later in range(1, joints.shape[1]):
        for earlier in range(later):
            same = joints[:, later] == joints[:, earlier]
            weights[same, earlier] += weights[same, later]
            weights[same, later] = 0
    weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    # The largest weight absorbs the rounding error.
    rows, largest = np.arange(len(weights)), weights.argmax(axis=1)
    remainder = 1 - weights.sum(axis=1, dtype=np.float64)
    weights[rows, largest] = (weights[rows, largest] + remainder).astype(np.float32)
    joints[weights == 0] = 0
    return joints, weights


def _add_skin(document: GltfDocument, rest: Float64Array, first: int) -> int:
    bind = np.linalg.inv(rest).astype(np.float32)
    bind[:, 3] = 0, 0, 0, 1  # exactly, as glTF requires
    skin = {
        "inverseBindMatrices": document.add_accessor(bind),
        "skeleton": first,
        "joints": list(range(first, first + len(rest))),
    }
    return document.add("skins", skin)


def _add_joints(document: GltfDocument, skeleton: Skeleton, local: Float64Array, first: int) -> list[int]:
    turns = Rotation.from_matrix(local[:, :3, :3]).as_quat()
    added = []
    for index, name in enumerate(skeleton.names):
        node: dict[str, Any] = {
            "name": name,
            "translation": local[index, :3, 3].tolist(),
            "rotation": turns[index].tolist(),
        }
        children = np.flatnonzero(skeleton.parents == index)
        if len(children):
            node["children"] = (children + first).tolist()
        added.append(document.add("nodes", node))
    return added


def _add_animation(document: GltfDocument, clip: AnimationClip, moving: list[int], joints: list[int]) -> None:
    """Append a rotation channel per moving joint and the mover's translation, at the clip's own keys."""
    turns = clip.rotations.astype(np.float64)
    turns = make_continuous(turns / np.linalg.norm(turns, axis=-1, keepdims=True)).astype(np.float32)
    times = document.add_accessor(clip.times, has_bounds=True)
    tracks = [(joints[clip.mover], "translation", clip.translations)]
    tracks += [(joints[joint], "rotation", turns[:, joint]) for joint in moving]
    add_tracks(document, clip.name, times, tracks)


def add_tracks(
    document: GltfDocument, name: str, times: int, tracks: list[tuple[int, str, FloatArray]]
) -> None:
    """Append an animation; times: accessor of the keys; tracks: node, what of it moves, values (T, n)."""
    channels: list[dict[str, Any]] = []
    samplers: list[dict[str, Any]] = []
    for node, path, values in tracks:
        channels.append({"sampler": len(samplers), "target": {"node": node, "path": path}})
        output = document.add_accessor(values)
        samplers.append({"input": times, "output": output, "interpolation": "LINEAR"})
    document.add("animations", {"name": name, "channels": channels, "samplers": samplers})
