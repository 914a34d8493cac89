"""Reader of Wavefront OBJ and its MTL: objects, groups, negative indices, tabs, vertex colors, materials.

Source: Wavefront's Advanced Visualizer appendix B1; vertex colors after x y z are a common extension.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...color import srgb_to_linear
from ...errors import FormatError
from ...types import Float64Array, Int64Array
from .model import Model, Part, SourceMaterial
from .mtl import read_mtl

_Key = tuple[str, str]


@dataclass
class _Faces:
    """Lines of faces that share an object and a material, and how many v, vt and vn stand before each."""

    lines: list[bytes] = field(default_factory=list)
    counts: list[tuple[int, int, int]] = field(default_factory=list)


def read_obj(path: Path) -> Model:
    """Read an .obj file and the .mtl files that it names. FormatError if it is damaged."""
    data = path.read_bytes()
    if not data:
        raise FormatError(f"{path.name} is empty")
    rows: dict[bytes, list[bytes]] = {b"v": [], b"vt": [], b"vn": []}
    faces: dict[_Key, _Faces] = defaultdict(_Faces)
    libraries: list[str] = []
    _sort_lines(data, rows, faces, libraries)
    warnings: list[str] = []
    materials: dict[str, SourceMaterial] = {}
    for library in libraries:
        materials |= read_mtl(path, library, warnings)
    try:
        vertices, uvs, normals = (_read_numbers(rows[kind]) for kind in (b"v", b"vt", b"vn"))
        shared = _Shared(vertices, uvs[:, :2], normals[:, :3])
        parts = tuple(part for key, own in faces.items() for part in _make_part(shared, key, own, materials))
    except (ValueError, IndexError) as error:
        raise FormatError(f"{path.name} is damaged: {error}") from error
    missing = sorted({name for _, name in faces if name and name not in materials})
    if missing:
        warnings.append(f"its materials {', '.join(missing)} are not in a .mtl file beside it")
    return Model(parts, tuple(warnings))


@dataclass(frozen=True, eq=False)
class _Shared:
    """vertices: (V, 3, 4, 6 or 7). uvs: (T, 2), v up. normals: (N, 3)."""

    vertices: Float64Array
    uvs: Float64Array
    normals: Float64Array


def _sort_lines(
    data: bytes, rows: dict[bytes, list[bytes]], faces: dict[_Key, _Faces], libraries: list[str]
) -> None:
    """Sort the lines by what they are."""
    if b"\\" in data:
        data = data.replace(b"\\\r\n", b" ").replace(b"\\\n", b" ")
    name, material = "", ""
    vertices, uvs, normals = rows[b"v"], rows[b"vt"], rows[b"vn"]
    current = faces[name, material]
    for line in data.splitlines():
        kind, _, rest = line.replace(b"\t", b" ").lstrip().partition(b" ")
        if kind == b"v":
            vertices.append(rest)
        elif kind == b"f":
            current.lines.append(rest)
            current.counts.append((len(vertices), len(uvs), len(normals)))
        elif kind in rows:
            rows[kind].append(rest)
        elif kind in (b"o", b"g"):
            name = _decode(rest)
            current = faces[name, material]
        elif kind == b"usemtl":
            material = _decode(rest)
            current = faces[name, material]
        elif kind == b"mtllib":
            libraries.append(_decode(rest))
    for key in [key for key, own in faces.items() if not own.lines]:
        del faces[key]


def _decode(text: bytes) -> str:
    """A name; files of older programs are not UTF-8."""
    try:
        return text.decode().strip()
    except UnicodeDecodeError:
        return text.decode("latin-1").strip()


def _read_numbers(rows: Sequence[bytes]) -> Float64Array:
    """(N, k) numbers of lines that have k each; shorter ones are filled up with 0."""
    if not rows:
        return np.zeros((0, 3))
    flat = np.array(b" ".join(rows).split(), np.float64)
    width = len(rows[0].split())
    if len(flat) == width * len(rows):
        return flat.reshape(-1, width)
    split = [np.array(row.split(), np.float64) for row in rows]
    wide = np.zeros((len(rows), max(map(len, split))))
    for row, values in zip(wide, split, strict=True):
        row[: len(values)] = values
    return wide


def _make_part(
    shared: _Shared, key: _Key, own: _Faces, materials: dict[str, SourceMaterial]
) -> Iterator[Part]:
    """The triangles of an object that have one material; corners that differ in uv or normal are split."""
    polygons = [line.split(b" #")[0].split() for line in own.lines]
    sizes = np.array([len(polygon) for polygon in polygons])
    corners = _read_corners([corner for polygon in polygons for corner in polygon])
    before = np.repeat(np.array(own.counts), sizes, axis=0)
    counts = np.array((len(shared.vertices), len(shared.uvs), len(shared.normals)))
    corners = np.where(corners < 0, before + corners, corners - 1)
    if not len(corners):
        return
    if corners[:, 0].min() < 0 or (corners >= counts).any():
        raise ValueError("its faces name vertices, uvs or normals that it does not have")
    corners[:, 1:] = np.maximum(corners[:, 1:], -1)
    triangles = _fan(sizes)
    unique, inverse = _unique_rows(corners, counts + 1)
    place, uv, normal = unique.T
    has_uvs, has_normals = bool((uv >= 0).any()), bool((normal >= 0).all())
    rows = shared.vertices[place]
    uvs = np.where(uv[:, None] >= 0, shared.uvs[uv], 0.0) * (1, -1) + (0, 1) if has_uvs else None
    yield Part(
        key[0] or "object",
        rows[:, :3],
        inverse[triangles],
        shared.normals[normal] if has_normals else None,
        {} if uvs is None else {0: uvs},
        _read_colors(rows),
        materials.get(key[1]),
    )


def _read_corners(corners: list[bytes]) -> Int64Array:
    """(C, 3) numbers of vertex, uv and normal, counted from 1; 0 where there is none."""
    read = np.zeros((len(corners), 3), np.int64)
    slashes = {corner.count(b"/") for corner in corners}
    if len(slashes) == 1 and max(slashes) <= 2 and not any(corner.endswith(b"/") for corner in corners):
        width = slashes.pop() + 1
        text = b" ".join(corners).replace(b"//", b"/0/").replace(b"/", b" ")
        read[:, :width] = np.array(text.split(), np.int64).reshape(-1, width)
        return read
    for row, corner in zip(read, corners, strict=True):
        numbers = [int(number or 0) for number in corner.split(b"/")]
        row[: len(numbers)] = numbers
    return read


def _fan(sizes: Int64Array) -> Int64Array:
    """(F, 3) corners of the triangles of polygons with these numbers of corners, each a fan."""
    starts = np.cumsum(sizes) - sizes
    counts = np.maximum(sizes - 2, 0)
    first = np.repeat(starts, counts)
    step = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.stack((first, first + step + 1, first + step + 2), axis=1)


def _unique_rows(rows: Int64Array, counts: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Distinct rows of three numbers -1..count - 2, and which of them each row is."""
    _, vertices = np.unique(rows[:, 0], return_inverse=True)
    _, others = np.unique(rows[:, 1] * int(counts[2]) + rows[:, 2], return_inverse=True)
    keys = vertices * (int(others.max()) + 1) + others
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return rows[first], inverse.reshape(-1)


def _read_colors(rows: Float64Array) -> Any:
    """Colors after x y z, sRGB -> linear RGBA; None where there are none."""
    if rows.shape[1] not in (6, 7):
        return None
    srgb = rows[:, -3:]
    colors = srgb_to_linear(srgb / 255 if srgb.max() > 1 else srgb)
    return np.concatenate((colors, np.ones((len(colors), 1))), axis=1)
