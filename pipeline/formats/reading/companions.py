"""The files beside a model that reading it reads too."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from .beside import find_beside

_LIBRARY = re.compile(rb"(?m)^\s*mtllib\s+(.+?)\s*$")
_ASSET = re.compile(rb"@([^@\n]+)@")
_MAP = re.compile(rb"(?mi)^\s*(?:map_k[de]|norm)\s+(.+?)\s*$")


def list_companions(path: Path) -> list[Path]:
    """The buffers, pictures, material libraries and layers that a .gltf, .obj, .usda or .usd file names."""
    listers = {".gltf": _list_uris, ".obj": _list_libraries, ".usda": _list_assets, ".usd": _list_assets}
    lister = listers.get(path.suffix.lower())
    try:
        return [] if lister is None else list(dict.fromkeys(lister(path)))
    except (OSError, ValueError, TypeError, AttributeError):
        return []  # a damaged file is refused when it is read


def _list_uris(path: Path) -> Iterator[Path]:
    tree = json.loads(path.read_bytes())
    named = [item.get("uri") for kind in ("buffers", "images") for item in tree.get(kind, [])]
    for uri in named:
        if uri and not uri.startswith("data:"):
            yield from _find(path, unquote(uri))


def _list_libraries(path: Path) -> Iterator[Path]:
    for library in _LIBRARY.findall(path.read_bytes()):
        for found in _find(path, library.decode("utf-8", "replace")):
            yield found
            for value in _MAP.findall(found.read_bytes()):
                name = value.decode("utf-8", "replace")
                yield from _find(path, name) or _find(path, name.rpartition(" ")[2])


def _list_assets(path: Path) -> Iterator[Path]:
    data = path.read_bytes()
    for name in _ASSET.findall(data) if data.startswith(b"#usda") else ():
        yield from _find(path, name.decode("utf-8", "replace"))


def _find(path: Path, name: str) -> list[Path]:
    try:
        return [find_beside(path, name)]
    except OSError:
        return []
