"""Primitives of glTF meshes: triangles of every mode, plain or compressed by Draco, with their morph targets.

Sources: glTF 2.0, section 3.7.2; KHR_draco_mesh_compression; KHR_mesh_primitive_restart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...errors import FormatError
from ...mesh.topology import drop_collapsed
from ...types import Float64Array, Int64Array
from .gltf_accessors import normalize, read_integers, read_numbers
from .gltf_container import GltfFile
from .soft_packages import import_soft

_DRACO = "KHR_draco_mesh_compression"
_LAST_INDEX = {5121: 255, 5123: 65535, 5125: 2**32 - 1}
"""Of each component type."""
_TRIANGLES, _STRIP, _FAN = 4, 5, 6
_MODE_NAMES = ("points", "lines", "lines", "lines")


@dataclass(frozen=True, eq=False)
class Primitive:
    """Triangles of one material before any node places them.

    joints, weights: (V, 4 k), the influences of the skin, or None. uvs: by set. colors: (V, 4) linear.
    tangents: (V, 4), with the sign of the bitangent, or None: they are computed.
    """

    positions: Float64Array
    faces: Int64Array
    normals: Float64Array | None
    tangents: Float64Array | None
    uvs: Mapping[int, Float64Array]
    colors: Float64Array | None
    joints: Int64Array | None
    weights: Float64Array | None
    material: int | None


@dataclass
class _Attributes:
    """Attributes of a primitive by name, from Draco's data where they are in it, else from accessors."""

    file: GltfFile
    accessors: Mapping[str, Any]
    decoded: dict[str, Any] = field(default_factory=dict)

    def numbers(self, name: str, *types: str) -> Float64Array | None:
        is_unit = name.startswith("COLOR")  # glTF has no others of integers
        if name in self.decoded:
            return normalize(self.decoded[name], is_unit or self._is_normalized(name))
        if name not in self.accessors:
            return None
        return read_numbers(self.file, self.accessors[name], *types, is_unit=is_unit)

    def _is_normalized(self, name: str) -> bool:
        """Whether integers of Draco's data are normalized, which their accessor says."""
        if self.decoded[name].dtype.kind == "f" or name not in self.accessors:
            return False
        described = self.file.item("accessors", self.accessors[name])
        return bool(self.file.get(described, "normalized", bool, False))

    def integers(self, name: str) -> Int64Array | None:
        if name in self.decoded:
            return np.asarray(self.decoded[name], np.int64)
        return read_integers(self.file, self.accessors[name], "VEC4") if name in self.accessors else None

    def sets(self, prefix: str) -> list[int]:
        """The numbers of the sets of an attribute: 0, 1 … of TEXCOORD_0, TEXCOORD_1 …."""
        names = {*self.accessors, *self.decoded}
        found = (re.fullmatch(rf"{prefix}_(\d{{1,3}})", name) for name in names)
        return sorted(int(match[1]) for match in found if match)


def read_primitive(
    file: GltfFile, primitive: Mapping[str, Any], morphs: Sequence[float]
) -> Primitive | str | None:
    """A primitive of a mesh whose morph targets have these weights.

    Returns what it is instead ("points", "lines") if it has no triangles by its mode, or None if it is empty.
    """
    mode = file.get(primitive, "mode", int, _TRIANGLES)
    if mode not in (_TRIANGLES, _STRIP, _FAN):
        if 0 <= mode < len(_MODE_NAMES):
            return _MODE_NAMES[mode]
        raise file.damaged(f"a primitive has mode {mode}")
    attributes, indices = _open(file, primitive)
    positions = attributes.numbers("POSITION", "VEC3")
    if positions is None or not len(positions):
        return None
    normals = attributes.numbers("NORMAL", "VEC3")
    positions = _add_morphs(file, primitive, "POSITION", positions, morphs)
    normals = None if normals is None else _add_morphs(file, primitive, "NORMAL", normals, morphs)
    count = len(positions)
    tangents = None if normals is None else _read_tangents(file, primitive, attributes, morphs, count)
    if indices is None:
        indices = np.arange(count)
    runs = [indices] if mode == _TRIANGLES else _split_runs(file, primitive, indices)
    indices = np.concatenate(runs)
    if len(indices) and (indices.min() < 0 or indices.max() >= count):
        raise file.damaged(f"its faces name vertex {indices.max()} of {count}")
    colors = attributes.numbers("COLOR_0", "VEC3", "VEC4")
    if colors is not None and colors.shape[1] == 3:
        colors = np.concatenate((colors, np.ones((len(colors), 1))), axis=1)
    uvs = {number: attributes.numbers(f"TEXCOORD_{number}", "VEC2") for number in attributes.sets("TEXCOORD")}
    joints, weights = _read_influences(attributes)
    others: tuple[Any, ...] = (normals, colors, joints, *uvs.values())
    if unequal := [len(array) for array in others if array is not None and len(array) != count]:
        raise file.damaged(f"a primitive has {count} positions and {unequal[0]} of another attribute")
    return Primitive(
        positions, np.concatenate([_list_triangles(mode, run) for run in runs]), normals,
        tangents, uvs, colors, joints, weights,  # type: ignore[arg-type]
        file.get(primitive, "material", int),
    )  # fmt: skip


