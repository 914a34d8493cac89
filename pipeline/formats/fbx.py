"""Writer of rigged characters as binary FBX 7.4: mesh, morphs, texture, skeleton, skin, bind pose, clips."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..mesh.normals import vertex_normals
from ..types import Float64Array, Mesh, RiggedCharacter, Skeleton, SkinWeights, TexturedMesh
from .fbx_angles import matrix_to_euler
from .fbx_animation import add_clips
from .fbx_binary import FbxNode, encode_document
from .fbx_materials import CHARACTER_NAME, UV_SET, add_material
from .fbx_morphs import add_morphs
from .fbx_scene import ROOT_ID, SceneBuilder, flatten_matrix, make_properties
from .files import replace_file
from .gltf_extras import unmorph_positions
from .joint_transforms import make_exact_rest, move_in_parents, world_to_local
from .validate import check_character

_CENTIMETRES_PER_METRE = 100.0
_LOD_SCREEN, _LOD_STEP = 50.0, 0.5
"""Percent of the screen's height at which level 1 takes over, and of each further level relative to that."""


@dataclass(frozen=True)
class _FbxCharacter:
    """positions: (V, 3) centimetres. rest: (J, 4, 4) centimetres. uvs: (V, 2), v up."""

    positions: Float64Array
    rest: Float64Array
    uvs: Float64Array


def write_fbx(path: str | os.PathLike[str], character: RiggedCharacter) -> None:
    """Write `character` as a self-contained binary FBX 7.4 file with the texture embedded.

    Vertices keep their order and count; missing normals are computed, tangents are kept where there are any.
    Centimetres, +Y up, facing +Z. Clips become animation stacks (fbx_animation.py). The file is written
    atomically. The same character and file name give the same bytes.
    Raises FormatError if the parts of the character do not fit together, OSError from writing.
    """
    path = Path(path)
    replace_file(path, encode_fbx(character, path.stem))


def encode_fbx(character: RiggedCharacter, stem: str, lods: Sequence[RiggedCharacter] = ()) -> bytes:
    """Return the bytes of `write_fbx`; the embedded texture is named after `stem`, the file's name.

    lods: the character's coarser levels of detail, on the same skeleton. Then the meshes are called
    `Character_LOD0`, `Character_LOD1` and so on, as Unity wants them, below an LOD group, as Unreal does.
    """
    check_character(character, "FBX")
    scene = SceneBuilder()
    _add_character(scene, character, stem, lods)
    return encode_document(scene.document())


def encode_fbx_armature(character: RiggedCharacter) -> bytes:
    """Return a file of the character's joints and clips alone."""
    scene, rest = SceneBuilder(), make_exact_rest(character.skeleton)
    rest[:, :3, 3] *= _CENTIMETRES_PER_METRE
    local = world_to_local(character.skeleton.parents, rest)
    joints = _add_skeleton(scene, character.skeleton, local)
    _add_bind_pose(scene, joints, list(rest))
    clips = move_in_parents(character.skeleton, character.clips)
    add_clips(scene, clips, joints, local, _CENTIMETRES_PER_METRE)
    return encode_document(scene.document())


def _character_to_fbx(character: RiggedCharacter) -> _FbxCharacter:
    """Convert meters to centimeters, and v down to v up; nothing else does."""
    mesh = character.textured.mesh
    rest = make_exact_rest(character.skeleton)
    rest[:, :3, 3] *= _CENTIMETRES_PER_METRE
    positions = unmorph_positions(mesh).astype(np.float64) * _CENTIMETRES_PER_METRE
    return _FbxCharacter(positions, rest, np.asarray(mesh.uvs) * (1.0, -1.0) + (0, 1))


