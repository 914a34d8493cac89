"""Rigged characters as binary FBX 7.4: mesh, embedded texture, skeleton, skin and bind pose."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import FormatError
from ..normals import vertex_normals
from ..types import Material, Mesh, RiggedCharacter, Skeleton, SkinWeights
from .fbx_binary import FbxNode, encode_document
from .fbx_scene import ROOT_ID, SceneBuilder, flatten_matrix, make_properties
from .files import encode_png, replace_file

Float64Array = npt.NDArray[np.float64]

_CENTIMETRES_PER_METRE = 100.0
_CHARACTER_NAME = "Character"
_UV_SET = "UVMap"
_DIELECTRIC = 0.04
"""Specular colour, glTF's for what is no metal; three.js leaves SpecularFactor out."""
_ROTATION_TOLERANCE = 1e-3
_WEIGHT_TOLERANCE = 1e-4
_GIMBAL_COSINE = 1e-9


@dataclass(frozen=True)
class _FbxFigure:
    """positions: (V, 3), and rest: (J, 4, 4), both float64 in FBX's centimetres; uvs: (V, 2), v up."""

    positions: Float64Array
    rest: Float64Array
    uvs: Float64Array


def write_fbx(path: str | os.PathLike[str], character: RiggedCharacter) -> None:
    """Writes `character` as a binary FBX 7.4 file that stands on its own: the texture is inside.

    Vertices keep their order and number; missing normals are computed. Centimetres, +Y up, facing +Z.
    The same character and file name give the same bytes. The file appears whole or not at all.
    Raises FormatError where the parts of the character do not fit together, OSError from writing.
    """
    _check_character(character)
    path = Path(path)
    scene = SceneBuilder()
    _add_character(scene, character, f"{path.stem}_base_color.png")
    replace_file(path, encode_document(scene.document()))


def _check_character(character: RiggedCharacter) -> None:
    mesh, skeleton, skin = character.textured.mesh, character.skeleton, character.skin
    vertex_count, joint_count = len(mesh.positions), len(skeleton.names)
    if len(mesh.faces) == 0 or joint_count == 0:
        raise FormatError(f"FBX: expected faces and joints, got {len(mesh.faces)} and {joint_count}")
    if mesh.faces.min() < 0 or mesh.faces.max() >= vertex_count:
        raise FormatError(f"FBX: a face names a vertex outside 0..{vertex_count - 1}")
    for name, values in (("position", mesh.positions), ("uv", mesh.uvs), ("normal", mesh.normals)):
        if values is not None and not np.isfinite(values).all():
            raise FormatError(f"FBX: a {name} is not finite")
    _check_skeleton(skeleton)
    if len(skin.joints) != vertex_count:
        raise FormatError(f"FBX: expected skin weights for {vertex_count} vertices, got {len(skin.joints)}")
    if skin.joints.max() >= joint_count:
        raise FormatError(f"FBX: skin weights name joint {skin.joints.max()}, the skeleton has {joint_count}")
    worst = float(np.abs(skin.weights.sum(axis=1) - 1).max())
    if not worst <= _WEIGHT_TOLERANCE or skin.weights.min() < 0:
        raise FormatError(f"FBX: skin weights are negative, or a row is off 1 by {worst:.2g}")


