"""Materials, textures and samplers in glTF 2.0 (sections 3.8.2 to 3.9)."""

from __future__ import annotations

from typing import Any

from ..types import Material
from .files import encode_png, encode_texels
from .gltf_document import GltfDocument

_LINEAR, _LINEAR_MIPMAP_LINEAR = 9729, 9987
_WRAP = {"CLAMP": 33071, "REPEAT": 10497, "MIRROR": 33648}
_STRENGTH, _UNLIT = "KHR_materials_emissive_strength", "KHR_materials_unlit"


def describe_material(document: GltfDocument, material: Material) -> dict[str, Any]:
    """Return the material as JSON; its textures are appended to the document."""
    image, is_opaque = encode_png(material.texels)
    sampler = _add_sampler(document, material.wrap)
    surface: dict[str, Any] = {
        "baseColorTexture": _add_texture(document, "base_color", image, sampler),
        "metallicFactor": float(material.metallic),
        "roughnessFactor": float(material.roughness),
    }
    described: dict[str, Any] = {"name": material.name, "pbrMetallicRoughness": surface}
    for role, texels in material.maps.items():
        owner = surface if role == "metallic_roughness" else described
        owner[_MAPS[role]] = _add_texture(document, role, encode_texels(texels), sampler)
    if any(material.emissive):
        _describe_glow(document, material, described)
    mode = material.alpha_mode or ("OPAQUE" if is_opaque else "BLEND")
    if mode != "OPAQUE":
        described["alphaMode"] = mode
    if mode == "MASK":
        described["alphaCutoff"] = float(material.alpha_cutoff)
    if material.is_double_sided:
        described["doubleSided"] = True
    if material.is_unlit:
        _extend(document, described, _UNLIT, {})
    return described


_MAPS = {
    "metallic_roughness": "metallicRoughnessTexture",
    "normal": "normalTexture",
    "occlusion": "occlusionTexture",
    "emissive": "emissiveTexture",
}


def _describe_glow(document: GltfDocument, material: Material, described: dict[str, Any]) -> None:
    """The emissive factor, at most 1 by the specification; what exceeds it is a strength."""
    strength = max(1.0, *material.emissive)
    described["emissiveFactor"] = [float(value) / strength for value in material.emissive]
    if strength > 1:
        _extend(document, described, _STRENGTH, {"emissiveStrength": strength})


def _extend(document: GltfDocument, described: dict[str, Any], name: str, values: dict[str, Any]) -> None:
    described.setdefault("extensions", {})[name] = values
    used = document.tree.setdefault("extensionsUsed", [])
    if name not in used:
        used.append(name)


def _add_texture(document: GltfDocument, name: str, png: bytes, sampler: int) -> dict[str, int]:
    source = document.add_image(name, png)
    return {"index": document.add("textures", {"source": source, "sampler": sampler})}


def _add_sampler(document: GltfDocument, wrap: tuple[str, str]) -> int:
    """The sampler with these wrap modes; one for all materials that have them."""
    along_u, along_v = (_WRAP[mode] for mode in wrap)
    sampler = {"magFilter": _LINEAR, "minFilter": _LINEAR_MIPMAP_LINEAR, "wrapS": along_u, "wrapT": along_v}
    known = document.tree.get("samplers", [])
    return known.index(sampler) if sampler in known else document.add("samplers", sampler)
