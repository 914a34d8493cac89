"""Writer of USDZ: a skinned character with UsdPreviewSurface materials, as AR Quick Look reads it.

It needs the package usd-core: Apple's profile wants the scene in USD's binary crate format, whose only writer
is USD itself. Sources: Pixar, UsdSkel schemas and UsdPreviewSurface; Apple, the ARKit profile of usdchecker.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from ..mesh.normals import vertex_normals
from ..types import AnimationClip, Float64Array, Material, RiggedCharacter, Skeleton
from .files import encode_png, encode_texels
from .gltf_extras import unmorph_positions
from .joint_transforms import make_exact_rest, move_in_parents, world_to_local
from .reading.soft_packages import import_soft
from .validate import check_character

_FRAMES = 30.0
"""Time codes in a second."""
_ROOT = "/Character"
_MAPS = {"normal": "normal", "occlusion": "occlusion", "emissive": "emissiveColor"}
"""Role of a texture -> input of UsdPreviewSurface; roughness and metallic share one picture."""


def encode_usdz(character: RiggedCharacter) -> bytes:
    """Return a .usdz file: the mesh, its skeleton and textures, and the first clip, which players show.

    Meters, +Y up, facing +Z. FormatError if usd-core is not installed, and as `write_glb`.
    """
    check_character(character, "USDZ")
    import_soft("pxr", "USDZ")
    from pxr import Sdf, UsdUtils

    with tempfile.TemporaryDirectory() as folder:
        scene, packed = str(Path(folder, "character.usdc")), str(Path(folder, "character.usdz"))
        _write_scene(character, Path(folder), scene)
        if not UsdUtils.CreateNewARKitUsdzPackage(Sdf.AssetPath(scene), packed):
            raise FormatError("USDZ: usd-core could not pack the file")
        return Path(packed).read_bytes()


def _write_scene(character: RiggedCharacter, folder: Path, scene: str) -> None:
    from pxr import Usd, UsdGeom, UsdSkel

    stage = Usd.Stage.CreateNew(scene)
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    stage.SetTimeCodesPerSecond(_FRAMES)
    root = UsdSkel.Root.Define(stage, _ROOT)
    stage.SetDefaultPrim(root.GetPrim())
    joints = _name_joints(character.skeleton)
    _add_skeleton(stage, character, joints)
    mesh = _add_mesh(stage, character)
    _bind(mesh, character, joints)
    _add_materials(stage, mesh, character, folder)
    stage.GetRootLayer().Save()


def _name_joints(skeleton: Skeleton) -> list[str]:
    """The path of each joint, of names that USD allows."""
    from pxr import Tf

    paths: list[str] = []
    for name, parent in zip(skeleton.names, skeleton.parents, strict=True):
        above = f"{paths[parent]}/" if parent >= 0 else ""
        paths.append(above + Tf.MakeValidIdentifier(name))
    return paths


def _add_skeleton(stage: Any, character: RiggedCharacter, joints: list[str]) -> None:
    from pxr import UsdSkel, Vt

    skeleton, rest = character.skeleton, make_exact_rest(character.skeleton)
    local = world_to_local(skeleton.parents, rest)
    defined = UsdSkel.Skeleton.Define(stage, f"{_ROOT}/Skeleton")
    defined.CreateJointsAttr(joints)
    defined.CreateBindTransformsAttr(Vt.Matrix4dArray.FromNumpy(_to_rows(rest)))
    defined.CreateRestTransformsAttr(Vt.Matrix4dArray.FromNumpy(_to_rows(local)))
    clips = move_in_parents(skeleton, character.clips)
    if clips:
        _add_animation(stage, defined, clips[0], local, joints)


def _to_rows(matrices: Float64Array) -> Float64Array:
    """USD multiplies row vectors."""
    return np.ascontiguousarray(matrices.transpose(0, 2, 1), np.float64)


def _add_animation(
    stage: Any, skeleton: Any, clip: AnimationClip, local: Float64Array, joints: list[str]
) -> None:
    from pxr import UsdSkel, Vt

    animation = UsdSkel.Animation.Define(stage, f"{_ROOT}/Skeleton/Animation")
    animation.CreateJointsAttr(joints)
    animation.CreateScalesAttr(Vt.Vec3hArray.FromNumpy(np.ones((len(joints), 3), np.float16)))
    turns, moves = animation.CreateRotationsAttr(), animation.CreateTranslationsAttr()
    for key, time in enumerate(clip.times):
        places = local[:, :3, 3].copy()
        places[clip.mover] = clip.translations[key]
        moves.Set(Vt.Vec3fArray.FromNumpy(places.astype(np.float32)), float(time * _FRAMES))
        # Gf.Quatf lays its imaginary part before the real one, as the clip does.
        turns.Set(Vt.QuatfArray.FromNumpy(clip.rotations[key].astype(np.float32)), float(time * _FRAMES))
    stage.SetStartTimeCode(0.0)
    stage.SetEndTimeCode(float(clip.times[-1] * _FRAMES))
    binding = UsdSkel.BindingAPI.Apply(skeleton.GetPrim())
    binding.CreateAnimationSourceRel().SetTargets([animation.GetPath()])


def _add_mesh(stage: Any, character: RiggedCharacter) -> Any:
    from pxr import Sdf, UsdGeom, Vt

    mesh = character.textured.mesh
    positions = unmorph_positions(mesh)
    defined = UsdGeom.Mesh.Define(stage, f"{_ROOT}/Mesh")
    defined.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(positions)))
    defined.CreateExtentAttr(Vt.Vec3fArray.FromNumpy(np.stack((positions.min(0), positions.max(0)))))
    defined.CreateFaceVertexCountsAttr([3] * len(mesh.faces))
    defined.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(mesh.faces.reshape(-1)))
    defined.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    defined.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(vertex_normals(mesh))))
    defined.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    uvs = np.ascontiguousarray(character.textured.uvs * (1.0, -1.0) + (0.0, 1.0), np.float32)  # v up
    coordinates = UsdGeom.PrimvarsAPI(defined).CreatePrimvar(
        "st", Sdf.ValueTypeNames.TexCoord2fArray, UsdGeom.Tokens.vertex
    )
    coordinates.Set(Vt.Vec2fArray.FromNumpy(uvs))
    return defined


def _bind(mesh: Any, character: RiggedCharacter, joints: list[str]) -> None:
    from pxr import Gf, UsdSkel, Vt

    binding = UsdSkel.BindingAPI.Apply(mesh.GetPrim())
    skin, count = character.skin, character.skin.influences
    indices = binding.CreateJointIndicesPrimvar(False, count)
    indices.Set(Vt.IntArray.FromNumpy(skin.joints.astype(np.int32).reshape(-1)))
    binding.CreateJointWeightsPrimvar(False, count).Set(
        Vt.FloatArray.FromNumpy(np.ascontiguousarray(skin.weights.reshape(-1)))
    )
    binding.CreateGeomBindTransformAttr(Gf.Matrix4d(1.0))
    binding.CreateSkeletonRel().SetTargets([f"{_ROOT}/Skeleton"])


def _add_materials(stage: Any, mesh: Any, character: RiggedCharacter, folder: Path) -> None:
    from pxr import UsdGeom, UsdShade, Vt

    textured = character.textured
    several = len(textured.materials) > 1
    for number, material in enumerate(textured.materials):
        defined = _add_material(stage, material, folder, number)
        prim = mesh.GetPrim()
        if several:
            faces = np.flatnonzero(textured.face_materials == number).astype(np.int32)
            subset = UsdGeom.Subset.CreateGeomSubset(
                mesh, f"part_{number}", UsdGeom.Tokens.face, Vt.IntArray.FromNumpy(faces), "materialBind"
            )
            prim = subset.GetPrim()
        UsdShade.MaterialBindingAPI.Apply(prim).Bind(defined)


def _add_material(stage: Any, material: Material, folder: Path, number: int) -> Any:
    from pxr import Sdf, UsdShade

    path = f"{_ROOT}/Materials/material_{number}"
    defined = UsdShade.Material.Define(stage, path)
    surface = UsdShade.Shader.Define(stage, f"{path}/surface")
    surface.CreateIdAttr("UsdPreviewSurface")
    defined.CreateSurfaceOutput().ConnectToSource(surface.ConnectableAPI(), "surface")
    for name, value in (("roughness", material.roughness), ("metallic", material.metallic)):
        surface.CreateInput(name, Sdf.ValueTypeNames.Float).Set(float(value))
    png, is_opaque = encode_png(material.texels)
    base = _add_texture(stage, path, folder, f"base_color_{number}", png, material.wrap, "sRGB")
    _connect(surface, "diffuseColor", base, "rgb")
    if not is_opaque and material.alpha_mode != "OPAQUE":
        _connect(surface, "opacity", base, "a")
        if material.alpha_mode == "MASK":
            surface.CreateInput("opacityThreshold", Sdf.ValueTypeNames.Float).Set(material.alpha_cutoff)
    for role, texels in material.maps.items():
        space = "sRGB" if role == "emissive" else "raw"
        name = f"{role}_{number}"
        texture = _add_texture(stage, path, folder, name, encode_texels(texels), material.wrap, space)
        if role == "metallic_roughness":
            _connect(surface, "roughness", texture, "g")
            _connect(surface, "metallic", texture, "b")
        else:
            _connect(surface, _MAPS[role], texture, "r" if role == "occlusion" else "rgb")
            if role == "normal":
                _unpack_normals(texture)
    return defined


def _connect(surface: Any, name: str, texture: Any, channel: str) -> None:
    from pxr import Sdf

    types = Sdf.ValueTypeNames
    kind = types.Normal3f if name == "normal" else types.Color3f if channel == "rgb" else types.Float
    output = texture.CreateOutput(channel, types.Float3 if channel == "rgb" else types.Float)
    surface.CreateInput(name, kind).ConnectToSource(output)


def _unpack_normals(texture: Any) -> None:
    from pxr import Gf, Sdf

    for name, value in (("scale", (2, 2, 2, 1)), ("bias", (-1, -1, -1, 0))):
        texture.CreateInput(name, Sdf.ValueTypeNames.Float4).Set(Gf.Vec4f(*value))


def _add_texture(
    stage: Any, path: str, folder: Path, name: str, png: bytes, wrap: tuple[str, str], space: str
) -> Any:
    """A texture read at the uvs; its picture lies beside the scene, from where the package takes it."""
    from pxr import Sdf, UsdShade

    (folder / f"{name}.png").write_bytes(png)
    types = Sdf.ValueTypeNames
    reader = UsdShade.Shader.Define(stage, f"{path}/uvs")
    reader.CreateIdAttr("UsdPrimvarReader_float2")
    reader.CreateInput("varname", types.String).Set("st")
    uvs = reader.CreateOutput("result", types.Float2)
    texture = UsdShade.Shader.Define(stage, f"{path}/{name}")
    texture.CreateIdAttr("UsdUVTexture")
    texture.CreateInput("file", types.Asset).Set(f"./{name}.png")
    texture.CreateInput("st", types.Float2).ConnectToSource(uvs)
    texture.CreateInput("sourceColorSpace", types.Token).Set(space)
    for axis, mode in zip("ST", wrap, strict=True):
        texture.CreateInput(f"wrap{axis}", types.Token).Set(mode.lower())
    return texture
