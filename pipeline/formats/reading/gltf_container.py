"""The container of glTF 2.0: the JSON, the bytes of its buffers and of its buffer views.

A GLB file is a header and two chunks (section 4.4); a .gltf file names its buffers, or holds them as data
URIs. Buffer views may be compressed with EXT_meshopt_compression.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from ...errors import FormatError
from .soft_packages import import_soft

_MAGIC, _JSON, _BINARY = b"glTF", b"JSON", b"BIN\0"
_MESHOPT = ("EXT_meshopt_compression", "KHR_meshopt_compression")
MOST_ELEMENTS = 100_000_000
"""An accessor may have elements without having bytes: no file can ask for more memory than this."""
_WIDEST = 256
"""Bytes of an element of a compressed buffer view."""


class GltfFile:
    """The JSON of a glTF file with checked access to its lists, and the bytes that it refers to.

    Whatever is asked for and is not there, or is of another kind, raises FormatError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        data = path.read_bytes()
        if not data:
            raise FormatError(f"{path.name} is empty")
        self._binary: memoryview | None = None
        self.tree = self._read_glb(data) if data[:4] == _MAGIC else self._parse(data)
        self._buffers: dict[int, memoryview] = {}
        version = str(self.get(self.get(self.tree, "asset", dict, {}), "version", (str, float, int), ""))
        if not version.startswith("2"):
            raise FormatError(
                f"{path.name}: expected glTF 2.0, found {f'glTF {version}' if version else 'none'}"
            )

    def damaged(self, what: str) -> FormatError:
        """The error of a file that contradicts itself."""
        return FormatError(f"{self.path.name} is damaged: {what}")

    def get(self, owner: Mapping[str, Any], name: str, kind: Any, default: Any = None) -> Any:
        """A property of a JSON object, which must be of that kind where it is there."""
        if not isinstance(owner, Mapping):
            raise self.damaged(f"it has {json.dumps(owner)[:40]} where an object with {name!r} is expected")
        value = owner.get(name)
        if value is None:
            return default
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.damaged(f"{name!r} is {json.dumps(value)[:40]}")
        return value

    def numbers(self, owner: Mapping[str, Any], name: str, count: int, default: Any) -> Any:
        """A property that is a list of `count` numbers."""
        values = self.get(owner, name, list, default) or []
        is_sound = len(values) == count and all(
            isinstance(value, (int, float)) and not isinstance(value, bool) for value in values
        )
        if not is_sound:
            raise self.damaged(f"{name!r} is not {count} numbers")
        return [float(value) for value in values]

    def items(self, kind: str) -> list[Any]:
        """One of the document's top-level lists."""
        return self.get(self.tree, kind, list, [])  # type: ignore[no-any-return]

    def item(self, kind: str, index: Any) -> dict[str, Any]:
        """An object of a top-level list, by its index."""
        found = self.items(kind)
        if type(index) is not int or not 0 <= index < len(found):
            raise self.damaged(f"it names {kind}[{json.dumps(index)}] and has {len(found)}")
        if not isinstance(found[index], dict):
            raise self.damaged(f"{kind}[{index}] is not an object")
        return found[index]  # type: ignore[no-any-return]

    def extension(self, owner: Mapping[str, Any], *names: str) -> dict[str, Any] | None:
        """The first of an object's extensions of these names."""
        extensions = self.get(owner, "extensions", dict, {})
        return next((self.get(extensions, name, dict) for name in names if name in extensions), None)

    def view(self, index: Any) -> tuple[memoryview, int]:
        """The bytes of a buffer view, decompressed, and its stride, 0 if it has none."""
        view = self.item("bufferViews", index)
        stride = self.get(view, "byteStride", int, 0)
        packed = self.extension(view, *_MESHOPT)
        if packed is not None:
            return self._decompress(packed), self.get(packed, "byteStride", int, stride)
        return self._slice(view, f"bufferViews[{index}]"), stride

    def resolve(self, uri: str) -> memoryview:
        """The bytes that a data URI holds, or those of a file beside this one."""
        if uri.startswith("data:"):
            return memoryview(self._decode_data_uri(uri))
        name = unquote(uri)
        place = PurePosixPath(name.replace("\\", "/"))
        if "://" in name or ":" in name[:3] or place.is_absolute() or ".." in place.parts:
            raise FormatError(f"{self.path.name} refers to {name!r}, which is not below its own folder")
        try:
            return memoryview((self.path.parent / place).read_bytes())
        except (OSError, ValueError) as error:
            raise FormatError(f"{self.path.name} needs {name!r} beside it, which cannot be read") from error

    def _parse(self, data: bytes) -> dict[str, Any]:
        try:
            tree = json.loads(data.decode("utf-8-sig"))
        except (UnicodeDecodeError, ValueError, RecursionError) as error:
            raise self.damaged(f"its JSON cannot be parsed ({error})") from error
        if not isinstance(tree, dict):
            raise self.damaged("its JSON is not an object")
        return tree

    def _read_glb(self, data: bytes) -> dict[str, Any]:
        """The JSON of a GLB file; its binary chunk is kept for `_buffer`."""
        if len(data) < 20:
            raise self.damaged(f"it ends after {len(data)} bytes")
        version, length = struct.unpack_from("<II", data, 4)
        if version != 2:
            raise FormatError(f"{self.path.name}: expected glTF 2.0, found version {version} of GLB")
        if length > len(data):
            raise self.damaged(f"it should have {length} bytes and ends after {len(data)}")
        chunks: dict[bytes, memoryview] = {}
        offset = 12
        while offset + 8 <= length:
            size, kind = struct.unpack_from("<I4s", data, offset)
            if offset + 8 + size > length:
                raise self.damaged("a chunk is longer than the file")
            chunks.setdefault(kind, memoryview(data)[offset + 8 : offset + 8 + size])
            offset += 8 + size
        if _JSON not in chunks:
            raise self.damaged("it has no JSON chunk")
        self._binary = chunks.get(_BINARY)
        return self._parse(bytes(chunks[_JSON]))

    def _buffer(self, index: Any) -> memoryview:
        buffer = self.item("buffers", index)
        if index not in self._buffers:
            uri = self.get(buffer, "uri", str)
            if uri is None and (index != 0 or self._binary is None):
                raise self.damaged(f"buffers[{index}] has no data")
            self._buffers[index] = self.resolve(uri) if uri is not None else self._binary  # type: ignore[assignment]
        return self._buffers[index]

    def _slice(self, view: Mapping[str, Any], name: str) -> memoryview:
        """The bytes of a buffer that `view` describes."""
        buffer = self._buffer(view.get("buffer"))
        offset, length = self.get(view, "byteOffset", int, 0), self.get(view, "byteLength", int, -1)
        if offset < 0 or length < 0 or offset + length > len(buffer):
            raise self.damaged(f"{name} reaches beyond the {len(buffer)} bytes of its buffer")
        return buffer[offset : offset + length]

    def _decompress(self, packed: Mapping[str, Any]) -> memoryview:
        """The bytes of a buffer view that meshoptimizer compressed."""
        data = bytes(self._slice(packed, _MESHOPT[0]))
        count, size = self.get(packed, "count", int, 0), self.get(packed, "byteStride", int, 0)
        mode, name = self.get(packed, "mode", str, ""), self.get(packed, "filter", str, "NONE")
        meshopt = import_soft("meshopt", f"{self.path.name} uses {_MESHOPT[0]}")
        if not (0 <= count <= MOST_ELEMENTS and 0 < size <= _WIDEST):
            raise self.damaged(f"its {_MESHOPT[0]} has {count} elements of {size} bytes")
        try:
            return memoryview(meshopt.decode_gltf_buffer(data, count, size, mode, name).tobytes())
        except (TypeError, ValueError, RuntimeError, MemoryError) as error:
            raise self.damaged(f"its {_MESHOPT[0]} cannot be decoded") from error

    def _decode_data_uri(self, uri: str) -> bytes:
        head, comma, body = uri.partition(",")
        if not comma:
            raise self.damaged("a data URI has no data")
        try:
            return base64.b64decode(unquote(body)) if head.endswith(";base64") else unquote_to_bytes(body)
        except (binascii.Error, ValueError) as error:
            raise self.damaged(f"a data URI cannot be decoded ({error})") from error
