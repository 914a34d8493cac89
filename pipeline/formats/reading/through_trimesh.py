"""Formats that trimesh reads: PLY, STL and OFF."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...color import srgb_to_linear
from ...errors import FormatError
from ...types import FloatArray
from .model import Model, Part, SourceMaterial, SourceTexture

if TYPE_CHECKING:
    import trimesh

_PARSER_ERRORS = (
    ArithmeticError, AttributeError, EOFError, LookupError, NameError, NotImplementedError, OSError,
    TypeError, ValueError, struct.error,
)  # fmt: skip
"""What trimesh's parsers raise on damaged data. A missing module (ImportError) is not the file's fault."""


def read_through_trimesh(path: Path) -> Model:
    """Read a file with trimesh. FormatError if it is damaged."""
    from trimesh import Scene, load_scene  # here, so that no error of this import passes for a damaged file

    if not path.stat().st_size:
        raise FormatError(f"{path.name} is empty")
    try:
        scene: Scene = load_scene(path, process=False)
        parts = tuple(_read_parts(scene))
    except _PARSER_ERRORS as error:
        kind = path.suffix[1:].upper()
        raise FormatError(f"{path.name} is damaged: it cannot be parsed as {kind}") from error
    for part in parts:
        if len(part.faces) and (part.faces.min() < 0 or part.faces.max() >= len(part.positions)):
            raise FormatError(f"{path.name} is damaged: its faces name vertices that it does not have")
    return Model(parts)


def _read_parts(scene: trimesh.Scene) -> Iterator[Part]:
    for node in scene.graph.nodes_geometry:
        transform, name = scene.graph[node]
        mesh: Any = scene.geometry[name]
        if not hasattr(mesh, "faces"):
            continue
        placed = mesh.vertices @ transform[:3, :3].T + transform[:3, 3]
        uvs = getattr(mesh.visual, "uv", None)
        sets = {} if uvs is None or len(uvs) != len(placed) else {0: np.stack((uvs[:, 0], 1 - uvs[:, 1]), 1)}
        yield Part(
            str(name),
            placed,
            np.asarray(mesh.faces, np.int64),
            None,
            sets,
            _read_colors(mesh),
            _read_material(mesh),
        )


def _read_colors(mesh: Any) -> FloatArray | None:
    """Linear vertex colors; trimesh's are sRGB. Those of faces are averaged at the vertices."""
    if mesh.visual.kind not in ("vertex", "face"):
        return None
    colors = np.asarray(mesh.visual.vertex_colors, np.float32) / 255
    return np.concatenate((srgb_to_linear(colors[:, :3]), colors[:, 3:]), axis=1)


def _read_material(mesh: Any) -> SourceMaterial | None:
    if mesh.visual.kind != "texture":
        return None
    material = mesh.visual.material
    image = getattr(material, "image", None)
    if image is None:
        return None
    return SourceMaterial(material.name or "", metallic=0.0, textures={"base_color": SourceTexture(image)})
