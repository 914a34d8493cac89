"""Reader of FBX, binary and ASCII, with ufbx: in meters, +Y up, posed by its skin, with its materials."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import FormatError
from ...mesh_extras import MorphTarget
from .apart import read_apart
from .beside import find_beside
from .images import open_image
from .model import Influences, Model, Part, SourceMaterial, SourceTexture
from .rig import read_rig


def read_fbx(path: Path) -> Model:
    """Read an .fbx file. FormatError if it is damaged, or if ufbx is not installed."""
    scene, arrays = read_apart(path, "fbx_worker", "ufbx", "FBX")
    warnings: list[str] = []
    materials = [_make_material(path, item, arrays, warnings) for item in scene["materials"]]
    parts = tuple(_make_part(item, arrays, materials) for item in scene["parts"])
    skeleton, clips = read_rig(scene, arrays, warnings)
    if scene["hidden"]:
        warnings.append(f"hidden objects are left out: {', '.join(scene['hidden'])}")
    warnings += scene["left_out"]
    return Model(parts, tuple(warnings), skeleton=skeleton, clips=clips)


def _make_part(item: Mapping[str, Any], arrays: Mapping[str, Any], materials: list[SourceMaterial]) -> Part:
    read = {name: arrays[key] for name, key in item["keys"].items()}
    number = item["material"]
    sets = {0: "uvs"} | {int(name[4:]): name for name in read if name.startswith("uvs_")}
    return Part(
        item["name"],
        read["positions"].astype(np.float64),
        read["faces"],
        read.get("normals"),
        {number: read[name] * (1, -1) + (0, 1) for number, name in sets.items() if name in read},
        read.get("colors"),
        materials[number] if number >= 0 else None,
        tuple(
            MorphTarget.from_dense(morph["name"], deltas, morph["weight"])
            for morph, deltas in zip(item["morphs"], _list_deltas(read), strict=True)
        ),
        Influences(read["joints"], read["weights"]) if "joints" in read else None,
    )


def _list_deltas(read: Mapping[str, Any]) -> list[Any]:
    """(V, 3) deltas of the morph targets, in their order."""
    count = sum(name.startswith("morph_") for name in read)
    return [read[f"morph_{number}"] for number in range(count)]


def _make_material(
    path: Path, item: Mapping[str, Any], arrays: Mapping[str, Any], warnings: list[str]
) -> SourceMaterial:
    """FBX says nothing of alpha modes: a color below full opacity blends."""
    textures = {}
    for role, described in item["textures"].items():
        texture = _open_texture(path, described, arrays)
        if texture is None:
            named = described["names"][0]
            warnings.append(f"the texture {named!r} is left out: it is neither in the file nor beside it")
        else:
            textures[role] = texture
    red, green, blue, alpha = item["base_color"]
    if "base_color" in textures:
        red = green = blue = 1.0
    return SourceMaterial(
        item["name"],
        (red, green, blue, alpha),
        item["metallic"],
        item["roughness"],
        tuple(item["emissive"]),  # type: ignore[arg-type]
        "BLEND" if alpha < 1 else None,
        textures=textures,
    )


def _open_texture(
    path: Path, described: Mapping[str, Any], arrays: Mapping[str, Any]
) -> SourceTexture | None:
    """The embedded picture, or the first of the named files that lies beside the model."""
    wrap = tuple(described["wrap"])
    data = arrays[described["content"]].tobytes() if described["content"] else None
    names = [name for name in described["names"] if name]
    try:
        if data is None:
            data = find_beside(path, names[0]).read_bytes()
        return SourceTexture(open_image(data, names[0] if names else "picture"), wrap)  # type: ignore[arg-type]
    except (OSError, IndexError, FormatError):
        return None
