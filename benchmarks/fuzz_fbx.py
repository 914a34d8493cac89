"""FBX files changed at random as what they are: trees of nodes with typed values. For fuzz.py."""

from __future__ import annotations

import math
import random
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from character3d.pipeline.formats.fbx_binary import FbxNode, encode_document

_FIRST = 27
"""Bytes of the header of a binary file."""
_RECORD = struct.Struct("<IIIB")
_SCALARS = {b"C": "<?", b"Y": "<h", b"I": "<i", b"L": "<q", b"F": "<f", b"D": "<d"}
_ARRAYS = {b"f": "<f4", b"d": "<f8", b"i": "<i4", b"l": "<i8", b"b": "<i1"}
_NUMBERS = [0, 1, -1, 2, 7, 255, 65535, 2**31 - 1, -(2**31), 0.5, -1e30, 1e300, math.inf, math.nan]
_TEXTS = [
    "",
    "a",
    "Mesh",
    "LimbNode",
    "ByPolygonVertex",
    "IndexToDirect",
    "OO",
    "../a.png",
    "\0",
    "\u00e9" * 300,
]


def read_tree(data: bytes) -> list[Any]:
    """The nodes of a binary file of version 7.4, each a list of name, values and children."""
    return _read_nodes(data, _FIRST)[0]


def _read_nodes(data: bytes, place: int) -> tuple[list[Any], int]:
    nodes = []
    while True:
        end, count, _, size = _RECORD.unpack_from(data, place)
        place += _RECORD.size
        if not end:
            return nodes, place
        name, place = data[place : place + size].decode(), place + size
        values = []
        for _ in range(count):
            value, place = _read_value(data, place)
            values.append(value)
        children: list[Any] = []
        if place < end:
            children, place = _read_nodes(data, place)
        nodes.append([name, values, children])


def _read_value(data: bytes, place: int) -> tuple[Any, int]:
    code, place = data[place : place + 1], place + 1
    if code in _SCALARS:
        value = struct.unpack_from(_SCALARS[code], data, place)[0]
        return np.int64(value) if code == b"L" else value, place + struct.calcsize(_SCALARS[code])
    if code in (b"S", b"R"):
        size = struct.unpack_from("<I", data, place)[0]
        held = data[place + 4 : place + 4 + size]
        return held.decode() if code == b"S" else held, place + 4 + size
    _, is_packed, size = struct.unpack_from("<III", data, place)
    held = data[place + 12 : place + 12 + size]
    return np.frombuffer(zlib.decompress(held) if is_packed else held, _ARRAYS[code]), place + 12 + size


def change_nodes(nodes: list[Any], choose: random.Random) -> None:
    """Change a few nodes in place: other values, fewer, more, or elsewhere."""
    for _ in range(choose.choice((1, 1, 1, 2, 4))):
        owner, number = choose.choice(list(_list_places(nodes)))
        _, values, children = node = owner[number]
        action = choose.random()
        if action < 0.1:
            del owner[number]
        elif action < 0.2:
            other, place = choose.choice(list(_list_places(nodes)))
            owner.insert(number, [other[place][0], [*other[place][1]], []])
        elif action < 0.25 and children:
            node[2] = []
        elif values:
            place = choose.randrange(len(values))
            values[place] = _change_value(values[place], choose)


def _list_places(nodes: list[Any]) -> Iterator[tuple[list[Any], int]]:
    for number, (_, _, children) in enumerate(nodes):
        yield nodes, number
        yield from _list_places(children)


def _change_value(value: Any, choose: random.Random) -> Any:
    """Another value, most often of the same type."""
    if choose.random() < 0.05:
        return choose.choice([choose.choice(_TEXTS), 0, 1.0, np.int64(-1), np.zeros(3), b""])
    if isinstance(value, str):
        return choose.choice(_TEXTS)
    if isinstance(value, bytes):
        return choose.randbytes(choose.randrange(64))
    if isinstance(value, np.ndarray):
        return _change_array(value, choose)
    number = choose.choice(_NUMBERS)
    if isinstance(value, float):
        return float(number)
    whole = min(max(int(number), -(2**31)), 2**31 - 1) if math.isfinite(number) else 0
    return type(value)(whole)


def _change_array(values: Any, choose: random.Random) -> Any:
    changed = values.copy()
    action = choose.randrange(4)
    if action == 0:
        return changed[: choose.randrange(len(changed) + 1)]
    if action == 1:
        return np.concatenate((changed, changed[: choose.randrange(8)]))
    for _ in range(choose.choice((1, 3)) if len(changed) else 0):
        number = choose.choice(_NUMBERS)
        is_whole = changed.dtype.kind == "i"
        if is_whole:
            number = max(min(int(number), 2**31 - 1), -(2**31)) if math.isfinite(number) else -1
        with np.errstate(over="ignore"):
            changed[choose.randrange(len(changed))] = number
    return changed


def encode_tree(nodes: list[Any]) -> bytes:
    """A binary file of these nodes."""
    return encode_document(map(_make_node, nodes))


def _make_node(node: list[Any]) -> FbxNode:
    name, values, children = node
    own = tuple(int(value) if type(value) is np.int32 else value for value in values)
    return FbxNode(name, own, tuple(map(_make_node, children)))


def write_text(nodes: list[Any]) -> bytes:
    """An ASCII file of these nodes."""
    return "\n".join(["; FBX 7.4.0 project file", *_write_nodes(nodes, "")]).encode()


def _write_nodes(nodes: list[Any], indent: str) -> Iterator[str]:
    for name, values, children in nodes:
        arrays = [value for value in values if isinstance(value, np.ndarray)]
        if arrays:
            yield f"{indent}{name}: *{len(arrays[0])} {{"
            yield f"{indent}a: {','.join(map(repr, arrays[0].tolist()))}"
            yield f"{indent}}}"
            continue
        opened = " {" if children else ""
        yield f"{indent}{name}: {', '.join(map(_write_value, values))}{opened}"
        if children:
            yield from _write_nodes(children, indent + "\t")
            yield f"{indent}}}"


def _write_value(value: Any) -> str:
    if isinstance(value, str):
        first, found, kind = value.partition("\0\1")
        return f'"{kind}::{first}"' if found else f'"{value}"'
    if isinstance(value, bytes):
        import base64

        return f'"{base64.b64encode(value).decode()}"'
    return str(int(value) if isinstance(value, bool) else value)
