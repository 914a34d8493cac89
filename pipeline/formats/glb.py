"""Writer of binary glTF 2.0 (Khronos, ISO/IEC 12113): one mesh, optionally with texture, skeleton and clips.

Frame and UV origin of the pipeline are glTF's (conventions.py), so nothing is converted.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..mesh.normals import vertex_normals
from ..types import FloatArray, IntArray, Mesh, RiggedCharacter, TexturedMesh
from .files import replace_file
from .gltf_compact import compress_document, quantize_document, recode_images
from .gltf_document import INDICES, VERTICES, GltfDocument
from .gltf_draco import compress_with_draco
from .gltf_extras import add_tangents, add_targets, add_uv_sets, unmorph_positions
from .gltf_materials import describe_material
from .gltf_skin import add_skin_attributes, add_skinned_nodes
from .validate import check_character, check_mesh

_CLAY = (0.58, 0.56, 0.54, 1.0)
_WHITE = (1.0, 1.0, 1.0, 1.0)


def write_glb(path: str | Path, model: Mesh | TexturedMesh | RiggedCharacter) -> None:
    """Write the model as one .glb file: positions, normals, uvs, colors, indices and an embedded PNG.

    Further uv sets, tangents and morph targets are kept. A rigged character also has joints, inverse bind
    matrices and skin weights, and its clips as animations; a skeleton of the mesh's own is not written.
    Vertices keep their order. Missing normals are computed. The same model gives the same bytes. Raises
    FormatError for a mesh without faces or with coordinates that are not finite, and for parts of a
    character that do not fit together; OSError from writing. The file is written atomically.
    """
    replace_file(Path(path), encode_glb(model))


def encode_compact_glb(
    character: RiggedCharacter,
    compression: str,
    webp_quality: int = 0,
    lods: Sequence[RiggedCharacter] = (),
) -> bytes:
    """Return a smaller file of the character; with a quality, its textures are WebP.

    See gltf_compact.py, and gltf_draco.py for "draco".
    """
    check_character(character, "GLB")
    document = describe_character(character, lods)[0]
    if webp_quality:
        recode_images(document, webp_quality)
    if compression in ("quantized", "meshopt"):
        quantize_document(document)
    if compression == "meshopt":
        compress_document(document)
    if compression == "draco":
        compress_with_draco(document)
    return document.pack()


def encode_glb(model: Mesh | TexturedMesh | RiggedCharacter) -> bytes:
    """Return the content of the file that `write_glb` writes."""
    if isinstance(model, RiggedCharacter):
        check_character(model, "GLB")
        return describe_character(model)[0].pack()
    check_mesh(model.mesh if isinstance(model, TexturedMesh) else model, "GLB")
    document = GltfDocument()
    document.add("nodes", {"name": "character", "mesh": _add_mesh(document, model, {}, {})})
    document.add("scenes", {"nodes": [0]})
    return document.pack()


def describe_character(
    character: RiggedCharacter, lods: Sequence[RiggedCharacter] = ()
) -> tuple[GltfDocument, list[int]]:
    """Return the document of a validated character, and the node (J,) of each of its joints.

    lods: its coarser levels of detail, on the same skeleton and with the same materials.
    """
    document = GltfDocument()
    meshes: list[int] = []
    materials: dict[int, int] = {}
    for level in (character, *lods):
        skin = add_skin_attributes(document, level.skin, len(character.skeleton.names))
        meshes.append(_add_mesh(document, level.textured, skin, materials))
    return document, add_skinned_nodes(document, character, meshes[0], meshes[1:])


def _add_mesh(
    document: GltfDocument, model: Mesh | TexturedMesh, skin: dict[str, int], materials: dict[int, int]
) -> int:
    """Append the mesh, a primitive for each of its materials; they share their vertices.

    materials: those of a finer level of detail that the document has, the model's number -> the document's;
    empty for the first mesh, whose are added.
    """
    mesh = model.mesh if isinstance(model, TexturedMesh) else model
    attributes = _add_attributes(document, mesh) | skin
    if isinstance(model, TexturedMesh):
        described = [] if materials else [describe_material(document, item) for item in model.materials]
        faces = [mesh.faces[model.face_materials == number] for number in range(len(model.materials))]
    else:
        described, faces = [_describe_plain(mesh)], [mesh.faces]
    targets, named = add_targets(document, mesh)
    primitives = []
    for number, its_faces in enumerate(faces):
        if not len(its_faces):
            continue
        indices = _add_indices(document, its_faces, len(mesh.positions))
        if number not in materials:
            if mesh.colors is not None and (mesh.colors[:, 3] < 1).any():
                described[number].setdefault("alphaMode", "BLEND")
            materials[number] = document.add("materials", described[number])
        material = materials[number]
        primitives.append({"attributes": attributes, "indices": indices, "material": material, **targets})
    return document.add("meshes", {"name": "character", "primitives": primitives, **named})


def _add_attributes(document: GltfDocument, mesh: Mesh) -> dict[str, int]:
    attributes = {
        "POSITION": document.add_accessor(unmorph_positions(mesh), VERTICES, has_bounds=True),
        "NORMAL": document.add_accessor(_make_unit(vertex_normals(mesh)), VERTICES),
    }
    if mesh.uvs is not None:
        attributes["TEXCOORD_0"] = document.add_accessor(mesh.uvs, VERTICES)
    if mesh.colors is not None:
        attributes["COLOR_0"] = document.add_accessor(mesh.colors.clip(0, 1), VERTICES)
    if mesh.uvs is not None and mesh.extras is not None:
        attributes |= add_uv_sets(document, mesh.extras) | add_tangents(document, mesh.extras)
    return attributes


def _add_indices(document: GltfDocument, faces: IntArray, vertex_count: int) -> int:
    dtype = np.uint16 if vertex_count < 0xFFFF else np.uint32
    return document.add_accessor(faces.ravel().astype(dtype), INDICES)


def _make_unit(normals: FloatArray) -> FloatArray:
    """Normals (V, 3) of length 1, as glTF requires; +Y for normals of length 0."""
    length = np.linalg.norm(normals.astype(np.float64), axis=1, keepdims=True)
    unit = np.where(length > 1e-12, normals / np.maximum(length, 1e-12), (0.0, 1.0, 0.0))
    return unit.astype(np.float32)


def _describe_plain(mesh: Mesh) -> dict[str, Any]:
    """Clay, or white below vertex colors, which multiply it."""
    name, color = ("clay", _CLAY) if mesh.colors is None else ("vertex_colors", _WHITE)
    surface = {"baseColorFactor": list(color), "metallicFactor": 0.0, "roughnessFactor": 0.9}
    return {"name": name, "pbrMetallicRoughness": surface}
