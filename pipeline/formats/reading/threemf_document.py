"""One XML model of a 3MF archive (3MF Consortium): objects, and the properties that their triangles have.

Sources: core specification 1.3, materials and properties extension 1.2.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any
from xml.parsers import expat

import numpy as np

from ...color import srgb_to_linear
from ...types import Float64Array

_PAINTED = frozenset({"paint_color", "mmu_segmentation"})
"""Attributes in which slicers keep what was painted on a triangle, in codes of their own."""
_WRAP = {"wrap": "REPEAT", "mirror": "MIRROR", "clamp": "CLAMP", "none": "CLAMP"}

Property = tuple[str, str, str, str]
"""The group of a triangle's properties and which of it its corners have; all empty for none."""


@dataclass
class Object3mf:
    """vertices, triangles: flat. properties: of each triangle. components: model, object and transform."""

    name: str
    default: Property = ("", "", "", "")
    vertices: list[float] = field(default_factory=list)
    triangles: list[int] = field(default_factory=list)
    properties: list[Property] = field(default_factory=list)
    components: list[tuple[str, str, Float64Array]] = field(default_factory=list)


@dataclass
class Group:
    """Properties that triangles choose from, by their index.

    kind: base (colors of whole triangles), color, texture, composite or multi. values: linear RGBA; (u, v), v
    up; shares of the `parts`; or indices into each group of `parts`. parts: ids. chosen: composite's indices.
    """

    kind: str
    values: list[tuple[float, ...]] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    chosen: list[int] = field(default_factory=list)


@dataclass
class Document:
    """textures: by id, the picture's path in the archive and the wrap modes. painted: see _PAINTED."""

    unit: str = "millimeter"
    objects: dict[str, Object3mf] = field(default_factory=dict)
    items: list[tuple[str, str, Float64Array]] = field(default_factory=list)
    groups: dict[str, Group] = field(default_factory=dict)
    textures: dict[str, tuple[str, tuple[str, str]]] = field(default_factory=dict)
    painted: int = 0


def parse_document(file: IO[bytes]) -> Document:
    """Read a model. ValueError, in words of ours, or expat's ExpatError if it is damaged."""
    document = Document()
    parser = expat.ParserCreate()
    read = _Elements(document)

    def start(tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2]
        handler = getattr(read, f"read_{name}", None)
        if handler is None:
            return
        try:
            handler({key.rpartition(":")[2]: value for key, value in attributes.items()})
        except KeyError as error:
            raise ValueError(f"a <{name}> has no {error.args[0]}") from error
        except (ValueError, OverflowError) as error:
            raise ValueError(f"a <{name}> has a value that cannot be read") from error

    parser.StartElementHandler = start
    parser.buffer_text = True
    parser.ParseFile(file)
    return document


class _Elements:
    """Handlers of the elements of a model, called in the order of the file."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._object = Object3mf("")
        self._group = Group("")

    def read_model(self, found: Mapping[str, str]) -> None:
        self._document.unit = found.get("unit", "millimeter")

    def read_object(self, found: Mapping[str, str]) -> None:
        index = found.get("pindex", "0")
        default = (found["pid"], index, index, index) if "pid" in found else ("", "", "", "")
        self._object = Object3mf(found.get("name") or f"object {found['id']}", default)
        self._document.objects[found["id"]] = self._object

    def read_vertex(self, found: Mapping[str, str]) -> None:
        self._object.vertices += (float(found["x"]), float(found["y"]), float(found["z"]))

    def read_triangle(self, found: Mapping[str, str]) -> None:
        self._object.triangles += (int(found["v1"]), int(found["v2"]), int(found["v3"]))
        self._document.painted += not _PAINTED.isdisjoint(found)
        group = found.get("pid") or self._object.default[0]
        own = self._object.default
        if group and "p1" in found:
            first = found["p1"]
            own = (group, first, found.get("p2", first), found.get("p3", first))
        self._object.properties.append(own)

    def read_component(self, found: Mapping[str, str]) -> None:
        place = (found.get("path", ""), found["objectid"], _read_transform(found.get("transform")))
        self._object.components.append(place)

    def read_item(self, found: Mapping[str, str]) -> None:
        place = (found.get("path", ""), found["objectid"], _read_transform(found.get("transform")))
        self._document.items.append(place)

    def read_basematerials(self, found: Mapping[str, str]) -> None:
        self._open_group(found, Group("base"))

    def read_colorgroup(self, found: Mapping[str, str]) -> None:
        self._open_group(found, Group("color"))

    def read_texture2dgroup(self, found: Mapping[str, str]) -> None:
        self._open_group(found, Group("texture", parts=[found["texid"]]))

    def read_compositematerials(self, found: Mapping[str, str]) -> None:
        chosen = [int(word) for word in found["matindices"].split()]
        self._open_group(found, Group("composite", parts=[found["matid"]], chosen=chosen))

    def read_multiproperties(self, found: Mapping[str, str]) -> None:
        self._open_group(found, Group("multi", parts=found["pids"].split()))

    def _open_group(self, found: Mapping[str, str], group: Group) -> None:
        self._group = self._document.groups[found["id"]] = group

    def read_base(self, found: Mapping[str, str]) -> None:
        self._group.values.append(_read_color(found["displaycolor"]))

    def read_color(self, found: Mapping[str, str]) -> None:
        self._group.values.append(_read_color(found["color"]))

    def read_tex2coord(self, found: Mapping[str, str]) -> None:
        self._group.values.append((float(found["u"]), float(found["v"])))

    def read_composite(self, found: Mapping[str, str]) -> None:
        self._group.values.append(tuple(float(word) for word in found["values"].split()))

    def read_multi(self, found: Mapping[str, str]) -> None:
        self._group.values.append(tuple(int(word) for word in found["pindices"].split()))

    def read_texture2d(self, found: Mapping[str, str]) -> None:
        wrap = (_WRAP.get(found.get(f"tilestyle{axis}", "wrap"), "REPEAT") for axis in "uv")
        self._document.textures[found["id"]] = (found["path"], tuple(wrap))  # type: ignore[assignment]


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