def _add_character(
    scene: SceneBuilder, character: RiggedCharacter, stem: str, lods: Sequence[RiggedCharacter]
) -> None:
    levels = (character, *lods)
    group = _add_lod_group(scene, len(levels)) if lods else ROOT_ID
    names = [f"{CHARACTER_NAME}_LOD{level}" if lods else CHARACTER_NAME for level in range(len(levels))]
    meshes = [
        _add_mesh(scene, level.textured, _character_to_fbx(level), name, group)
        for level, name in zip(levels, names, strict=True)
    ]
    _add_materials(scene, character.textured, stem, [model for model, _ in meshes])
    rest = _character_to_fbx(character).rest
    local = world_to_local(character.skeleton.parents, rest)
    joints = _add_skeleton(scene, character.skeleton, local)
    for (_, geometry), level in zip(meshes, levels, strict=True):
        scene.connect(_add_skin(scene, level.skin, rest, joints), geometry)
    models = [model for model, _ in meshes]
    _add_bind_pose(scene, [*models, *joints], [*[np.eye(4)] * len(models), *rest])
    clips = move_in_parents(character.skeleton, character.clips)
    add_clips(scene, clips, joints, local, _CENTIMETRES_PER_METRE)


def _add_lod_group(scene: SceneBuilder, levels: int) -> int:
    """A model whose children are levels of detail, with the shares of the screen where one takes over."""
    group = _add_model(scene, CHARACTER_NAME, "LodGroup", np.eye(4))
    scene.connect(group, ROOT_ID)
    thresholds = [
        (f"Thresholds|Level{level}", "factor", _LOD_SCREEN * _LOD_STEP**level) for level in range(levels - 1)
    ]
    properties = make_properties(("ThresholdsUsedAsPercentage", "boolean", 1), *thresholds)
    attribute = scene.add("NodeAttribute", CHARACTER_NAME, "NodeAttribute", "LodGroup", properties)
    scene.connect(attribute, group)
    return group


def _add_mesh(
    scene: SceneBuilder, textured: TexturedMesh, converted: _FbxCharacter, name: str, parent: int
) -> tuple[int, int]:
    """Add a mesh with its morphs; return the ids of its model and its geometry."""
    model = _add_model(scene, name, "Mesh", np.eye(4))
    scene.connect(model, parent)
    geometry = _add_geometry(scene, textured, converted)
    scene.connect(geometry, model)
    add_morphs(scene, textured.mesh, geometry, _CENTIMETRES_PER_METRE)
    return model, geometry


def _add_materials(scene: SceneBuilder, textured: TexturedMesh, stem: str, models: list[int]) -> None:
    for number, material in enumerate(textured.materials):
        added = add_material(scene, material, stem, f"_{number + 1}" if number else "")
        for model in models:
            scene.connect(added, model)


def _add_geometry(scene: SceneBuilder, textured: TexturedMesh, converted: _FbxCharacter) -> int:
    mesh = textured.mesh
    corners = mesh.faces.astype(np.int32)
    polygons = corners.copy()
    polygons[:, 2] = ~polygons[:, 2]  # a polygon's last corner is stored as its complement
    uvs = _make_uv_layer(converted.uvs, corners)
    layers = *_make_axis_layers(mesh), uvs, _make_material_layer(textured)
    elements = (
        FbxNode("LayerElement", (), (FbxNode("Type", (layer.name,)), FbxNode("TypedIndex", (0,))))
        for layer in layers
    )
    return scene.add(
        "Geometry",
        CHARACTER_NAME,
        "Geometry",
        "Mesh",
        FbxNode("GeometryVersion", (124,)),
        FbxNode("Vertices", (converted.positions.reshape(-1),)),
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


def _make_axis_layers(mesh: Mesh) -> Iterator[FbxNode]:
    """Normals, and the axes of the normal map where the mesh has tangents of its own."""
    normals = vertex_normals(mesh)
    yield _make_axis_layer("Normal", normals[mesh.faces])
    tangents = None if mesh.extras is None else mesh.extras.list_unit_tangents()
    if tangents is not None:
        binormals = np.cross(normals, tangents[:, :3]) * tangents[:, 3:]
        yield _make_axis_layer("Binormal", binormals[mesh.faces])
        yield _make_axis_layer("Tangent", tangents[mesh.faces][..., :3])


def _make_axis_layer(kind: str, corners: npt.NDArray[np.floating]) -> FbxNode:
    """A direction at each corner (F, 3, 3): normals, tangents or binormals."""
    values = FbxNode(f"{kind}s", (corners.astype(np.float64).reshape(-1),))
    return _make_layer(f"LayerElement{kind}", "", "ByPolygonVertex", "Direct", values)


def _make_uv_layer(uvs: Float64Array, corners: npt.NDArray[np.int32]) -> FbxNode:
    arrays = FbxNode("UV", (uvs.reshape(-1),)), FbxNode("UVIndex", (corners.reshape(-1),))
    return _make_layer("LayerElementUV", UV_SET, "ByPolygonVertex", "IndexToDirect", *arrays)


def _make_material_layer(textured: TexturedMesh) -> FbxNode:
    """The number of each face's material, in the order in which they are connected to the model."""
    several = bool(textured.others)
    numbers = textured.face_materials.astype(np.int32) if several else np.zeros(1, dtype=np.int32)
    values, mapping = FbxNode("Materials", (numbers,)), "ByPolygon" if several else "AllSame"
    return _make_layer("LayerElementMaterial", "", mapping, "IndexToDirect", values)


def _add_model(scene: SceneBuilder, name: str, subclass: str, local: Float64Array) -> int:
    properties = make_properties(
        ("DefaultAttributeIndex", "integer", 0),
        ("InheritType", "enum", 1),
        ("Lcl Translation", "Lcl Translation", *map(float, local[:3, 3])),
        ("Lcl Rotation", "Lcl Rotation", *map(float, matrix_to_euler(local[:3, :3]))),
        ("Lcl Scaling", "Lcl Scaling", 1.0, 1.0, 1.0),
    )
    shading = FbxNode("Shading", (True,)), FbxNode("Culling", ("CullingOff",))
    return scene.add("Model", name, "Model", subclass, FbxNode("Version", (232,)), properties, *shading)


def _add_skeleton(scene: SceneBuilder, skeleton: Skeleton, local: Float64Array) -> list[int]:
    """Add a LimbNode per joint; return their object ids in the skeleton's order."""
    joints: list[int] = []
    for name, parent, transform in zip(skeleton.names, skeleton.parents, local, strict=True):
        joints.append(_add_model(scene, name, "LimbNode", transform))
        scene.connect(joints[-1], ROOT_ID if parent < 0 else joints[parent])
        flags = FbxNode("TypeFlags", ("Skeleton",))
        attribute = scene.add("NodeAttribute", name, "NodeAttribute", "LimbNode", flags)
        scene.connect(attribute, joints[-1])
    return joints


def _add_skin(scene: SceneBuilder, skin: SkinWeights, rest: Float64Array, joints: list[int]) -> int:
    """A cluster per joint, even for joints that move no vertex, since it holds their bind matrix."""
    identity = scene.add(
        "Deformer",
        CHARACTER_NAME,
        "Deformer",
        "Skin",
        FbxNode("Version", (101,)),
        FbxNode("Link_DeformAcuracy", (50.0,)),
        FbxNode("SkinningType", ("Linear",)),
    )
    dense = np.zeros((len(skin.joints), len(joints)))
    # Summed, because a vertex may list a joint twice, but a cluster must not list a vertex twice.
    np.add.at(dense, (np.arange(len(skin.joints))[:, None], skin.joints), skin.weights)
    for column, (joint, bind) in enumerate(zip(joints, rest, strict=True)):
        cluster = _add_cluster(scene, dense[:, column], bind)
        scene.connect(cluster, identity)
        scene.connect(joint, cluster)
    return identity


def _add_cluster(scene: SceneBuilder, weights: Float64Array, bind: Float64Array) -> int:
    """Transform maps the mesh to the joint's frame at bind time, TransformLink the joint to the world."""
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
