"""What engines and programs take of a character's file: the settings of each preset.

docs/files.md says which reader each was tried with, and what could not be tried.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .conventions import BIND_POSES, BONE_NAMES, CHARACTER_FORMATS

NO_PRESET = "none"
COMPRESSIONS = ("none", "quantized", "meshopt", "draco")
"""How small the mesh and the clips of a GLB are made."""
MOST_LODS = 3
_T_POSE = BIND_POSES[1]


@dataclass(frozen=True)
class FileSettings:
    """How a character is written.

    lods: further levels of detail. max_triangles, max_bytes: limits, 0 for none. texture_size: the longest
    side of a texture in pixels, 0 for as it was baked. compression: of a GLB.
    """

    character_format: str = CHARACTER_FORMATS[0]
    bone_names: str = BONE_NAMES[0]
    bind_pose: str = BIND_POSES[0]
    lods: int = 0
    max_triangles: int = 0
    texture_size: int = 0
    compression: str = COMPRESSIONS[0]
    max_bytes: int = 0


PRESETS: Mapping[str, FileSettings] = {
    NO_PRESET: FileSettings(),
    "unity": FileSettings("fbx", "unity", _T_POSE, lods=MOST_LODS, texture_size=2048),
    "unreal": FileSettings("fbx", "unreal", lods=MOST_LODS, texture_size=2048),
    "godot": FileSettings("glb", "godot", _T_POSE, texture_size=2048),
    "blender": FileSettings("glb", "blender"),
    "roblox": FileSettings("fbx", "roblox", _T_POSE, max_triangles=6_000, texture_size=1024),
    "vrchat": FileSettings("fbx", "unity", _T_POSE, max_triangles=32_000, texture_size=2048),
    "vrm": FileSettings("vrm", "vrm", texture_size=2048),
    "quicklook": FileSettings("usdz", texture_size=2048),
    "web": FileSettings("glb", compression="meshopt", texture_size=1024, max_bytes=2_000_000),
}
"""Unity takes `_LOD0` and so on as one LOD group and a humanoid in a T-pose; Unreal reads FBX's LOD groups;
Godot makes levels of its own as it imports, and finds the joints of its humanoid profile by their names;
of 6,000 triangles a person's legs have less than the 1,248 each that Roblox takes; 32,000 are the
most of VRChat's rank Excellent for a PC."""


def apply_preset(values: Mapping[str, Any], chosen: Collection[str], preset: str) -> dict[str, Any]:
    """Return the values with those of a preset for each setting that is not among the `chosen` ones."""
    settings = asdict(PRESETS[preset])
    taken = {} if preset == NO_PRESET else {k: v for k, v in settings.items() if k not in chosen}
    return {**values, **taken}
