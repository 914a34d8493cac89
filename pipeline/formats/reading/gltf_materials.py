"""Materials, textures and pictures of a glTF file (sections 3.8.2 to 3.9), with the extensions in use.

KHR_materials_pbrSpecularGlossiness becomes metallic-roughness; _unlit and KHR_texture_transform are kept.
Pictures are PNG, JPEG and WebP, and KTX2 of Basis Universal where opengl-basisu is installed. One that
cannot be read is named among the warnings, and its material keeps its plain color.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from ...errors import FormatError
from ...types import Float64Array
from .gltf_container import GltfFile
from .images import open_image
from .model import ALPHA_MODES, SourceMaterial, SourceTexture

_WRAP = {10497: "REPEAT", 33071: "CLAMP", 33648: "MIRROR"}
_WHITE = [1.0, 1.0, 1.0, 1.0]


class GltfMaterials:
    """Reads each material once, and collects what of them could not be read."""

    def __init__(self, file: GltfFile) -> None:
        self._file = file
        self._materials: dict[int, SourceMaterial] = {}
        self._images: dict[int, Image.Image | None] = {}
        self.warnings: list[str] = []

    def read(self, index: int | None) -> SourceMaterial | None:
        """The material of that index; None for none, which stands for glTF's default."""
        if index is None:
            return None
        if index not in self._materials:
            self._materials[index] = self._read(self._file.item("materials", index), f"material {index + 1}")
        return self._materials[index]

    def _read(self, material: Mapping[str, Any], fallback: str) -> SourceMaterial:
        file = self._file
        surface = file.get(material, "pbrMetallicRoughness", dict, {})
        base, texture_name = "baseColorFactor", "baseColorTexture"
        metallic, roughness = (
            float(file.get(surface, name, (int, float), 1.0))
            for name in ("metallicFactor", "roughnessFactor")
        )
        glossy = file.extension(material, "KHR_materials_pbrSpecularGlossiness")
        if glossy is not None:
            surface, base, texture_name = glossy, "diffuseFactor", "diffuseTexture"
            metallic, roughness = 0.0, 1.0 - float(file.get(glossy, "glossinessFactor", (int, float), 1.0))
        is_unlit = file.extension(material, "KHR_materials_unlit") is not None
        if is_unlit:
            metallic, roughness = 0.0, 1.0
        strength = file.extension(material, "KHR_materials_emissive_strength") or {}
        power = float(file.get(strength, "emissiveStrength", (int, float), 1.0))
        emissive = [power * value for value in file.numbers(material, "emissiveFactor", 3, [0.0] * 3)]
        described = {
            "base_color": (surface, texture_name),
            "metallic_roughness": (surface, "metallicRoughnessTexture"),
            "normal": (material, "normalTexture"),
            "occlusion": (material, "occlusionTexture"),
            "emissive": (material, "emissiveTexture"),
        }
        textures = {role: self._read_texture(file.get(*place, dict)) for role, place in described.items()}
        mode = file.get(material, "alphaMode", str, "OPAQUE")
        return SourceMaterial(
            name=file.get(material, "name", str, fallback),
            base_color=tuple(file.numbers(surface, base, 4, _WHITE)),  # type: ignore[arg-type]
            metallic=metallic,
            roughness=roughness,
            emissive=tuple(emissive),  # type: ignore[arg-type]
            alpha_mode=mode if mode in ALPHA_MODES else "OPAQUE",
            alpha_cutoff=float(file.get(material, "alphaCutoff", (int, float), 0.5)),
            is_double_sided=file.get(material, "doubleSided", bool, False),
            is_unlit=is_unlit,
            textures={role: texture for role, texture in textures.items() if texture is not None},
        )

    def _read_texture(self, info: Mapping[str, Any] | None) -> SourceTexture | None:
        if info is None:
            return None
        file = self._file
        texture = file.item("textures", info.get("index"))
        image = self._find_image(texture)
        if image is None:
            return None
        sampler = file.item("samplers", texture["sampler"]) if "sampler" in texture else {}
        wrap = tuple(_WRAP.get(file.get(sampler, name, int, 10497), "REPEAT") for name in ("wrapS", "wrapT"))
        moved = file.extension(info, "KHR_texture_transform")
        uv_set = file.get(moved or {}, "texCoord", int, file.get(info, "texCoord", int, 0))
        transform = None if moved is None else self._read_transform(moved)
        return SourceTexture(image, wrap, uv_set, transform)  # type: ignore[arg-type]

    def _find_image(self, texture: Mapping[str, Any]) -> Image.Image | None:
        """The best picture of a texture that can be read: plain ones and WebP before KTX2."""
        others = (self._file.extension(texture, name) for name in ("EXT_texture_webp", "KHR_texture_basisu"))
        sources = [texture.get("source"), *(other.get("source") for other in others if other is not None)]
        named = [source for source in sources if source is not None]
        return next((image for image in map(self._open_image, named) if image is not None), None)

    def _open_image(self, index: int) -> Image.Image | None:
        image = self._file.item("images", index)
        if index not in self._images:
            name = self._file.get(image, "name", str) or f"image {index + 1}"
            try:
                if "bufferView" in image:
                    data, _ = self._file.view(image["bufferView"])
                else:
                    data = self._file.resolve(self._file.get(image, "uri", str, ""))
                self._images[index] = open_image(data, name)
            except FormatError as error:
                self.warnings.append(f"the texture {name!r} is left out: {error}")
                self._images[index] = None
        return self._images[index]

    def _read_transform(self, moved: Mapping[str, Any]) -> Float64Array:
        """KHR_texture_transform as a matrix for (u, v, 1): scaled, then turned, then moved."""
        file = self._file
        (x, y), (width, height) = (
            file.numbers(moved, "offset", 2, [0, 0]),
            file.numbers(moved, "scale", 2, [1, 1]),
        )
        angle = float(file.get(moved, "rotation", (int, float), 0.0))
        cosine, sine = math.cos(angle), math.sin(angle)
        return np.array(((cosine * width, sine * height, x), (-sine * width, cosine * height, y), (0, 0, 1)))
