"""The binary FBX 7.4 container: a tree of named nodes with typed properties.

FBX has no public specification. The layout follows Blender's "FBX binary file format specification"
(https://code.blender.org/2013/08/), which ufbx and assimp read as well.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import FormatError

VERSION = 7400
CREATION_TIME = "1970-01-01 10:00:00:000"
FILE_ID = bytes.fromhex("28b32aebb624ccc2bfc8b02aa92bfcf1")
# The footer is derived from creation time and file id; strict readers check it against them.
_FOOTER_CODE = bytes.fromhex("fabcab09d0c8d466b176fb831cf7267e")
_FOOTER_END = bytes.fromhex("f85a8c6adef5d97eece90ce3758f290b")
_MAGIC = b"Kaydara FBX Binary  \x00\x1a\x00"
_RECORD = struct.Struct("<IIIB")
_END_OF_LIST = bytes(_RECORD.size)
_COMPRESS_FROM_BYTES = 128
_ARRAY_CODES = {"float64": b"d", "float32": b"f", "int32": b"i", "int64": b"l"}


@dataclass(frozen=True)
class FbxNode:
    """A node; its properties are bool, int (32 bits), np.int64, float, str, bytes or 1-D arrays."""

    name: str
    properties: tuple[Any, ...] = ()
    children: tuple[FbxNode, ...] = ()


def _encode_bytes(code: bytes, data: bytes) -> bytes:
    return code + struct.pack("<I", len(data)) + data


def _encode_array(array: np.ndarray) -> bytes:
    data = array.astype(array.dtype.newbyteorder("<")).tobytes()
    compressed = len(data) >= _COMPRESS_FROM_BYTES
    payload = zlib.compress(data, 6) if compressed else data
    return (
        _ARRAY_CODES[array.dtype.name] + struct.pack("<III", array.size, compressed, len(payload)) + payload
    )


_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    bool: lambda value: b"C" + struct.pack("<?", value),
    int: lambda value: b"I" + struct.pack("<i", value),
    np.int64: lambda value: b"L" + struct.pack("<q", value),
    float: lambda value: b"D" + struct.pack("<d", value),
    str: lambda value: _encode_bytes(b"S", value.encode()),
    bytes: lambda value: _encode_bytes(b"R", value),
    np.ndarray: _encode_array,
}


def _encode_node(node: FbxNode, start: int) -> bytes:
    name = node.name.encode()
    values = b"".join(_ENCODERS[type(value)](value) for value in node.properties)
    children_start = start + _RECORD.size + len(name) + len(values)
    # As in Autodesk's files, a node with neither properties nor children still has an empty list.
    has_list = bool(node.children) or not node.properties
    children = _encode_list(node.children, children_start) if has_list else b""
    record = _RECORD.pack(children_start + len(children), len(node.properties), len(values), len(name))
    return record + name + values + children


def _encode_list(nodes: Iterable[FbxNode], start: int) -> bytes:
    parts = []
    for node in nodes:
        parts.append(_encode_node(node, start))
        start += len(parts[-1])
    return b"".join([*parts, _END_OF_LIST])


def encode_document(nodes: Iterable[FbxNode]) -> bytes:
    """Return a complete file with the given top-level nodes.

    Raises FormatError if it exceeds 4 GiB, the limit of version 7.4.
    """
    header = _MAGIC + struct.pack("<I", VERSION)
    try:
        body = header + _encode_list(nodes, len(header)) + _FOOTER_CODE + bytes(4)
    except struct.error as error:
        raise FormatError("FBX: the file would exceed 4 GiB, the limit of FBX 7.4") from error
    padding = bytes(16 - len(body) % 16)
    return body + padding + struct.pack("<I", VERSION) + bytes(120) + _FOOTER_END
