"""Reader of MTL, the materials of an OBJ file, with the physically based names that some programs add."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...color import srgb_to_linear
from ...errors import FormatError
from ...types import Float64Array
from .beside import find_beside
from .images import decode_image, open_image, set_alpha
from .model import SourceMaterial, SourceTexture

_PLAIN = SourceMaterial(metallic=0.0, roughness=0.9)
_OPACITY = "opacity"
_MAPS = {"map_kd": "base_color", "map_ke": "emissive", "norm": "normal", "map_d": _OPACITY}
_OPTIONS = {"-s": 3, "-o": 3, "-t": 3, "-mm": 2, "-texres": 1, "-clamp": 1, "-blendu": 1, "-blendv": 1,
            "-bm": 1, "-imfchan": 1, "-type": 1, "-boost": 1, "-cc": 1, "-colorspace": 1}  # fmt: skip
"""Options before a texture's name, and how many values each has."""


def read_mtl(model: Path, library: str, warnings: list[str]) -> dict[str, SourceMaterial]:
    """The materials of a library that an OBJ file names, by name. What cannot be read goes to `warnings`."""
    try:
        text = find_beside(model, library).read_bytes().decode("utf-8", "replace")
    except (OSError, ValueError):
        warnings.append(f"its materials are left out: {library!r} cannot be read beside it")
        return {}
    materials: dict[str, SourceMaterial] = {}
    name, with_d = "", set()
    for line in text.splitlines():
        key, _, value = line.replace("\t", " ").strip().partition(" ")
        if key == "newmtl":
            name = value.strip()
            materials[name] = replace(_PLAIN, name=name)
        elif key in ("Tr", "tr") and name in with_d:
            continue  # writers disagree about its direction
        elif name and key and not key.startswith("#"):
            with_d |= {name} if key == "d" else set()
            try:
                materials[name] = _read_line(materials[name], model, key.lower(), value.strip(), warnings)
            except ValueError:
                warnings.append(f"{line.strip()!r} of {library!r} is left out: it cannot be read")
    return {name: _settle(material, warnings) for name, material in materials.items()}


def _read_line(
    material: SourceMaterial, model: Path, key: str, value: str, warnings: list[str]
) -> SourceMaterial:
    if key in ("kd", "ke"):
        red, green, blue = (float(number) for number in srgb_to_linear(np.array(value.split()[:3], float)))
        if key == "ke":
            return replace(material, emissive=(red, green, blue))
        return replace(material, base_color=(red, green, blue, material.base_color[3]))
    if key in ("d", "tr"):
        number = float(value.split()[-1])
        alpha = number if key == "d" else 1 - number
        return replace(material, base_color=(*material.base_color[:3], alpha))
    if key == "pm":
        return replace(material, metallic=float(value))
    if key == "pr":
        return replace(material, roughness=float(value))
    if key in _MAPS:
        texture = _open_texture(model, value, warnings)
        textures: Mapping[str, Any] = {_MAPS[key]: texture} if texture else {}
        return replace(material, textures={**material.textures, **textures})
    return material


def _settle(material: SourceMaterial, warnings: list[str]) -> SourceMaterial:
    """A texture replaces the diffuse color, as in most programs: many write black or grey beside it."""
    color, mode = material.base_color, "BLEND" if material.base_color[3] < 1 else None
    textures = dict(material.textures)
    if "base_color" in textures:
        color = (1.0, 1.0, 1.0, color[3])
    if (opacity := textures.pop(_OPACITY, None)) is not None:
        try:
            textures["base_color"] = _add_opacity(textures.get("base_color"), opacity)
        except (OSError, ValueError, SyntaxError, EOFError):
            warnings.append(f"the opacity of {material.name!r} is left out: a texture of it is damaged")
    return replace(material, base_color=color, alpha_mode=mode, textures=textures)


def _add_opacity(base: SourceTexture | None, opacity: SourceTexture) -> SourceTexture:
    """The base color, white if there is none, with the alpha of a picture: its own, or how light it is."""
    texels = decode_image(opacity.image)
    plane = texels[..., 3] if (texels[..., 3] < 255).any() else texels[..., 0]
    image = Image.new("RGB", opacity.image.size, "white") if base is None else base.image
    return replace(base or opacity, image=set_alpha(image, Image.fromarray(plane)))


def _open_texture(model: Path, value: str, warnings: list[str]) -> SourceTexture | None:
    """The texture of a map line: options, then a name that may hold spaces."""
    words, is_clamped = value.split(), False
    given = {"-s": [1.0, 1.0], "-o": [0.0, 0.0]}
    while words and words[0] in _OPTIONS:
        option, count = words[0], _OPTIONS[words[0]]
        is_clamped |= option == "-clamp" and words[1:2] == ["on"]
        rest = words[1 + count :] if count == 1 else _drop_numbers(words[1:], count)
        if option in given:
            numbers = [float(word) for word in words[1 : len(words) - len(rest)][:2]]
            given[option][: len(numbers)] = numbers
        words = rest
    name = value[value.index(words[0]) :] if words else ""
    try:
        image = open_image(find_beside(model, name).read_bytes(), name)
    except (OSError, ValueError, FormatError):
        warnings.append(f"the texture {name!r} is left out: it cannot be read beside the file")
        return None
    mode = "CLAMP" if is_clamped else "REPEAT"
    return SourceTexture(image, (mode, mode), 0, _make_transform(given["-s"], given["-o"]))


def _make_transform(scale: list[float], offset: list[float]) -> Float64Array | None:
    """What an option -s and -o do to uvs whose v is down; None for nothing."""
    if (scale, offset) == ([1.0, 1.0], [0.0, 0.0]):
        return None
    (across, up), (right, above) = scale, offset
    return np.array(((across, 0, right), (0, up, 1 - up - above), (0, 0, 1)), np.float64)


def _drop_numbers(words: list[str], count: int) -> list[str]:
    """The words after at most `count` numbers; the last ones of an option may be missing."""
    while words and count and words[0].replace(".", "").lstrip("+-").isdigit():
        words, count = words[1:], count - 1
    return words