def _check_skeleton(skeleton: Skeleton) -> None:
    if len(set(skeleton.names)) != len(skeleton.names):
        raise FormatError("FBX: two joints have the same name")
    late = np.flatnonzero(skeleton.parents >= np.arange(len(skeleton.names)))
    if len(late):
        raise FormatError(f"FBX: joint {skeleton.names[late[0]]!r} stands before its parent")
    turn = skeleton.rest[:, :3, :3].astype(np.float64)
    error = np.abs(turn @ turn.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
    wrong = ~((error < _ROTATION_TOLERANCE) & (np.linalg.det(turn) > 0))
    if wrong.any():
        raise FormatError(f"FBX: the rest of joint {skeleton.names[wrong.argmax()]!r} is not a rotation")


def _character_to_fbx(character: RiggedCharacter) -> _FbxFigure:
    """The one place where metres become centimetres, and v down becomes v up."""
    mesh = character.textured.mesh
    assert mesh.uvs is not None  # TexturedMesh sees to it
    rest = np.tile(np.eye(4), (len(character.skeleton.names), 1, 1))
    # float32 rotations are off by 1e-7; made exact, local angles multiply back to the bind matrices.
    left, _, right = np.linalg.svd(character.skeleton.rest[:, :3, :3].astype(np.float64))
    rest[:, :3, :3] = left @ right
    rest[:, :3, 3] = character.skeleton.positions.astype(np.float64) * _CENTIMETRES_PER_METRE
    positions = mesh.positions.astype(np.float64) * _CENTIMETRES_PER_METRE
    return _FbxFigure(positions, rest, mesh.uvs * np.array((1.0, -1.0)) + (0, 1))


def _add_character(scene: SceneBuilder, character: RiggedCharacter, image_name: str) -> None:
    figure = _character_to_fbx(character)
    mesh_model = _add_model(scene, _CHARACTER_NAME, "Mesh", np.eye(4))
    scene.connect(mesh_model, ROOT_ID)
    geometry = _add_geometry(scene, character.textured.mesh, figure)
    scene.connect(geometry, mesh_model)
    scene.connect(_add_material(scene, character.textured.material, image_name), mesh_model)
    joints = _add_skeleton(scene, character.skeleton, figure.rest)
    scene.connect(_add_skin(scene, character.skin, figure.rest, joints), geometry)
    _add_bind_pose(scene, [mesh_model, *joints], [np.eye(4), *figure.rest])


def _add_geometry(scene: SceneBuilder, mesh: Mesh, figure: _FbxFigure) -> int:
    corners = mesh.faces.astype(np.int32)
    polygons = corners.copy()
    polygons[:, 2] = ~polygons[:, 2]  # a polygon's last corner is stored as its complement
    normals = _make_normal_layer(vertex_normals(mesh)[mesh.faces])
    layers = normals, _make_uv_layer(figure.uvs, corners), _make_material_layer()
    elements = (
        FbxNode("LayerElement", (), (FbxNode("Type", (layer.name,)), FbxNode("TypedIndex", (0,))))
        for layer in layers
    )
    return scene.add(
        "Geometry",
        _CHARACTER_NAME,
        "Geometry",
        "Mesh",
        FbxNode("GeometryVersion", (124,)),
        FbxNode("Vertices", (figure.positions.reshape(-1),)),
        FbxNode("PolygonVertexIndex", (polygons.reshape(-1),)),
        *layers,
        FbxNode("Layer", (0,), (FbxNode("Version", (100,)), *elements)),
    )


def _make_layer(kind: str, name: str, mapping: str, reference: str, *arrays: FbxNode) -> FbxNode:
    children = (
        FbxNode("Version", (101,)),
        FbxNode("Name", (name,)),
        FbxNode("MappingInformationType", (mapping,)),
        FbxNode("ReferenceInformationType", (reference,)),
        *arrays,
    )
    return FbxNode(kind, (0,), children)


def _make_normal_layer(normals: npt.NDArray[np.float32]) -> FbxNode:
    values = FbxNode("Normals", (normals.astype(np.float64).reshape(-1),))
    return _make_layer("LayerElementNormal", "", "ByPolygonVertex", "Direct", values)


def _make_uv_layer(uvs: Float64Array, corners: npt.NDArray[np.int32]) -> FbxNode:
    arrays = FbxNode("UV", (uvs.reshape(-1),)), FbxNode("UVIndex", (corners.reshape(-1),))
    return _make_layer("LayerElementUV", _UV_SET, "ByPolygonVertex", "IndexToDirect", *arrays)


def _make_material_layer() -> FbxNode:
    values = FbxNode("Materials", (np.zeros(1, dtype=np.int32),))
    return _make_layer("LayerElementMaterial", "", "AllSame", "IndexToDirect", values)


def _add_material(scene: SceneBuilder, material: Material, image_name: str) -> int:
    """Phong, which every reader knows. Roughness goes in as the shininess that Blender turns back into it."""
    gloss = 1.0 - material.roughness
    properties = make_properties(
        ("EmissiveColor", "color", 0.0, 0.0, 0.0),
        ("AmbientColor", "color", 0.0, 0.0, 0.0),
        ("DiffuseColor", "color", 1.0, 1.0, 1.0),
        ("DiffuseFactor", "factor", 1.0),
        ("TransparencyFactor", "factor", 0.0),
        ("SpecularColor", "color", *(_DIELECTRIC,) * 3),
        ("SpecularFactor", "factor", gloss),
        ("ShininessExponent", "factor", (gloss * 10) ** 2),
        ("Shininess", "factor", (gloss * 10) ** 2),
        ("ReflectionFactor", "factor", float(material.metallic)),
        ("Opacity", "factor", 1.0),
    )
    shading = FbxNode("ShadingModel", ("phong",)), FbxNode("MultiLayer", (0,))
    identity = scene.add(
        "Material", _CHARACTER_NAME, "Material", "", FbxNode("Version", (102,)), *shading, properties
    )
    texture = _add_texture(scene, encode_png(material.base_color)[0], image_name)
    scene.connect(texture, identity, "DiffuseColor")
    return identity


def _add_texture(scene: SceneBuilder, png: bytes, image_name: str) -> int:
    name = Path(image_name).stem
    # Only names, no folder: readers look for the picture in the file, then beside it.
    video = scene.add(
        "Video",
        name,
        "Video",
        "Clip",
        FbxNode("Type", ("Clip",)),
        make_properties(("Path", "url", image_name), ("RelPath", "url", image_name)),
        FbxNode("UseMipMap", (0,)),
        FbxNode("Filename", (image_name,)),
        FbxNode("RelativeFilename", (image_name,)),
        FbxNode("Content", (png,)),
    )
    texture = scene.add(
        "Texture",
        name,
        "Texture",
        "",
        FbxNode("Type", ("TextureVideoClip",)),
        FbxNode("Version", (202,)),
        FbxNode("TextureName", (f"{name}\x00\x01Texture",)),
        make_properties(("UVSet", "text", _UV_SET), ("UseMaterial", "boolean", 1)),
        FbxNode("Media", (f"{name}\x00\x01Video",)),
        FbxNode("FileName", (image_name,)),
        FbxNode("RelativeFilename", (image_name,)),
        FbxNode("ModelUVTranslation", (0.0, 0.0)),
        FbxNode("ModelUVScaling", (1.0, 1.0)),
        FbxNode("Texture_Alpha_Source", ("None",)),
        FbxNode("Cropping", (0, 0, 0, 0)),
    )
    scene.connect(video, texture)
    return texture


def _matrix_to_euler(matrix: Float64Array) -> tuple[float, float, float]:
    """Degrees about X, then Y, then Z (FBX's default order, matrix = Rz Ry Rx) of a (3, 3) rotation."""
    cosine = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    y = np.arctan2(-matrix[2, 0], cosine)
    if cosine > _GIMBAL_COSINE:
        x, z = np.arctan2(matrix[2, 1], matrix[2, 2]), np.arctan2(matrix[1, 0], matrix[0, 0])
    else:  # X and Z turn about the same axis: all of it goes to X
        x, z = np.arctan2(-matrix[1, 2], matrix[1, 1]), 0.0
    return float(np.degrees(x)), float(np.degrees(y)), float(np.degrees(z))


def _add_model(scene: SceneBuilder, name: str, subclass: str, local: Float64Array) -> int:
    properties = make_properties(
        ("DefaultAttributeIndex", "integer", 0),
        ("InheritType", "enum", 1),
        ("Lcl Translation", "Lcl Translation", *map(float, local[:3, 3])),
        ("Lcl Rotation", "Lcl Rotation", *_matrix_to_euler(local[:3, :3])),
        ("Lcl Scaling", "Lcl Scaling", 1.0, 1.0, 1.0),
    )
    shading = FbxNode("Shading", (True,)), FbxNode("Culling", ("CullingOff",))
    return scene.add("Model", name, "Model", subclass, FbxNode("Version", (232,)), properties, *shading)


def _add_skeleton(scene: SceneBuilder, skeleton: Skeleton, rest: Float64Array) -> list[int]:
    """A LimbNode per joint; returns their ids in the skeleton's order."""
    joints: list[int] = []
    for name, parent, transform in zip(skeleton.names, skeleton.parents, rest, strict=True):
        local = transform if parent < 0 else np.linalg.inv(rest[parent]) @ transform
        joints.append(_add_model(scene, name, "LimbNode", local))
        scene.connect(joints[-1], ROOT_ID if parent < 0 else joints[parent])
        flags = FbxNode("TypeFlags", ("Skeleton",))
        attribute = scene.add("NodeAttribute", name, "NodeAttribute", "LimbNode", flags)
        scene.connect(attribute, joints[-1])
    return joints


def _add_skin(scene: SceneBuilder, skin: SkinWeights, rest: Float64Array, joints: list[int]) -> int:
    """A cluster per joint, also for joints that move no vertex: it carries their bind matrix."""
    identity = scene.add(
        "Deformer",
        _CHARACTER_NAME,
        "Deformer",
        "Skin",
        FbxNode("Version", (101,)),
        FbxNode("Link_DeformAcuracy", (50.0,)),
        FbxNode("SkinningType", ("Linear",)),
    )
    dense = np.zeros((len(skin.joints), len(joints)))
    # Summed, because a vertex may name one joint twice; a cluster must not.
    np.add.at(dense, (np.arange(len(skin.joints))[:, None], skin.joints), skin.weights)
    for column, (joint, bind) in enumerate(zip(joints, rest, strict=True)):
        cluster = _add_cluster(scene, dense[:, column], bind)
        scene.connect(cluster, identity)
        scene.connect(joint, cluster)
    return identity


def _add_cluster(scene: SceneBuilder, weights: Float64Array, bind: Float64Array) -> int:
    """Transform takes the mesh into the joint at bind time, TransformLink the joint into the world."""
    vertices = np.flatnonzero(weights).astype(np.int32)
    members = FbxNode("Indexes", (vertices,)), FbxNode("Weights", (weights[vertices],))
    return scene.add(
        "Deformer",
        "",
        "SubDeformer",
        "Cluster",
        FbxNode("Version", (100,)),
        FbxNode("UserData", ("", "")),
        *(members if len(vertices) else ()),
        FbxNode("Transform", (flatten_matrix(np.linalg.inv(bind)),)),
        FbxNode("TransformLink", (flatten_matrix(bind),)),
    )


def _add_bind_pose(scene: SceneBuilder, models: list[int], matrices: list[Float64Array]) -> None:
    nodes = (
        FbxNode("PoseNode", (), (FbxNode("Node", (np.int64(m),)), FbxNode("Matrix", (flatten_matrix(t),))))
        for m, t in zip(models, matrices, strict=True)
    )
    head = (
        FbxNode("Type", ("BindPose",)),
        FbxNode("Version", (100,)),
        FbxNode("NbPoseNodes", (len(models),)),
    )
    scene.add("Pose", "BindPose", "Pose", "BindPose", *head, *nodes)
