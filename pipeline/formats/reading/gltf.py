"""Reader of glTF 2.0: .gltf, .glb and .vrm, the scene as its file shows it, at rest.

Skins are posed by the transforms of their nodes, morph targets have their default weights. What has no
triangles is left out and named; an extension that a file requires and this reader does not know is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import FormatError
from ...mesh_extras import turn_tangents
from .gltf_container import GltfFile
from .gltf_left_out import find_left_out
from .gltf_materials import GltfMaterials
from .gltf_morphs import read_targets
from .gltf_nodes import GltfNodes, place_primitive
from .gltf_primitives import Primitive, read_primitive
from .gltf_rig import GltfRig
from .model import Model, Part

UNDERSTOOD = frozenset({
    "EXT_mesh_gpu_instancing", "EXT_meshopt_compression", "EXT_texture_webp", "KHR_draco_mesh_compression",
    "KHR_lights_punctual", "KHR_materials_emissive_strength", "KHR_materials_pbrSpecularGlossiness",
    "KHR_materials_unlit", "KHR_mesh_primitive_restart", "KHR_mesh_quantization", "KHR_meshopt_compression",
    "KHR_texture_basisu", "KHR_texture_transform", "VRM", "VRMC_vrm",
})  # fmt: skip
"""The extensions that a file may require."""


_VRM_AXES = {"VRM": ("+Y", "-Z"), "VRMC_vrm": ("+Y", "+Z")}
"""Where up and front of a figure are in VRM 0 and VRM 1."""


def read_gltf(path: Path) -> Model:
    """Read a .gltf, .glb or .vrm file. FormatError if it is damaged or requires an unknown extension."""
    file = GltfFile(path)
    needed = file.items("extensionsRequired")
    required = [name for name in needed if not isinstance(name, str) or name not in UNDERSTOOD]
    if required:
        raise FormatError(f"{path.name} requires {', '.join(map(str, required))}, which cannot be read")
    nodes, materials, left_out = GltfNodes(file), GltfMaterials(file), Counter[str]()
    rig, warnings = GltfRig(file, nodes), list[str]()
    parts = [
        part
        for index in nodes.world
        for part in _read_node(file, nodes, materials, rig, index, left_out, warnings)
    ]
    others = find_left_out(file, nodes, UNDERSTOOD)
    skeleton, clips = rig.read_skeleton(), rig.read_clips(warnings, others)
    named = [f"meshes of {kind} are left out: {count}" for kind, count in sorted(left_out.items())]
    used = file.items("extensionsUsed")
    axes = next((axes for name, axes in _VRM_AXES.items() if name in used), ("auto", "auto"))
    return Model(
        tuple(parts),
        (*named, *materials.warnings, *warnings, *others.describe()),
        *axes,
        skeleton,
        clips,
        True,
    )


def _read_node(
    file: GltfFile,
    nodes: GltfNodes,
    materials: GltfMaterials,
    rig: GltfRig,
    index: int,
    left_out: Counter[str],
    warnings: list[str],
) -> Iterator[Part]:
    """The parts of a node's mesh; what has no triangles is counted in `left_out`."""
    node = file.item("nodes", index)
    if "mesh" not in node:
        return
    mesh = file.item("meshes", node["mesh"])
    morphs = file.get(node, "weights", list, None) or file.get(mesh, "weights", list, [])
    joints = nodes.joint_transforms(node["skin"]) if "skin" in node else None
    name = file.get(node, "name", str) or file.get(mesh, "name", str) or f"node {index + 1}"
    for described in file.get(mesh, "primitives", list, []):
        if not isinstance(described, dict):
            raise file.damaged(f"{name!r} has a primitive that is not an object")
        weights = _check_morphs(file, morphs)
        primitive = read_primitive(file, described, weights)
        if isinstance(primitive, str):
            left_out[primitive] += 1
        if not isinstance(primitive, Primitive) or not len(primitive.faces):
            continue
        if joints is not None and primitive.joints is not None and primitive.joints.max() >= len(joints):
            raise file.damaged(f"{name!r} names joint {primitive.joints.max()} of {len(joints)}")
        material = materials.read(primitive.material)
        influences = rig.read_influences(index, primitive)
        try:
            targets = read_targets(file, mesh, described, weights, len(primitive.positions))
        except FormatError as error:
            warnings.append(f"the morph targets of {name!r} are left out: {error}")
            targets = ()
        for positions, faces, normals, linear in place_primitive(primitive, nodes.places(index), joints):
            tangents = None if primitive.tangents is None else turn_tangents(primitive.tangents, linear)
            yield Part(
                name,
                positions,
                faces,
                normals,
                primitive.uvs,
                primitive.colors,
                material,
                tuple(target.turn(linear) for target in targets),
                influences,
                tangents,
            )


def _check_morphs(file: GltfFile, morphs: list[Any]) -> list[float]:
    if not all(isinstance(weight, (int, float)) for weight in morphs):
        raise file.damaged("the weights of its morph targets are not numbers")
    return [float(weight) for weight in morphs]