def _open(file: GltfFile, primitive: Mapping[str, Any]) -> tuple[_Attributes, Int64Array | None]:
    """The attributes of a primitive, and its indices (N,)."""
    accessors = file.get(primitive, "attributes", dict, {})
    packed = file.extension(primitive, _DRACO)
    if packed is not None:
        decoded, faces = _decode_draco(file, packed)
        return _Attributes(file, accessors, decoded), faces.reshape(-1)
    index = primitive.get("indices")
    indices = None if index is None else read_integers(file, index, "SCALAR")[:, 0]
    return _Attributes(file, accessors), indices


def _decode_draco(file: GltfFile, packed: Mapping[str, Any]) -> tuple[dict[str, Any], Int64Array]:
    """Attributes by name, and faces (F, 3)."""
    draco = import_soft("DracoPy", f"{file.path.name} uses {_DRACO}")
    data, _ = file.view(packed.get("bufferView"))
    try:
        mesh = draco.decode(bytes(data))
        by_id = {item["unique_id"]: item["data"] for item in mesh.attributes}
        faces = np.asarray(mesh.faces, np.int64)
    except (draco.FileTypeException, AttributeError, ValueError, RuntimeError, MemoryError) as error:
        raise file.damaged(f"its {_DRACO} cannot be decoded ({error})") from error
    names = file.get(packed, "attributes", dict, {})
    if not all(type(number) is int for number in names.values()):
        raise file.damaged(f"the attributes of its {_DRACO} are not numbered")
    return {name: by_id[number] for name, number in names.items() if number in by_id}, faces


def _read_influences(attributes: _Attributes) -> tuple[Int64Array | None, Float64Array | None]:
    """Joints and weights of all sets side by side, (V, 4 k) each; weights sum to 1 where any is positive."""
    joints, weights = [], []
    for number in attributes.sets("JOINTS"):
        joint = attributes.integers(f"JOINTS_{number}")
        weight = attributes.numbers(f"WEIGHTS_{number}", "VEC4")
        if joint is not None and weight is not None and joint.shape == weight.shape:
            joints.append(joint)
            weights.append(weight)
    if not joints or len({len(joint) for joint in joints}) > 1:
        return None, None
    summed = np.concatenate(weights, axis=1).clip(0)
    total = summed.sum(axis=1, keepdims=True)
    return np.concatenate(joints, axis=1), summed / np.where(total > 0, total, 1)


def _read_tangents(
    file: GltfFile,
    primitive: Mapping[str, Any],
    attributes: _Attributes,
    morphs: Sequence[float],
    count: int,
) -> Float64Array | None:
    """Tangents (V, 4); None if there are none, or damaged ones, in whose place others are computed."""
    try:
        tangents = attributes.numbers("TANGENT", "VEC4")
        if tangents is None or len(tangents) != count or not np.isfinite(tangents).all():
            return None
        axes = _add_morphs(file, primitive, "TANGENT", tangents[:, :3], morphs)
    except FormatError:
        return None
    return np.concatenate((axes, tangents[:, 3:]), axis=1)


def _add_morphs(
    file: GltfFile, primitive: Mapping[str, Any], name: str, values: Float64Array, morphs: Sequence[float]
) -> Float64Array:
    """The values moved by the morph targets, each by its weight."""
    for target, weight in zip(file.get(primitive, "targets", list, []), morphs, strict=False):
        if weight and isinstance(target, dict) and name in target:
            moved = read_numbers(file, target[name], "VEC3")
            if moved.shape != values.shape:
                raise file.damaged(f"a morph target has {len(moved)} of {name} for {len(values)} vertices")
            values = values + weight * moved
    return values


def _split_runs(file: GltfFile, primitive: Mapping[str, Any], indices: Int64Array) -> list[Int64Array]:
    """The strips or fans of a primitive: the last index of its type, which names no vertex, begins another.

    Graphics hardware takes it so whether or not the file says that it uses KHR_mesh_primitive_restart.
    """
    if "indices" not in primitive:
        return [indices]
    component = file.item("accessors", primitive["indices"])["componentType"]
    is_cut = indices == _LAST_INDEX.get(component, -1)
    run = np.cumsum(is_cut)[~is_cut]
    return np.split(indices[~is_cut], np.flatnonzero(np.diff(run)) + 1)


def _list_triangles(mode: int, indices: Int64Array) -> Int64Array:
    """Indices as the mode means them -> faces (F, 3), counter-clockwise."""
    if mode == _TRIANGLES:
        return indices[: len(indices) // 3 * 3].reshape(-1, 3)
    count = max(len(indices) - 2, 0)
    steps = np.arange(count)
    if mode == _FAN:
        corners = np.stack((steps + 1, steps + 2, np.zeros_like(steps)), axis=1)
    else:  # every other triangle of a strip is wound the other way
        odd = steps % 2
        corners = np.stack((steps, steps + 1 + odd, steps + 2 - odd), axis=1)
    return drop_collapsed(indices[corners])
