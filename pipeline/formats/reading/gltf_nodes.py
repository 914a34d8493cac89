"""The node tree of a glTF file: where each mesh stands, how often, and how its skin poses it.

Sources: glTF 2.0, sections 3.5 and 3.7.3; EXT_mesh_gpu_instancing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from ...types import Float64Array, Int64Array
from .gltf_accessors import read_numbers
from .gltf_container import GltfFile
from .gltf_primitives import Primitive

_INSTANCING = "EXT_mesh_gpu_instancing"
_MOST_INSTANCES = 100_000


def compose(translation: Any, rotation: Any, scale: Any) -> Float64Array:
    """Translations (N, 3), quaternions (N, 4) x, y, z, w and scales (N, 3) -> matrices (N, 4, 4)."""
    turns = np.array(rotation, np.float64)
    largest = np.abs(turns).max(axis=1, keepdims=True)
    is_sound = (largest > 0) & np.isfinite(largest)
    turns = np.where(is_sound, turns / np.where(is_sound, largest, 1), (0.0, 0.0, 0.0, 1.0))
    made = np.tile(np.eye(4), (len(turns), 1, 1))
    made[:, :3, :3] = Rotation.from_quat(turns).as_matrix() * np.asarray(scale)[:, None, :]
    made[:, :3, 3] = translation
    return made


class GltfNodes:
    """World transforms of the nodes that the scene shows, (4, 4) float64 by node, parents first.

    parents: the node above each that has one.
    """

    def __init__(self, file: GltfFile) -> None:
        self._file = file
        self.world: dict[int, Float64Array] = {}
        self.parents: dict[int, int] = {}
        roots = self._list_roots()
        waiting = [(root, np.eye(4)) for root in reversed(roots)]
        while waiting:
            index, parent = waiting.pop()
            node = file.item("nodes", index)
            if index in self.world:
                raise file.damaged(f"nodes[{index}] has more than one parent")
            self.world[index] = parent @ self._read_local(node)
            children = file.get(node, "children", list, [])
            waiting += [(child, self.world[index]) for child in reversed(children)]
            for child in children:
                file.item("nodes", child)
                self.parents[child] = index

    def places(self, index: int) -> Float64Array:
        """(N, 4, 4), one for each instance of the node's mesh."""
        packed = self._file.extension(self._file.item("nodes", index), _INSTANCING)
        world = self.world[index][None]
        if packed is None:
            return world
        attributes = self._file.get(packed, "attributes", dict, {})
        read = {
            name: read_numbers(self._file, attributes[name], kind)
            for name, kind in (("TRANSLATION", "VEC3"), ("ROTATION", "VEC4"), ("SCALE", "VEC3"))
            if name in attributes
        }
        counts = {len(values) for values in read.values()} or {1}
        if len(counts) > 1 or max(counts) > _MOST_INSTANCES:
            raise self._file.damaged(f"{_INSTANCING} has {sorted(counts)} instances")
        count = counts.pop()
        defaults = {"TRANSLATION": (0, 0, 0), "ROTATION": (0, 0, 0, 1), "SCALE": (1, 1, 1)}
        rows = [read.get(name, np.tile(value, (count, 1))) for name, value in defaults.items()]
        return np.asarray(world @ compose(*rows))

    def joint_transforms(self, skin_index: Any) -> Float64Array:
        """What moves a vertex with each joint of a skin, (J, 4, 4): its inverse bind, then its place."""
        skin, joints = self._file.item("skins", skin_index), self.skin_joints(skin_index)
        placed = np.stack([self.world[joint] for joint in joints])
        if "inverseBindMatrices" not in skin:
            return placed
        bind = read_numbers(self._file, skin["inverseBindMatrices"], "MAT4")
        if len(bind) < len(joints):
            raise self._file.damaged(f"skins[{skin_index}] has {len(bind)} matrices for {len(joints)} joints")
        return np.asarray(placed @ bind[: len(joints)].reshape(-1, 4, 4).transpose(0, 2, 1))

    def skin_joints(self, skin_index: Any) -> list[int]:
        """The nodes that are the joints of a skin, all of them in the scene."""
        joints = self._file.get(self._file.item("skins", skin_index), "joints", list, [])
        unknown = [joint for joint in joints if type(joint) is not int or joint not in self.world]
        if unknown or not joints:
            raise self._file.damaged(f"skins[{skin_index}] has joints that are not in the scene: {unknown}")
        return joints

    def local(self, index: int) -> Float64Array:
        """The transform (4, 4) of a node in its parent's."""
        return self._read_local(self._file.item("nodes", index))

    def _list_roots(self) -> list[int]:
        """The nodes at the top of the scene that is shown; without scenes, all that have no parent."""
        file = self._file
        if file.items("scenes"):
            scene = file.item("scenes", file.tree.get("scene", 0))
            return list(file.get(scene, "nodes", list, []))
        count = len(file.items("nodes"))
        nodes = [file.item("nodes", index) for index in range(count)]
        children = [child for node in nodes for child in file.get(node, "children", list, [])]
        if not all(isinstance(child, int) for child in children):
            raise file.damaged("a node has children that are not numbered")
        return sorted({*range(count)} - {*children})

    def _read_local(self, node: Mapping[str, Any]) -> Float64Array:
        numbers = self._file.numbers
        if "matrix" in node:
            return np.array(numbers(node, "matrix", 16, None)).reshape(4, 4).T
        parts = (
            numbers(node, "translation", 3, [0, 0, 0]),
            numbers(node, "rotation", 4, [0, 0, 0, 1]),
            numbers(node, "scale", 3, [1, 1, 1]),
        )
        return compose(*([part] for part in parts))[0]


