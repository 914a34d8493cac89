"""Materials and textures of FBX: Phong, which every reader supports, with the maps where Blender has them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..color import linear_to_srgb, srgb_to_linear
from ..types import IntArray, Material
from .fbx_binary import FbxNode
from .fbx_scene import SceneBuilder, make_properties
from .files import encode_png, encode_texels

CHARACTER_NAME = "Character"
UV_SET = "UVMap"
_CLAMP = 1
_DIELECTRIC_SPECULAR = 0.04
"""Specular color of a dielectric in glTF; three.js ignores SpecularFactor."""


def add_material(scene: SceneBuilder, material: Material, stem: str, suffix: str) -> int:
    """Add a material and its textures, which are named after `stem`, their role and `suffix`; return its id.

    Roughness is stored as the shininess that Blender converts back. The maps of roughness and metalness are
    pictures of their own, as Blender writes and reads them; occlusion is the texture of the ambient color.
    """
    gloss = 1.0 - material.roughness
    properties = make_properties(
        ("EmissiveColor", "color", *map(float, material.emissive)),
        ("AmbientColor", "color", 0.0, 0.0, 0.0),
        ("DiffuseColor", "color", 1.0, 1.0, 1.0),
        ("DiffuseFactor", "factor", 1.0),
        ("TransparencyFactor", "factor", 0.0),
        ("SpecularColor", "color", *(_DIELECTRIC_SPECULAR,) * 3),
        ("SpecularFactor", "factor", gloss),
        ("ShininessExponent", "factor", (gloss * 10) ** 2),
        ("Shininess", "factor", (gloss * 10) ** 2),
        ("ReflectionFactor", "factor", float(material.metallic)),
        ("Opacity", "factor", 1.0),
    )
    shading = FbxNode("ShadingModel", ("phong",)), FbxNode("MultiLayer", (0,))
    identity = scene.add(
        "Material", _name_material(material), "Material", "", FbxNode("Version", (102,)), *shading, properties
    )
    images = [("base_color", "DiffuseColor", encode_png(material.texels)[0])]
    images += [(role, name, encode_texels(texels)) for role, name, texels in _split_maps(material)]
    for role, property_name, png in images:
        texture = _add_texture(scene, png, f"{stem}_{role}{suffix}.png", material.wrap)
        scene.connect(texture, identity, property_name)
    return identity


def _split_maps(material: Material) -> Iterator[tuple[str, str, IntArray]]:
    """(name, property of the material, texels) of each texture beside the base color.

    A texture replaces its property's value, so the factors are multiplied into the texels.
    """
    maps = material.maps
    if (packed := maps.get("metallic_roughness")) is not None:
        yield "roughness", "ShininessExponent", _scale(packed[..., 1], material.roughness)
        yield "metallic", "ReflectionFactor", _scale(packed[..., 2], material.metallic)
    if (normal := maps.get("normal")) is not None:
        yield "normal", "NormalMap", normal
    if (occlusion := maps.get("occlusion")) is not None:
        yield "occlusion", "AmbientColor", occlusion[..., 0]
    if (emissive := maps.get("emissive")) is not None:
        yield "emissive", "EmissiveColor", _tint(emissive, material.emissive)


def _scale(texels: IntArray, factor: float) -> IntArray:
    return texels if factor == 1 else np.rint(texels * factor).clip(0, 255).astype(np.uint8)


def _tint(texels: IntArray, factor: tuple[float, float, float]) -> IntArray:
    """(H, W, 3) sRGB times a linear color."""
    if factor == (1, 1, 1):
        return texels
    linear = srgb_to_linear(texels.astype(np.float32) / 255) * np.array(factor, np.float32)
    return np.rint(linear_to_srgb(linear) * 255).astype(np.uint8)


def _name_material(material: Material) -> str:
    """Its name; that of the pipeline's own material is the character's."""
    return CHARACTER_NAME if material.name == CHARACTER_NAME.lower() else material.name


def _add_texture(scene: SceneBuilder, png: bytes, image_name: str, wrap: tuple[str, str]) -> int:
    name = image_name.removesuffix(".png")
    # A name without a folder: readers look for the image in the file, then next to it.
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
        make_properties(("UVSet", "text", UV_SET), ("UseMaterial", "boolean", 1), *_make_wrap(wrap)),
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


def _make_wrap(wrap: tuple[str, str]) -> list[tuple[object, ...]]:
    """FBX repeats or clamps; it cannot mirror. Repeating is what it does where nothing is said."""
    clamped = (("WrapModeU", wrap[0]), ("WrapModeV", wrap[1]))
    return [(name, "enum", _CLAMP) for name, mode in clamped if mode == "CLAMP"]
