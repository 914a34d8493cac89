"""Reader of 3MF (3MF Consortium, core specification 1.3): a ZIP archive of XML models.

Reads objects, components, the production extension's other models, base materials and color groups. The
unit becomes meters, and +Z up becomes +Y up.
"""

from __future__ import annotations

import posixpath
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np

from ...color import srgb_to_linear
from ...errors import FormatError
from ...types import Float64Array
from .model import Model, Part, SourceMaterial

_UNITS = {
    "micron": 1e-6,
    "millimeter": 1e-3,
    "centimeter": 1e-2,
    "inch": 0.0254,
    "foot": 0.3048,
    "meter": 1.0,
}
_Y_UP = np.array(((1, 0, 0), (0, 0, 1), (0, -1, 0)), np.float64)
_MOST_BYTES = 1 << 31
_DEEPEST = 32
"""Components within components; more is a circle."""


@dataclass
class _Object:
    name: str
    default: tuple[str, str] | None
    vertices: list[float] = field(default_factory=list)
    triangles: list[int] = field(default_factory=list)
    colors: list[tuple[str, str] | None] = field(default_factory=list)
    components: list[tuple[str, str, Float64Array]] = field(default_factory=list)


@dataclass
class _Document:
    """One model of the archive. colors: by the ids of a group and of a color in it, linear RGBA."""

    unit: str = "millimeter"
    objects: dict[str, _Object] = field(default_factory=dict)
    items: list[tuple[str, str, Float64Array]] = field(default_factory=list)
    colors: dict[str, list[tuple[float, ...]]] = field(default_factory=dict)


def read_3mf(path: Path) -> Model:
    """Read a .3mf file. FormatError if it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            scene = _Scene(archive)
            parts = tuple(scene.list_parts())
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise FormatError(f"{path.name} is damaged: it is no ZIP archive that can be unpacked") from error
    except expat.ExpatError as error:
        raise FormatError(f"{path.name} is damaged: its XML cannot be parsed ({error})") from error
    except ValueError as error:
        raise FormatError(f"{path.name} is damaged: {error}") from error
    unit = scene.root.unit
    return Model(parts, (f"its {unit}s became meters, and +Z up became +Y up",))


class _Scene:
    """The root model of an archive and those that it refers to."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._documents: dict[str, _Document] = {}
        names = [name for name in archive.namelist() if name.lower().endswith(".model")]
        roots = sorted(names, key=lambda name: (not name.lower().endswith("3d/3dmodel.model"), name))
        if not roots:
            raise ValueError("the archive holds no model")
        self._root_name = roots[0]
        self.root = self._open(self._root_name)
        if self.root.unit not in _UNITS:
            raise ValueError(f"no unit {self.root.unit!r}")

    def list_parts(self) -> Iterator[Part]:
        """The parts of all items that are to be built."""
        scale = np.eye(4)
        scale[:3, :3] = _Y_UP * _UNITS[self.root.unit]
        for source, identity, transform in self.root.items:
            yield from self._place(source or self._root_name, identity, scale @ transform, 0)

    def _place(self, source: str, identity: str, transform: Float64Array, depth: int) -> Iterator[Part]:
        document = self._open(source)
        if identity not in document.objects:
            raise ValueError(f"it has no object {identity}")
        item = document.objects[identity]
        if depth > _DEEPEST:
            raise ValueError(f"object {identity} is made of itself")
        yield from _make_parts(document, item, transform)
        for other, child, local in item.components:
            yield from self._place(other or source, child, transform @ local, depth + 1)

    def _open(self, name: str) -> _Document:
        name = posixpath.normpath(name).lstrip("/")
        if name not in self._documents:
            if name not in self._archive.namelist():
                raise ValueError(f"the archive holds no {name}")
            if self._archive.getinfo(name).file_size > _MOST_BYTES:
                raise ValueError(f"{name} has more than {_MOST_BYTES} bytes")
            self._documents[name] = _parse(self._archive, name)
        return self._documents[name]


def _make_parts(document: _Document, item: _Object, transform: Float64Array) -> Iterator[Part]:
    """The mesh of an object, one part for each color."""
    if not item.triangles:
        return
    vertices = np.array(item.vertices, np.float64).reshape(-1, 3) @ transform[:3, :3].T + transform[:3, 3]
    if min(item.triangles) < 0 or max(item.triangles) >= len(vertices):
        raise ValueError(f"a triangle names vertex {max(item.triangles)} of {len(vertices)}")
    faces = np.array(item.triangles, np.int64).reshape(-1, 3)
    if np.linalg.det(transform[:3, :3]) < 0:
        faces = faces[:, ::-1]
    keys = list(dict.fromkeys(item.colors))
    number = np.array([keys.index(color) for color in item.colors]) if len(keys) > 1 else np.zeros(len(faces))
    for index, key in enumerate(keys):
        used, corners = np.unique(faces[number == index], return_inverse=True)
        material = None if key is None else _make_material(document, key)
        yield Part(item.name, vertices[used], corners.reshape(-1, 3), material=material)


