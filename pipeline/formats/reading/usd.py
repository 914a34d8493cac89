"""Reader of USD with usd-core: in meters, +Y up, skins at rest, with its materials."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...errors import FormatError
from .apart import read_apart
from .beside import find_beside
from .images import decode_image, open_image, set_alpha
from .model import Influences, Model, Part, SourceMaterial, SourceTexture
from .rig import read_rig

_CHANNELS = {"r": 0, "g": 1, "b": 2, "a": 3}
_FLIPPED = np.array(((1, 0, 0), (0, -1, 1), (0, 0, 1)), np.float64)
"""USD's uvs have v up, and are moved before they are turned over: this, the transform, and this again."""


def read_usd(path: Path) -> Model:
    """Read a USD file. FormatError if it is damaged, or if usd-core is not installed."""
    scene, arrays = read_apart(path, "usd_worker", "pxr", "USD")
    if "refused" in scene:
        raise FormatError(f"{path.name} {scene['refused']}")
    warnings: list[str] = list(scene["warnings"])
    materials = [_Materials(path, item, arrays, warnings).make() for item in scene["materials"]]
    parts = tuple(_make_part(item, arrays, materials) for item in scene["parts"])
    if scene["hidden"]:
        warnings.append(f"hidden objects are left out: {', '.join(scene['hidden'])}")
    skeleton, clips = read_rig(scene, arrays, warnings)
    return Model(parts, tuple(warnings), skeleton=skeleton, clips=clips)


def _make_part(item: Mapping[str, Any], arrays: Mapping[str, Any], materials: list[SourceMaterial]) -> Part:
    read = {name: arrays[key] for name, key in item["keys"].items()}
    uvs, number = read.get("uvs"), item["material"]
    return Part(
        item["name"],
        read["positions"],
        read["faces"],
        uvs={} if uvs is None else {0: uvs * (1, -1) + (0, 1)},
        colors=read.get("colors"),
        material=materials[number] if number >= 0 else None,
        influences=Influences(read["joints"], read["weights"]) if "joints" in read else None,
    )


class _Materials:
    """Makes one material from what the worker wrote of its UsdPreviewSurface."""

    def __init__(
        self, path: Path, item: Mapping[str, Any], arrays: Mapping[str, Any], warnings: list[str]
    ) -> None:
        self._path, self._item, self._arrays, self._warnings = path, item, arrays, warnings
        self._opened: dict[str, Image.Image | None] = {}

    def make(self) -> SourceMaterial:
        """Values that textures replace are those textures' scales."""
        item, values = self._item, self._item["values"]
        described = item["textures"]
        color = self._scale("base_color", values.get("base_color", [0.18] * 3))
        alpha = values.get("opacity", 1.0)
        textures = {role: self._open(role) for role in ("base_color", "normal", "occlusion", "emissive")}
        textures["metallic_roughness"] = self._join_surface()
        textures["base_color"] = self._add_opacity(textures["base_color"])
        is_cut = bool(item["threshold"])
        is_clear = alpha < 1 or "opacity" in described
        surface = textures["metallic_roughness"] is not None
        return SourceMaterial(
            item["name"],
            (*color[:3], alpha),  # type: ignore[arg-type]
            1.0 if surface else values.get("metallic", 0.0),
            1.0 if surface else values.get("roughness", 0.5),
            tuple(self._scale("emissive", values.get("emissive", [0.0] * 3))[:3]),  # type: ignore[arg-type]
            ("MASK" if is_cut else "BLEND") if is_clear else "OPAQUE",
            item["threshold"] if is_cut else 0.5,
            is_double_sided=item["two_sided"],
            textures={role: texture for role, texture in textures.items() if texture is not None},
        )

    def _scale(self, role: str, value: list[float]) -> list[float]:
        described = self._item["textures"].get(role)
        return value if described is None else described["scale"]

    def _open(self, role: str) -> SourceTexture | None:
        described = self._item["textures"].get(role)
        if described is None:
            return None
        image = self._find_image(described)
        if image is None:
            return None
        moved = described["transform"]
        transform = None if moved is None else _FLIPPED @ np.array(moved) @ _FLIPPED
        return SourceTexture(image, tuple(described["wrap"]), 0, transform)  # type: ignore[arg-type]

    def _find_image(self, described: Mapping[str, Any]) -> Image.Image | None:
        """The embedded picture, or the one below the model's folder; what is missing is named once."""
        name = described["names"][0]
        if name not in self._opened:
            key = described["content"]
            try:
                data = self._arrays[key].tobytes() if key else find_beside(self._path, name).read_bytes()
                self._opened[name] = open_image(data, name)
            except (OSError, ValueError, FormatError):
                self._opened[name] = None
                self._warnings.append(
                    f"the texture {name!r} is left out: it is neither in the file nor beside it"
                )
        return self._opened[name]

    def _join_surface(self) -> SourceTexture | None:
        """Roughness and metallic, a texture or a number each, as the green and the blue of one texture."""
        own = self._item["textures"]
        leading = next((self._open(role) for role in ("roughness", "metallic") if role in own), None)
        if leading is None:
            return None
        size = leading.image.size
        planes = [Image.new("L", size, 255)]
        for role, default in (("roughness", 0.5), ("metallic", 0.0)):
            plane = self._read_channel(role, size)
            number = self._item["values"].get(role, default)
            planes.append(Image.new("L", size, round(number * 255)) if plane is None else plane)
        return SourceTexture(Image.merge("RGB", planes), leading.wrap, 0, leading.transform)

    def _add_opacity(self, base: SourceTexture | None) -> SourceTexture | None:
        """The base color with the alpha of the opacity's texture."""
        if base is None or "opacity" not in self._item["textures"]:
            return base
        plane = self._read_channel("opacity", base.image.size)
        if plane is None:
            return base
        return SourceTexture(set_alpha(base.image, plane), base.wrap, 0, base.transform)

    def _read_channel(self, role: str, size: tuple[int, int]) -> Image.Image | None:
        """The channel of a texture that is connected, of that size; None if there is none that is sound."""
        described = self._item["textures"].get(role)
        image = self._find_image(described) if described else None
        if described is None or image is None:
            return None
        try:
            texels = decode_image(image)
        except (OSError, ValueError, SyntaxError, EOFError):
            self._warnings.append(f"the {role} texture of {self._item['name']!r} is left out: it is damaged")
            return None
        channel = _CHANNELS.get(described["channel"], 0)
        values = texels[..., channel] * described["scale"][channel] + 255 * described["bias"][channel]
        return Image.fromarray(values.clip(0, 255).round().astype(np.uint8)).resize(size)
