"""Reader of 3MF (3MF Consortium, core specification 1.3): a ZIP archive of XML models.

Reads objects, components, the production extension's other models, colors and textures. The unit becomes
meters, and +Z up becomes +Y up.
"""

from __future__ import annotations

import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from xml.parsers import expat

import numpy as np

from ...errors import FormatError
from ...types import Float64Array, Int64Array
from .images import open_image
from .left_out import LeftOut
from .model import Model, Part, SourceMaterial, SourceTexture
from .threemf_document import Document, Group, Object3mf, Property, parse_document

_UNITS = {
    "micron": 1e-6,
    "millimeter": 1e-3,
    "centimeter": 1e-2,
    "inch": 0.0254,
    "foot": 0.3048,
    "meter": 1.0,
}
_PLURALS = {"inch": "inches", "foot": "feet"}
_Y_UP = np.array(((1, 0, 0), (0, 0, 1), (0, -1, 0)), np.float64)
_MOST_BYTES = 1 << 31
_DEEPEST = 32
"""Components within components; more is a circle."""
_MOST_PLACED = 100_000


def read_3mf(path: Path) -> Model:
    """Read a .3mf file. FormatError if it is damaged."""
    if not path.stat().st_size:
        raise FormatError(f"{path.name} is empty")
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
    left_out = LeftOut()
    left_out.count("painted triangle", scene.count_painted())
    unit = _PLURALS.get(scene.root.unit, f"{scene.root.unit}s")
    return Model(
        parts, (f"its {unit} became meters, and +Z up became +Y up", *scene.warnings, *left_out.describe())
    )