def _make_material(document: _Document, key: tuple[str, str]) -> SourceMaterial | None:
    """A plain color of the document, None for properties that are no colors."""
    group = document.colors.get(key[0])
    if group is None:
        return None
    if not key[1].isdecimal() or int(key[1]) >= len(group):
        raise ValueError(f"a triangle has color {key[1]} of {len(group)}")
    red, green, blue, alpha = group[int(key[1])]
    mode = "BLEND" if alpha < 1 else "OPAQUE"
    return SourceMaterial(f"color {key[1]}", (red, green, blue, alpha), 0.0, 0.9, alpha_mode=mode)


def _parse(archive: zipfile.ZipFile, name: str) -> _Document:
    document, stack = _Document(), []  # type: ignore[var-annotated]
    parser = expat.ParserCreate(namespace_separator=" ")
    read = _Elements(document)

    def start(tag: str, attributes: dict[str, str]) -> None:
        stack.append(tag)
        plain = {key.rpartition(" ")[2]: value for key, value in attributes.items()}
        handler = getattr(read, f"read_{tag.rpartition(' ')[2]}", None)
        if handler is None:
            return
        try:
            handler(plain)
        except KeyError as error:
            raise ValueError(f"a <{tag.rpartition(' ')[2]}> has no {error.args[0]}") from error
        except ValueError as error:
            raise ValueError(f"a <{tag.rpartition(' ')[2]}> has a value that cannot be read") from error

    parser.StartElementHandler = start
    parser.buffer_text = True
    with archive.open(name) as file:
        parser.ParseFile(file)
    return document


class _Elements:
    """Handlers of the elements of a model, called in the order of the file."""

    def __init__(self, document: _Document) -> None:
        self._document = document
        self._object = _Object("", None)
        self._colors: list[tuple[float, ...]] = []

    def read_model(self, found: Mapping[str, str]) -> None:
        self._document.unit = found.get("unit", "millimeter")

    def read_object(self, found: Mapping[str, str]) -> None:
        default = (found["pid"], found.get("pindex", "0")) if "pid" in found else None
        self._object = _Object(found.get("name") or f"object {found['id']}", default)
        self._document.objects[found["id"]] = self._object

    def read_vertex(self, found: Mapping[str, str]) -> None:
        self._object.vertices += (float(found["x"]), float(found["y"]), float(found["z"]))

    def read_triangle(self, found: Mapping[str, str]) -> None:
        self._object.triangles += (int(found["v1"]), int(found["v2"]), int(found["v3"]))
        group = found.get("pid") or (self._object.default[0] if self._object.default else None)
        own = (group, found["p1"]) if group and "p1" in found else self._object.default
        self._object.colors.append(own)

    def read_component(self, found: Mapping[str, str]) -> None:
        place = (found.get("path", ""), found["objectid"], _read_transform(found.get("transform")))
        self._object.components.append(place)

    def read_item(self, found: Mapping[str, str]) -> None:
        place = (found.get("path", ""), found["objectid"], _read_transform(found.get("transform")))
        self._document.items.append(place)

    def read_basematerials(self, found: Mapping[str, str]) -> None:
        self._colors = self._document.colors.setdefault(found["id"], [])

    read_colorgroup = read_basematerials

    def read_base(self, found: Mapping[str, str]) -> None:
        self._colors.append(_read_color(found["displaycolor"]))

    def read_color(self, found: Mapping[str, str]) -> None:
        self._colors.append(_read_color(found["color"]))


def _read_color(text: str) -> tuple[float, ...]:
    """#RRGGBB or #RRGGBBAA, sRGB -> linear RGBA."""
    values = np.frombuffer(bytes.fromhex(text.lstrip("#")[:8].ljust(8, "F")), np.uint8) / 255
    return (*map(float, srgb_to_linear(values[:3])), float(values[3]))


def _read_transform(text: str | None) -> Float64Array:
    """Twelve numbers, a matrix for row vectors without its last column -> (4, 4) for column vectors."""
    made: Any = np.eye(4)
    if text:
        made[:3] = np.array(text.split(), np.float64).reshape(4, 3).T
    return np.asarray(made)
