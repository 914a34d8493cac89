"""Reader of FBX, binary and ASCII, with ufbx: in meters, +Y up, posed by its skin, with its materials."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import FormatError
from .beside import find_beside
from .images import open_image
from .model import Model, Part, SourceMaterial, SourceTexture
from .soft_packages import DISTRIBUTIONS, has_soft

_LOG = logging.getLogger("character3d")
_LONGEST = 600
"""Seconds that reading a file may take."""


def read_fbx(path: Path) -> Model:
    """Read an .fbx file. FormatError if it is damaged, or if ufbx is not installed."""
    if not path.stat().st_size:
        raise FormatError(f"{path.name} is empty")
    if not has_soft("ufbx"):
        name = DISTRIBUTIONS["ufbx"]
        raise FormatError(f"{path.name}: FBX needs the Python package {name}: pip install {name}")
    with tempfile.TemporaryDirectory() as folder:
        scene, arrays = _run_worker(path, folder)
    if "error" in scene:
        raise FormatError(f"{path.name} is damaged: {scene['error']}")
    warnings: list[str] = []
    materials = [_make_material(path, item, arrays, warnings) for item in scene["materials"]]
    parts = tuple(_make_part(item, arrays, materials) for item in scene["parts"])
    if scene["hidden"]:
        warnings.append(f"hidden objects are left out: {', '.join(scene['hidden'])}")
    return Model(parts, tuple(warnings))


def _run_worker(path: Path, folder: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The scene and the arrays that fbx_worker.py writes."""
    script = Path(__file__).with_name("fbx_worker.py")
    command = [sys.executable, "-c", script.read_text(encoding="utf-8"), str(path.resolve()), folder]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=_LONGEST, check=False)
    except subprocess.TimeoutExpired as error:
        raise FormatError(f"{path.name}: reading it took longer than {_LONGEST} seconds") from error
    written = Path(folder, "scene.json")
    if not written.exists():
        _LOG.warning("%s: %s", path.name, done.stderr.decode("utf-8", "replace").strip())
        raise FormatError(f"{path.name} cannot be read: ufbx or its reader failed on it; the log says where")
    with np.load(Path(folder, "arrays.npz")) as arrays:
        return json.loads(written.read_text(encoding="utf-8")), dict(arrays)


def _make_part(item: Mapping[str, Any], arrays: Mapping[str, Any], materials: list[SourceMaterial]) -> Part:
    read = {name: arrays[key] for name, key in item["keys"].items()}
    uvs, number = read.get("uvs"), item["material"]
    return Part(
        item["name"],
        read["positions"].astype(np.float64),
        read["faces"],
        read.get("normals"),
        {} if uvs is None else {0: uvs * (1, -1) + (0, 1)},
        read.get("colors"),
        materials[number] if number >= 0 else None,
    )


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