def place_primitive(
    primitive: Primitive, places: Float64Array, joints: Float64Array | None
) -> Iterator[tuple[Float64Array, Int64Array, Float64Array | None, Float64Array]]:
    """Positions, faces and normals where the scene has them, for each instance, and the linear maps there.

    A mirroring transform turns the winding around. A skin replaces the node's own place. IndexError if a
    vertex names a joint that the skin does not have.
    """
    if joints is not None and primitive.joints is not None and primitive.weights is not None:
        places = _blend(primitive.joints, primitive.weights, joints)[None]
    for place in places:
        linear = place[..., :3, :3]
        positions = np.einsum("...ab,...b->...a", linear, primitive.positions) + place[..., :3, 3]
        # The cofactor matrix turns normals as the inverse transpose does, up to length and sign.
        is_mirrored = bool((np.linalg.det(linear) < 0).mean() > 0.5)
        faces = primitive.faces[:, ::-1] if is_mirrored else primitive.faces
        yield positions, faces, _turn_normals(primitive.normals, linear), linear


def _blend(influences: Int64Array, weights: Float64Array, joints: Float64Array) -> Float64Array:
    """The transform of each vertex, (V, 4, 4); one without weights follows the first joint."""
    blended = np.zeros((len(weights), 4, 4))
    for column, weight in zip(influences.T, weights.T, strict=True):
        blended += weight[:, None, None] * joints[column]
    blended[weights.sum(axis=1) == 0] = joints[0]
    return blended


def _turn_normals(normals: Float64Array | None, linear: Float64Array) -> Float64Array | None:
    """Unit normals under linear maps (3, 3) or (V, 3, 3); the inverse transpose keeps them upright."""
    if normals is None:
        return None
    columns = linear[..., 0], linear[..., 1], linear[..., 2]
    pairs = ((1, 2), (2, 0), (0, 1))
    cofactors = np.stack([np.cross(columns[a], columns[b]) for a, b in pairs], axis=-1)
    sign = np.where(np.linalg.det(linear) < 0, -1.0, 1.0)[..., None]
    turned = np.einsum("...ab,...b->...a", cofactors, normals) * sign
    length = np.linalg.norm(turned, axis=-1, keepdims=True)
    return np.where(length > 1e-30, turned / np.where(length > 1e-30, length, 1), 0.0)
