"""Formats that trimesh reads: PLY, OFF and STL of text."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...color import srgb_to_linear
from ...errors import FormatError
from ...types import FloatArray, Int64Array
from .face_colors import split_by_color
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
    # Here, so that no error of these imports passes for a damaged file.
    from trimesh import Scene, load_scene
    from trimesh.resolvers import FilePathResolver

    if not path.stat().st_size:
        raise FormatError(f"{path.name} is empty")
    try:
        scene: Scene = load_scene(
            io.BytesIO(_rename_colors(path.read_bytes())),
            file_type=path.suffix[1:].lower(),
            resolver=FilePathResolver(str(path)),
            process=False,
        )
        parts = tuple(_read_parts(scene))
    except _PARSER_ERRORS as error:
        kind = path.suffix[1:].upper()
        raise FormatError(f"{path.name} is damaged: it cannot be parsed as {kind}") from error
    for part in parts:
        if len(part.faces) and (part.faces.min() < 0 or part.faces.max() >= len(part.positions)):
            raise FormatError(f"{path.name} is damaged: its faces name vertices that it does not have")
    return Model(parts)


def _rename_colors(data: bytes) -> bytes:
    """A PLY file whose colors have the names that trimesh knows; other files as they are."""
    header, found, rest = data.partition(b"end_header")
    if not data.startswith(b"ply") or not found:
        return data
    return (
        re.sub(rb"(property\s+\w+\s+)(?:diffuse_)?([rgb])(\w*)(?=\s)", _rename_color, header) + found + rest
    )


def _rename_color(match: re.Match[bytes]) -> bytes:
    """The line of a property; `r` and `diffuse_red` become `red`."""
    name = next(name for name in (b"red", b"green", b"blue") if name.startswith(match[2]))
    return match[1] + name if match[2] + match[3] in (name, match[2]) else match[0]


def _read_strips(raw: Any) -> Int64Array | None:
    """(F, 3) faces of the tristrips of a PLY file, -1 between them; None if it has none."""
    strips = (raw or {}).get("tristrips", {}).get("data", {})
    found = [triangle for rows in strips.values() for row in rows for triangle in _unroll(np.ravel(row))]
    return np.array(found, np.int64).reshape(-1, 3) if found else None


def _unroll(strip: Int64Array) -> Iterator[tuple[int, int, int]]:
    """The triangles of strips with -1 between them, all wound as the first one."""
    for run in np.split(strip, np.flatnonzero(strip < 0)):
        own = [int(index) for index in run if index >= 0]
        for place in range(len(own) - 2):
            one, two, three = own[place : place + 3]
            yield (one, two, three) if place % 2 == 0 else (two, one, three)


def _read_parts(scene: trimesh.Scene) -> Iterator[Part]:
    for node in scene.graph.nodes_geometry:
        transform, name = scene.graph[node]
        mesh: Any = scene.geometry[name]
        faces = mesh.faces if hasattr(mesh, "faces") else _read_strips(mesh.metadata.get("_ply_raw"))
        if faces is None:
            continue
        placed = mesh.vertices @ transform[:3, :3].T + transform[:3, 3]
        uvs = getattr(mesh.visual, "uv", None)
        sets = {} if uvs is None or len(uvs) != len(placed) else {0: np.stack((uvs[:, 0], 1 - uvs[:, 1]), 1)}
        faces, colors = np.asarray(faces, np.int64), _read_colors(mesh)
        if mesh.visual.kind == "face" and colors is not None:
            rows, faces, colors = split_by_color(faces, colors)
            placed = placed[rows]
        yield Part(str(name), placed, faces, None, sets, colors, _read_material(mesh))


def _read_colors(mesh: Any) -> FloatArray | None:
    """Linear colors of the vertices or of the faces; trimesh's are sRGB."""
    if mesh.visual.kind not in ("vertex", "face"):
        return None
    is_of_faces = mesh.visual.kind == "face"
    levels = np.asarray(mesh.visual.face_colors if is_of_faces else mesh.visual.vertex_colors)
    if levels.ndim != 2:  # points of which none has a color
        return None
    colors = levels.astype(np.float32) / 255
    return np.concatenate((srgb_to_linear(colors[:, :3]), colors[:, 3:]), axis=1)


def _read_material(mesh: Any) -> SourceMaterial | None:
    if mesh.visual.kind != "texture":
        return None
    material = mesh.visual.material
    image = getattr(material, "image", None)
    if image is None:
        return None
    return SourceMaterial(material.name or "", metallic=0.0, textures={"base_color": SourceTexture(image)})
