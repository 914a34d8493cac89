"""Reads FBX with ufbx, in a process of its own, which apart.py starts.

ufbx 0.0.5 is native code that reads what strangers wrote, and it gives away references that it does not own:
those to the items of its lists, and those of memoryviews to what they show. `_list` and `_read` give each a
reference. This file needs numpy and ufbx alone.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


def main(model: str, folder: str) -> None:
    """Write what the file shows, or `error`, to scene.json and arrays.npz in `folder`."""
    import ufbx

    arrays: dict[str, Any] = {}
    try:
        scene = ufbx.load_file(
            model,
            evaluate_skinning=True,
            ignore_animation=True,
            generate_missing_normals=True,
            target_unit_meters=1.0,
            target_axes=ufbx.axes_right_handed_y_up,
        )
    except ufbx.UfbxError as error:
        described: dict[str, Any] = {"error": str(error)}
    else:
        described = _describe(scene, arrays)
    np.savez(Path(folder, "arrays.npz"), **arrays)
    Path(folder, "scene.json").write_text(json.dumps(described), encoding="utf-8")


def _hold(item: Any) -> Any:
    """The item with one more reference."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(item))
    return item


def _list(items: Any) -> Iterator[Any]:
    """The items of one of ufbx's lists."""
    return map(_hold, items)


def _describe(scene: Any, arrays: dict[str, Any]) -> dict[str, Any]:
    materials = [_describe_material(material, arrays) for material in _list(scene.materials)]
    parts: list[dict[str, Any]] = []
    hidden: list[str] = []
    for mesh in _list(scene.meshes):
        for node in _list(mesh.instances):
            if not node.visible:
                hidden.append(node.name)
                continue
            for part in _read_instance(mesh, node):
                number = len(parts)
                keys = {name: f"part{number}_{name}" for name, array in part.items() if array is not None}
                arrays.update({keys[name]: array for name, array in part.items() if array is not None})
                parts.append(
                    {"name": node.name or mesh.name, "material": int(part["material"]), "keys": keys}
                )
    warnings = [str(warning.description) for warning in _list(scene.metadata.warnings)]
    return {"materials": materials, "parts": parts, "hidden": hidden, "warnings": warnings}


def _read_instance(mesh: Any, node: Any) -> Iterator[dict[str, Any]]:
    """The triangles of a mesh where a node has it, one part for each material."""
    faces = _read(mesh.faces).astype(np.int64)
    corners, owner = _triangulate(faces[:, 0], faces[:, 1])
    positions = _read(mesh.skinned_position.values)
    places = _read(mesh.skinned_position.indices)
    matrix = np.eye(4)
    if mesh.skinned_is_local:
        matrix[:3] = np.array(_hold(node.geometry_to_world)).T
        positions = positions @ matrix[:3, :3].T + matrix[:3, 3]
    layers = {"uvs": mesh.vertex_uv, "normals": mesh.skinned_normal, "colors": mesh.vertex_color}
    read = {
        name: (_read(layer.values), _read(layer.indices)) for name, layer in layers.items() if layer.exists
    }
    if "normals" in read and mesh.skinned_is_local:
        turned = read["normals"][0] @ np.linalg.inv(matrix[:3, :3])
        length = np.linalg.norm(turned, axis=1, keepdims=True)
        read["normals"] = turned / np.where(length > 0, length, 1), read["normals"][1]
    is_mirrored = np.linalg.det(matrix[:3, :3]) < 0
    numbers = _read(mesh.face_material)
    materials = [material.typed_id for material in _list(node.materials or mesh.materials)]
    of_face = numbers[owner] if len(numbers) else np.zeros(len(owner), np.int64)
    for number in np.unique(of_face):
        own = corners[of_face == number]
        columns = [places[own.reshape(-1)], *(indices[own.reshape(-1)] for _, indices in read.values())]
        rows, inverse = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
        triangles = inverse.reshape(-1, 3)
        part = {name: values[rows[:, 1 + at]] for at, (name, (values, _)) in enumerate(read.items())}
        part["positions"] = positions[rows[:, 0]]
        part["faces"] = triangles[:, ::-1] if is_mirrored else triangles
        part["material"] = np.array(materials[number] if number < len(materials) else -1)
        yield part


def _read(values: Any) -> Any:
    """One of ufbx's lists as an array, (N, k) of vectors or (N,) of integers."""
    if not len(values):
        return np.zeros((0, 3))
    try:
        return np.asarray(memoryview(_hold(values))).copy()
    except TypeError:  # its lists of integers have no buffer
        return np.fromiter(values, np.int64, len(values))


def _triangulate(starts: Any, sizes: Any) -> tuple[Any, Any]:
    """(T, 3) corners of the triangles of polygons, each a fan, and the polygon of each."""
    counts = np.maximum(sizes - 2, 0)
    owner = np.repeat(np.arange(len(sizes)), counts)
    step = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    first = starts[owner]
    return np.stack((first, first + step + 1, first + step + 2), axis=1), owner


def _describe_material(material: Any, arrays: dict[str, Any]) -> dict[str, Any]:
    surface, lambert = material.pbr, material.fbx
    alpha = 1.0
    if surface.opacity.has_value:
        alpha = float(surface.opacity.value_vec4.x)
    return {
        "name": material.name,
        "base_color": [*_read_color(surface.base_color, surface.base_factor), alpha],
        "metallic": _read_number(surface.metalness, 0.0),
        "roughness": _read_number(surface.roughness, 0.9),
        "emissive": _read_color(surface.emission_color, surface.emission_factor),
        "textures": {
            role: _describe_texture(found.texture, arrays)
            for role, found in (
                ("base_color", surface.base_color),
                ("normal", lambert.normal_map),
                ("emissive", surface.emission_color),
            )
            if found.texture is not None and found.texture_enabled
        },
    }


def _read_color(found: Any, factor: Any) -> list[float]:
    if not found.has_value:
        return [0.0, 0.0, 0.0]
    scale = _read_number(factor, 1.0)
    value = found.value_vec4
    return [float(value.x) * scale, float(value.y) * scale, float(value.z) * scale]


def _read_number(found: Any, default: float) -> float:
    return float(found.value_vec4.x) if found.has_value else default


def _describe_texture(texture: Any, arrays: dict[str, Any]) -> dict[str, Any]:
    """File names to try, and the key of the embedded picture."""
    key = f"picture{texture.typed_id}"
    content = bytes(_hold(texture.content))
    if content:
        arrays[key] = np.frombuffer(content, np.uint8)
    wrap = ["CLAMP" if "CLAMP" in mode.name else "REPEAT" for mode in (texture.wrap_u, texture.wrap_v)]
    names = [texture.relative_filename, texture.filename, texture.absolute_filename]
    return {"content": key if content else None, "names": [str(name) for name in names], "wrap": wrap}