class _Scene:
    """The root model of an archive and those that it refers to."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._documents: dict[str, Document] = {}
        self._materials: dict[tuple[int, str], SourceMaterial] = {}
        self._placed = 0
        self.warnings: dict[str, None] = {}
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

    def count_painted(self) -> int:
        """The triangles that a slicer has painted."""
        return sum(document.painted for document in self._documents.values())

    def _place(self, source: str, identity: str, transform: Float64Array, depth: int) -> Iterator[Part]:
        document = self._open(source)
        if identity not in document.objects:
            raise ValueError(f"it has no object {identity}")
        item = document.objects[identity]
        self._placed += 1
        if depth > _DEEPEST:
            raise ValueError(f"object {identity} is made of itself")
        if self._placed > _MOST_PLACED:
            raise ValueError(f"it places more than {_MOST_PLACED} objects")
        yield from self._make_parts(document, item, transform)
        for other, child, local in item.components:
            yield from self._place(other or source, child, transform @ local, depth + 1)

    def _find_name(self, name: str) -> str:
        name = posixpath.normpath(name).lstrip("/")
        if name not in self._archive.namelist():
            raise ValueError(f"the archive holds no {name}")
        if self._archive.getinfo(name).file_size > _MOST_BYTES:
            raise ValueError(f"{name} has more than {_MOST_BYTES} bytes")
        return name

    def _open(self, name: str) -> Document:
        name = self._find_name(name)
        if name not in self._documents:
            with self._archive.open(name) as file:
                self._documents[name] = parse_document(file)
        return self._documents[name]

    def _make_parts(self, document: Document, item: Object3mf, transform: Float64Array) -> Iterator[Part]:
        """The mesh of an object, one part for each group of properties, and for each base material."""
        if not item.triangles:
            return
        vertices = np.array(item.vertices, np.float64).reshape(-1, 3)
        vertices = vertices @ transform[:3, :3].T + transform[:3, 3]
        if min(item.triangles) < 0 or max(item.triangles) >= len(vertices):
            raise ValueError(f"a triangle names vertex {max(item.triangles)} of {len(vertices)}")
        faces = np.array(item.triangles, np.int64).reshape(-1, 3)
        is_mirrored = np.linalg.det(transform[:3, :3]) < 0
        for name, rows in _sort_by_group(item.properties).items():
            group = document.groups.get(name, Group(""))
            chosen = _read_indices([item.properties[row] for row in rows], group)
            own = faces[rows]
            if is_mirrored:
                own, chosen = own[:, ::-1], chosen[:, ::-1]
            yield from self._make_group(document, item.name, name, group, vertices, own, chosen)

    def _make_group(
        self,
        document: Document,
        name: str,
        identity: str,
        group: Group,
        vertices: Float64Array,
        faces: Int64Array,
        chosen: Int64Array,
    ) -> Iterator[Part]:
        """The parts of triangles whose corners have these properties of a group, (F, 3)."""
        if group.kind == "multi":
            yield from self._make_layered(document, name, group, vertices, faces, chosen)
        elif group.kind in ("color", "texture") and len(group.values):
            pairs = np.stack((faces.ravel(), chosen.ravel()), axis=1)
            rows, corners = np.unique(pairs, axis=0, return_inverse=True)
            values = np.array(group.values)[rows[:, 1]]
            material = self._make_material(document, identity, group)
            is_textured = group.kind == "texture"
            yield Part(
                name,
                vertices[rows[:, 0]],
                corners.reshape(-1, 3),
                uvs={0: values * (1, -1) + (0, 1)} if is_textured else {},
                colors=None if is_textured else values,
                material=material,
            )
        else:
            for index in np.unique(chosen[:, 0]):
                used, corners = np.unique(faces[chosen[:, 0] == index], return_inverse=True)
                color = _find_color(document, group, int(index))
                plain = None if color is None else _make_plain(f"color {index}", color)
                yield Part(name, vertices[used], corners.reshape(-1, 3), material=plain)

    def _make_layered(
        self,
        document: Document,
        name: str,
        group: Group,
        vertices: Float64Array,
        faces: Int64Array,
        chosen: Int64Array,
    ) -> Iterator[Part]:
        """Layers of properties: the last texture is seen, or else the last layer; the others are named."""
        layers = [document.groups.get(part, Group("")) for part in group.parts]
        textures = [place for place, layer in enumerate(layers) if layer.kind == "texture"]
        layer = (textures or [len(layers) - 1])[-1]
        if not layers or layers[layer].kind == "multi":
            raise ValueError("a <multiproperties> has no layers")
        if len(layers) > 1:
            self.warnings["of several layers of colors and textures, the uppermost texture is read"] = None
        indices = [value[layer] if layer < len(value) else 0 for value in group.values]
        inner = np.array(indices, np.int64)[chosen]
        _check_indices(inner, layers[layer])
        own = group.parts[layer]
        yield from self._make_group(document, name, own, layers[layer], vertices, faces, inner)

    def _make_material(self, document: Document, identity: str, group: Group) -> SourceMaterial:
        """One material for all triangles of a group of colors, or of places in a texture."""
        key = (id(document), identity)
        if key not in self._materials:
            texture = self._open_texture(document, group) if group.kind == "texture" else None
            is_clear = group.kind == "color" and min(value[3] for value in group.values) < 1
            self._materials[key] = SourceMaterial(
                f"{group.kind} {identity}",
                metallic=0.0,
                roughness=0.9,
                alpha_mode="BLEND" if is_clear else None if texture else "OPAQUE",
                textures={} if texture is None else {"base_color": texture},
            )
        return self._materials[key]

    def _open_texture(self, document: Document, group: Group) -> SourceTexture | None:
        place, wrap = document.textures.get(group.parts[0], ("", ("REPEAT", "REPEAT")))
        try:
            image = open_image(self._archive.read(self._find_name(place)), place)
        except (ValueError, FormatError):
            self.warnings[f"the texture {place!r} is left out: the archive holds no picture of that name"] = (
                None
            )
            return None
        return SourceTexture(image, wrap)


def _sort_by_group(properties: list[Property]) -> dict[str, Int64Array]:
    """The triangles that have properties of each group."""
    names = {name: place for place, name in enumerate(dict.fromkeys(own[0] for own in properties))}
    numbers = np.array([names[own[0]] for own in properties])
    return {name: np.flatnonzero(numbers == place) for name, place in names.items()}


def _read_indices(properties: list[Property], group: Group) -> Int64Array:
    """(F, 3) indices into a group, 0 for one without values."""
    if not group.values:
        return np.zeros((len(properties), 3), np.int64)
    try:
        chosen = np.array([[int(index) for index in own[1:]] for own in properties], np.int64)
    except (ValueError, OverflowError) as error:
        raise ValueError("a <triangle> has a value that cannot be read") from error
    _check_indices(chosen, group)
    return chosen


def _check_indices(chosen: Int64Array, group: Group) -> None:
    if len(chosen) and (chosen.min() < 0 or chosen.max() >= max(len(group.values), 1)):
        raise ValueError(f"a triangle has property {chosen.max()} of {len(group.values)}")


def _find_color(document: Document, group: Group, index: int) -> tuple[float, ...] | None:
    """The linear RGBA of a base material or of a mixture of them; None for properties that are no colors."""
    if group.kind == "base" and group.values:
        return group.values[index]
    if group.kind != "composite" or not group.values:
        return None
    bases = document.groups.get(group.parts[0], Group("")).values
    shares = group.values[index]
    if (
        not shares
        or len(shares) > len(group.chosen)
        or not all(0 <= one < len(bases) for one in group.chosen)
    ):
        raise ValueError("a <composite> is made of materials that it does not have")
    weights = np.array(shares) / (sum(shares) or 1)
    mixed = weights @ np.array([bases[one] for one in group.chosen[: len(shares)]])
    return tuple(float(value) for value in mixed)


def _make_plain(name: str, color: tuple[float, ...]) -> SourceMaterial:
    red, green, blue, alpha = color
    return SourceMaterial(
        name, (red, green, blue, alpha), 0.0, 0.9, alpha_mode="BLEND" if alpha < 1 else "OPAQUE"
    )
