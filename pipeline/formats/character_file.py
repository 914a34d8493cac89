"""A character as one file, by the settings of a preset: texture, triangles, levels of detail and bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ..errors import FormatError
from ..presets import FileSettings
from ..progress import Progress, ignore_progress
from ..texture_baking.shrink import shrink_textures
from ..types import RiggedCharacter
from ..vrm_meta import VrmMeta
from .fbx import encode_fbx
from .glb import encode_compact_glb
from .lods import make_lods, reduce_triangles
from .reading.soft_packages import has_soft
from .usdz import encode_usdz
from .vrm import encode_vrm
from .vrm0 import encode_vrm0

SUFFIXES: Mapping[str, str] = {
    "fbx": ".fbx",
    "glb": ".glb",
    "vrm": ".vrm",
    "vrm0": ".vrm",
    "usdz": ".usdz",
}
"""Format -> the end of its files' names."""
_PACKAGES = {"meshopt": "meshopt", "draco": "DracoPy"}
"""Compression -> the package that it needs."""
_WEBP_QUALITY = 85
_SMALLER = ((2, 1.0), (4, 1.0), (4, 0.5), (8, 0.25))
"""What is tried for a file with too many bytes: its texture's side divided, the share of its triangles."""
_SMALLEST_TEXTURE = 64


@dataclass(frozen=True)
class CharacterFile:
    """data: the file. notes: what was made smaller than asked for, or left out, one sentence each."""

    data: bytes
    notes: tuple[str, ...] = ()


def encode_character(
    character: RiggedCharacter,
    settings: FileSettings,
    stem: str,
    meta: VrmMeta,
    progress: Progress = ignore_progress,
) -> CharacterFile:
    """Return the file of a character whose joints have their names and axes already.

    stem: the name of the file, without its suffix. FormatError for what the format cannot hold, and if a file
    of at most `max_bytes` cannot be made.
    """
    settings, notes = _settle(settings)
    prepared = _make_smaller(character, settings.texture_size, settings.max_triangles, progress)
    encode = _ENCODERS[settings.character_format]
    data = encode(prepared, settings, stem, meta)
    if not settings.max_bytes or len(data) <= settings.max_bytes:
        return CharacterFile(data, notes)
    for divisor, share in _SMALLER:
        side = max(_find_side(prepared) // divisor, _SMALLEST_TEXTURE)
        count = int(share * len(prepared.textured.mesh.faces))
        smaller = _make_smaller(prepared, side, count, progress)
        data = encode(smaller, settings, stem, meta)
        if len(data) <= settings.max_bytes:
            faces = len(smaller.textured.mesh.faces)
            said = f"max_bytes: the texture has {side} pixels a side, the mesh {faces} triangles"
            return CharacterFile(data, (*notes, said))
    raise FormatError(f"max_bytes: expected at most {settings.max_bytes}; the smallest file has {len(data)}")


def _settle(settings: FileSettings) -> tuple[FileSettings, tuple[str, ...]]:
    """The settings that can be followed here, and what cannot."""
    kind, notes = settings.character_format, []
    if settings.lods and kind not in ("fbx", "glb"):
        notes.append(f"lods: only FBX and GLB have levels of detail, not a {kind.upper()}")
    if settings.compression != "none" and kind != "glb":
        notes.append(f"compression: only a GLB is compressed, not a {kind.upper()}")
    elif (package := _PACKAGES.get(settings.compression)) and not has_soft(package):
        notes.append(
            f"compression: quantized instead of {settings.compression}, whose package is missing or too old: "
            f"pip install -U {package}"
        )
        settings = replace(settings, compression="quantized")
    return settings, tuple(notes)


def _find_side(character: RiggedCharacter) -> int:
    return max(max(material.texels.shape[:2]) for material in character.textured.materials)


def _make_smaller(
    character: RiggedCharacter, texture_size: int, most_faces: int, progress: Progress
) -> RiggedCharacter:
    """The character with textures of at most `texture_size` and at most so many faces; 0: as it is."""
    if texture_size:
        character = replace(character, textured=shrink_textures(character.textured, texture_size))
    return reduce_triangles(character, most_faces, progress) if most_faces else character


def _encode_fbx(character: RiggedCharacter, settings: FileSettings, stem: str, meta: VrmMeta) -> bytes:
    return encode_fbx(character, stem, make_lods(character, settings.lods))


def _encode_glb(character: RiggedCharacter, settings: FileSettings, stem: str, meta: VrmMeta) -> bytes:
    lods = make_lods(character, settings.lods)
    quality = 0 if settings.compression == "none" else _WEBP_QUALITY
    return encode_compact_glb(character, settings.compression, quality, lods)


def _encode_vrm(character: RiggedCharacter, settings: FileSettings, stem: str, meta: VrmMeta) -> bytes:
    return encode_vrm(character, meta)


def _encode_vrm0(character: RiggedCharacter, settings: FileSettings, stem: str, meta: VrmMeta) -> bytes:
    return encode_vrm0(character, meta)


def _encode_usdz(character: RiggedCharacter, settings: FileSettings, stem: str, meta: VrmMeta) -> bytes:
    return encode_usdz(character)


_ENCODERS: Mapping[str, Callable[[RiggedCharacter, FileSettings, str, VrmMeta], bytes]] = {
    "fbx": _encode_fbx,
    "glb": _encode_glb,
    "vrm": _encode_vrm,
    "vrm0": _encode_vrm0,
    "usdz": _encode_usdz,
}
