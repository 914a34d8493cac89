"""Builder of glTF documents and of the GLB container (glTF 2.0, section 4.4)."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import numpy.typing as npt

GENERATOR = "ComfyUI-Character3D"
VERTICES, INDICES = 34962, 34963
"""Targets of buffer views: ARRAY_BUFFER and ELEMENT_ARRAY_BUFFER."""
COMPONENTS = {"int8": 5120, "uint8": 5121, "int16": 5122, "uint16": 5123, "uint32": 5125, "float32": 5126}
SHAPES = {(): "SCALAR", (2,): "VEC2", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}


class GltfDocument:
    """The JSON of a glTF asset and its one binary buffer."""

    def __init__(self) -> None:
        self.tree: dict[str, Any] = {"asset": {"version": "2.0", "generator": GENERATOR}, "scene": 0}
        self.binary = bytearray()
        self.buffers: list[dict[str, Any]] = []
        """Those beside the file's own, which have no bytes in it."""

    def add(self, kind: str, item: dict[str, Any]) -> int:
        """Append an item to one of the document's top-level lists; return its index."""
        self.tree.setdefault(kind, []).append(item)
        return len(self.tree[kind]) - 1

    def add_extension(self, name: str, content: dict[str, Any]) -> None:
        """Add an extension to the document and to its list of used extensions."""
        self.tree.setdefault("extensionsUsed", []).append(name)
        self.tree.setdefault("extensions", {})[name] = content

    def add_view(self, data: bytes, target: int | None = None) -> int:
        """Append bytes, aligned to 4, as a buffer view; return its index."""
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(data)}
        if target is not None:
            view["target"] = target
        self.binary += data + bytes(-len(data) % 4)
        return self.add("bufferViews", view)

    def add_accessor(
        self, values: npt.NDArray[Any], target: int | None = None, has_bounds: bool = False
    ) -> int:
        """Append scalars (N,), vectors (N, k) or matrices (N, 4, 4) in their own dtype; return the index."""
        if values.ndim == 3:  # column-major
            values = values.transpose(0, 2, 1)
        accessor: dict[str, Any] = {
            "bufferView": self.add_view(np.ascontiguousarray(values).tobytes(), target),
            "componentType": COMPONENTS[values.dtype.name],
            "count": len(values),
            "type": SHAPES[values.shape[1:]],
        }
        if has_bounds:
            rows = values.reshape(len(values), -1)
            accessor["min"], accessor["max"] = rows.min(axis=0).tolist(), rows.max(axis=0).tolist()
        return self.add("accessors", accessor)

    def add_image(self, name: str, png: bytes) -> int:
        """Append an embedded PNG; return the image's index."""
        view = self.add_view(png)
        return self.add("images", {"name": name, "bufferView": view, "mimeType": "image/png"})

    def pack(self) -> bytes:
        """Return the file: header, JSON chunk and binary chunk."""
        self.tree["buffers"] = [{"byteLength": len(self.binary)}, *self.buffers]
        text = json.dumps(self.tree, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        chunks = struct.pack("<I4s", len(text), b"JSON") + text
        chunks += struct.pack("<I4s", len(self.binary), b"BIN\0") + self.binary
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks
