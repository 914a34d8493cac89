"""Reader of Wavefront OBJ and its MTL: objects, groups, negative indices, tabs, vertex colors, materials.

Source: Wavefront's Advanced Visualizer appendix B1; vertex colors after x y z are a common extension.
"""

from __future__ import annotations

import codecs
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...color import srgb_to_linear
from ...errors import FormatError
from ...types import Float64Array, Int64Array
from .left_out import LeftOut
from .model import Model, Part, SourceMaterial
from .mtl import read_mtl
from .polygons import cut_polygons

_Key = tuple[str, str]
_NO_NUMBERS = "it has text where numbers are expected"
_LEFT_OUT = {b"p": "point", b"l": "line", b"curv": "curve", b"curv2": "curve", b"surf": "freeform surface"}
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass
class _Faces:
    """Lines of faces that share an object and a material.

    counts: by the number of a line with negative indices, how many v, vt and vn stand before it.
    """

    lines: list[bytes] = field(default_factory=list)
    counts: dict[int, tuple[int, int, int]] = field(default_factory=dict)


def read_obj(path: Path) -> Model:
    """Read an .obj file and the .mtl files that it names. FormatError if it is damaged."""
    data = path.read_bytes()
    if not data:
        raise FormatError(f"{path.name} is empty")
    if data[:2] in _UTF_16:
        data = data.decode("utf-16", "replace").encode()
    data = data.removeprefix(codecs.BOM_UTF8)
    rows: dict[bytes, list[bytes]] = {b"v": [], b"vt": [], b"vn": []}
    faces: dict[_Key, _Faces] = defaultdict(_Faces)
    libraries: list[str] = []
    left_out = LeftOut()
    _sort_lines(data, rows, faces, libraries, left_out)
    notes: list[str] = []
    materials: dict[str, SourceMaterial] = {}
    for library in libraries:
        materials |= read_mtl(path, library, notes)
    try:
        vertices, uvs, normals = (_read_numbers(rows[kind]) for kind in (b"v", b"vt", b"vn"))
        if min(vertices.shape[1], normals.shape[1]) < 3:
            raise ValueError("it has a vertex or a normal of fewer than three numbers")
        shared = _Shared(vertices, np.pad(uvs, ((0, 0), (0, 1)))[:, :2], normals[:, :3])
        parts = tuple(part for key, own in faces.items() for part in _make_part(shared, key, own, materials))
    except ValueError as error:
        raise FormatError(f"{path.name} is damaged: {error}") from error
    missing = sorted({name for _, name in faces if name and name not in materials})
    if missing:
        notes.append(f"its materials {', '.join(missing)} are not in a .mtl file beside it")
    return Model(parts, (*notes, *left_out.describe()))


@dataclass(frozen=True, eq=False)
class _Shared:
    """vertices: (V, 3, 4, 6 or 7). uvs: (T, 2), v up. normals: (N, 3)."""

    vertices: Float64Array
    uvs: Float64Array
    normals: Float64Array


def _sort_lines(
    data: bytes,
    rows: dict[bytes, list[bytes]],
    faces: dict[_Key, _Faces],
    libraries: list[str],
    left_out: LeftOut,
) -> None:
    """Sort the lines by what they are."""
    if b"\\" in data:
        data = data.replace(b"\\\r\n", b" ").replace(b"\\\n", b" ")
    name, material = "", ""
    vertices, uvs, normals = rows[b"v"], rows[b"vt"], rows[b"vn"]
    current = faces[name, material]
    for line in data.replace(b"\t", b" ").splitlines():
        kind, _, rest = (line.lstrip() if line[:1] == b" " else line).partition(b" ")
        if kind == b"v":
            vertices.append(rest)
        elif kind == b"f":
            if b"-" in rest:
                current.counts[len(current.lines)] = len(vertices), len(uvs), len(normals)
            current.lines.append(rest)
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
        elif kind in _LEFT_OUT:
            left_out.count(_LEFT_OUT[kind])
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
    width = len(rows[0].split())
    if width and all(len(row.split()) == width for row in rows):
        return _parse(b" ".join(rows), width * len(rows), np.float64).reshape(-1, width)
    try:
        split = [np.array(row.split(), np.float64) for row in rows]
    except ValueError as error:
        raise ValueError(_NO_NUMBERS) from error
    wide = np.zeros((len(rows), max(map(len, split))))
    for row, values in zip(wide, split, strict=True):
        row[: len(values)] = values
    return wide


def _make_part(
    shared: _Shared, key: _Key, own: _Faces, materials: dict[str, SourceMaterial]
) -> Iterator[Part]:
    """The triangles of an object that have one material; corners that differ in uv or normal are split."""
    lines = [line.partition(b"#")[0] if b"#" in line else line for line in own.lines]
    sizes = np.array([len(line.split()) for line in lines])
    if not sizes.any():
        return
    corners = _read_corners(b" ".join(lines))
    counts = np.array((len(shared.vertices), len(shared.uvs), len(shared.normals)))
    if own.counts:
        before = np.zeros((len(lines), 3), np.int64)
        before[list(own.counts)] = list(own.counts.values())
        corners = np.where(corners < 0, np.repeat(before, sizes, axis=0) + corners, corners - 1)
    else:
        corners -= 1
    if corners[:, 0].min() < 0 or (corners >= counts).any():
        raise ValueError("its faces name vertices, uvs or normals that it does not have")
    corners[:, 1:] = np.maximum(corners[:, 1:], -1)
    triangles, _ = cut_polygons(shared.vertices[corners[:, 0], :3], sizes)
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


def _read_corners(text: bytes) -> Int64Array:
    """(C, 3) numbers of vertex, uv and normal, counted from 1; 0 where there is none."""
    signs = np.frombuffer(b" " + text + b" ", np.uint8)
    is_space, is_slash = signs == ord(" "), signs == ord("/")
    starts = np.flatnonzero(is_space[:-1] & ~is_space[1:]) + 1
    slashes = np.add.reduceat(is_slash, starts, dtype=np.int64)
    read = np.zeros((len(starts), 3), np.int64)
    width = int(slashes[0]) + 1
    if width <= 3 and (slashes == slashes[0]).all() and not (is_slash[:-1] & is_space[1:]).any():
        plain = text.replace(b"//", b"/0/").replace(b"/", b" ")
        read[:, :width] = _parse(plain, width * len(starts), np.int64).reshape(-1, width)
        return read
    try:
        for row, corner in zip(read, text.split(), strict=True):
            numbers = [int(number or 0) for number in corner.split(b"/")]
            row[: len(numbers)] = numbers
    except (ValueError, OverflowError) as error:
        raise ValueError(_NO_NUMBERS) from error
    return read


def _parse(text: bytes, count: int, dtype: Any) -> Any:
    """Numbers between spaces; ValueError unless there are `count` of them and nothing else."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # what numpy says of text that is no number
        try:
            numbers = np.fromstring(text, dtype, sep=" ")
        except (DeprecationWarning, ValueError) as error:
            raise ValueError(_NO_NUMBERS) from error
    if len(numbers) != count:
        raise ValueError(_NO_NUMBERS)
    return numbers


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
