"""Reads FBX with ufbx, in a process of its own, which apart.py starts.

ufbx is native code that reads what strangers wrote. This file and those that it imports need numpy and ufbx
alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .fbx_lists import hold, list_items, read_array, read_matrix
from .fbx_rig import FbxRig, list_channels, read_morphs
from .left_out import LeftOut
from .polygons import cut_polygons


def main(model: str, folder: str) -> None:
    """Write what the file shows, or `error`, to scene.json and arrays.npz in `folder`."""
    import ufbx

    arrays: dict[str, Any] = {}
    try:
        scene = ufbx.load_file(
            model,
            evaluate_skinning=True,
            generate_missing_normals=True,
            target_unit_meters=1.0,
            target_axes=ufbx.axes_right_handed_y_up,
        )
    except ufbx.UfbxError as error:
        described: dict[str, Any] = {"error": _name_error(error)}
    else:
        described = _describe(scene, arrays)
    np.savez(Path(folder, "arrays.npz"), **arrays)
    Path(folder, "scene.json").write_text(json.dumps(described), encoding="utf-8")


_ERRORS = {
    "TruncatedFileError": "it ends in the middle",
    "UnrecognizedFileFormatError": "it is not an FBX file",
    "BadIndexError": "it names a vertex that it does not have",
    "UnsupportedVersionError": "its version of FBX cannot be read",
    "NodeDepthLimitError": "its nodes are nested too deeply",
}
"""What the kinds of errors of ufbx mean."""


def _name_error(error: Exception) -> str:
    return _ERRORS.get(type(error).__name__, "it cannot be parsed as FBX")


def _describe(scene: Any, arrays: dict[str, Any]) -> dict[str, Any]:
    materials = [_describe_material(material, arrays) for material in list_items(scene.materials)]
    rig = FbxRig(scene)
    parts: list[dict[str, Any]] = []
    hidden: list[str] = []
    for mesh in list_items(scene.meshes):
        for node in list_items(mesh.instances):
            if not node.visible:
                hidden.append(node.name)
                continue
            for part in _read_instance(mesh, node, rig):
                number = len(parts)
                keys = {name: f"part{number}_{name}" for name, array in part.items() if array is not None}
                arrays.update({keys[name]: array for name, array in part.items() if array is not None})
                parts.append({
                    "name": node.name or mesh.name,
                    "material": int(part["material"]),
                    "keys": keys,
                    "morphs": [
                        {"name": channel.name, "weight": float(channel.weight)}
                        for channel in list_channels(mesh)
                    ],
                })  # fmt: skip
    warnings = [str(warning.description) for warning in list_items(scene.metadata.warnings)]
    described = {"materials": materials, "parts": parts, "hidden": hidden, "warnings": warnings}
    left_out = LeftOut()
    for kind, items in (
        ("camera", scene.cameras),
        ("light", scene.lights),
        ("curve", scene.line_curves),
        ("curve", scene.nurbs_curves),
        ("NURBS surface", scene.nurbs_surfaces),
    ):
        left_out.count(kind, len(items))
    described |= {"skeleton": rig.describe(arrays), "clips": rig.describe_clips(arrays, left_out)}
    return {**described, "left_out": left_out.describe()}


def _read_instance(mesh: Any, node: Any, rig: FbxRig) -> Iterator[dict[str, Any]]:
    """The triangles of a mesh where a node has it, one part for each material."""
    faces = read_array(mesh.faces).astype(np.int64)
    positions = read_array(mesh.skinned_position.values)
    places = read_array(mesh.skinned_position.indices).astype(np.int64)
    corners, owner = cut_polygons(positions[places], faces[:, 1], faces[:, 0])
    matrix = np.eye(4)
    if mesh.skinned_is_local:
        matrix = read_matrix(node.geometry_to_world)
        positions = positions @ matrix[:3, :3].T + matrix[:3, 3]
    layers = {"uvs": mesh.vertex_uv, "normals": mesh.skinned_normal, "colors": mesh.vertex_color}
    sets = enumerate(list_items(mesh.uv_sets))
    layers |= {f"uvs_{number}": item.vertex_uv for number, item in sets if number}
    of_vertices = rig.read_influences(mesh, node, len(positions))
    of_vertices |= read_morphs(mesh, node, len(positions))
    read = {
        name: (read_array(layer.values), read_array(layer.indices))
        for name, layer in layers.items()
        if layer.exists
    }
    if "normals" in read and mesh.skinned_is_local:
        turned = read["normals"][0] @ np.linalg.inv(matrix[:3, :3])
        length = np.linalg.norm(turned, axis=1, keepdims=True)
        read["normals"] = turned / np.where(length > 0, length, 1), read["normals"][1]
    is_mirrored = np.linalg.det(matrix[:3, :3]) < 0
    numbers = read_array(mesh.face_material)
    materials = [material.typed_id for material in list_items(node.materials or mesh.materials)]
    of_face = numbers[owner] if len(numbers) else np.zeros(len(owner), np.int64)
    for number in np.unique(of_face):
        own = corners[of_face == number]
        columns = [places[own.reshape(-1)], *(indices[own.reshape(-1)] for _, indices in read.values())]
        rows, inverse = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
        triangles = inverse.reshape(-1, 3)
        part = {name: values[rows[:, 1 + at]] for at, (name, (values, _)) in enumerate(read.items())}
        part["positions"] = positions[rows[:, 0]]
        part["faces"] = triangles[:, ::-1] if is_mirrored else triangles
        part |= {name: values[rows[:, 0]] for name, values in of_vertices.items()}
        part["material"] = np.array(materials[number] if number < len(materials) else -1)
        yield part


def _describe_material(material: Any, arrays: dict[str, Any]) -> dict[str, Any]:
    surface, lambert = material.pbr, material.fbx
    alpha = _read_alpha(surface, lambert)
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


def _read_alpha(surface: Any, lambert: Any) -> float:
    """Opacity, or what a Lambert material's transparency leaves; some writers have all of it mean none."""
    if surface.opacity.has_value:
        return float(surface.opacity.value_vec4.x)
    color, factor = lambert.transparency_color, lambert.transparency_factor
    if not color.has_value or not factor.has_value:
        return 1.0
    alpha = 1 - sum(_read_color(color, factor)) / 3
    return alpha if 0 < alpha < 1 else 1.0


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
    content = bytes(hold(texture.content))
    if content:
        arrays[key] = np.frombuffer(content, np.uint8)
    wrap = ["CLAMP" if "CLAMP" in mode.name else "REPEAT" for mode in (texture.wrap_u, texture.wrap_v)]
    names = [texture.relative_filename, texture.filename, texture.absolute_filename]
    return {"content": key if content else None, "names": [str(name) for name in names], "wrap": wrap}
