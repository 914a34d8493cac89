"""Smaller GLB files by Draco, which more importers read than meshopt: KHR_draco_mesh_compression.

Source: Khronos, KHR_draco_mesh_compression. Draco orders and joins vertices anew; those of a mesh with morph
targets keep their order, because the targets stay outside, and take three times the bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from .gltf_compact import (
    join_views,
    pack_weights,
    quantize_rotations,
    read_accessor,
    require_extension,
    split_views,
)
from .gltf_document import COMPONENTS, SHAPES, GltfDocument
from .reading.soft_packages import import_soft

_Values = npt.NDArray[Any]

_DRACO = "KHR_draco_mesh_compression"
_BITS = {"quantization_bits": 14, "tex_coord_quantization_bits": 14, "normal_quantization_bits": 10}
_LEVEL = 7
_KNOWN = {"POSITION": "points", "NORMAL": "normals", "TEXCOORD_0": "tex_coord"}
"""What Draco quantizes, and the names of DracoPy's parameters; anything else is kept exactly."""
_ATTRIBUTE_TYPES = {"POSITION": 0, "NORMAL": 1, "TEXCOORD_0": 3}


def compress_with_draco(document: GltfDocument) -> None:
    """Compress the mesh of a document with 32-bit values; FormatError if DracoPy is not installed."""
    draco = import_soft("DracoPy", "compression draco")
    views = split_views(document)
    for mesh in document.tree["meshes"]:
        for primitive in mesh["primitives"]:
            _pack_primitive(draco, document, views, primitive)
    quantize_rotations(document, views)
    _drop_unused(document, views)
    join_views(document, views)
    require_extension(document, _DRACO)


def _pack_primitive(
    draco: Any, document: GltfDocument, views: list[bytes], primitive: dict[str, Any]
) -> None:
    attributes = {name: read_accessor(document, views, at) for name, at in primitive["attributes"].items()}
    faces = read_accessor(document, views, primitive["indices"]).reshape(-1, 3).astype(np.int64)
    if "targets" not in primitive:
        used, faces = np.unique(faces, return_inverse=True)
        attributes = {name: values[used] for name, values in attributes.items()}
    _pack_skin(attributes)
    others = [name for name in attributes if name not in _KNOWN]
    data = draco.encode(
        faces=faces.reshape(-1, 3).astype(np.uint32),
        generic_attributes={number: attributes[name] for number, name in enumerate(others)},
        compression_level=_LEVEL,
        preserve_order="targets" in primitive,
        **{
            known: attributes[name].astype(np.float64) for name, known in _KNOWN.items() if name in attributes
        },
        **_BITS,
    )
    stored = draco.decode(data)  # in Draco's order, as far as it keeps the values
    numbers = {item["attribute_type"]: item["unique_id"] for item in stored.attributes}
    ids = {name: numbers[kind] for name, kind in _ATTRIBUTE_TYPES.items() if name in attributes}
    ids |= {name: number for number, name in enumerate(others)}
    by_id = {item["unique_id"]: item["data"] for item in stored.attributes}
    view = document.add("bufferViews", {"buffer": 0})
    views.append(data)
    primitive["attributes"] = {name: _describe(document, by_id[ids[name]], name) for name in attributes}
    primitive["indices"] = _describe(document, np.asarray(stored.faces, np.uint32).reshape(-1), "")
    primitive["extensions"] = {_DRACO: {"bufferView": view, "attributes": ids}}


def _pack_skin(attributes: dict[str, _Values]) -> None:
    """Weights in 8 bits, and joint 0 where one was rounded to 0, as glTF wants it."""
    for name in [name for name in attributes if name.startswith("WEIGHTS")]:
        attributes[name] = pack_weights(attributes[name])[0]
        joints = name.replace("WEIGHTS", "JOINTS")
        attributes[joints] = np.where(attributes[name] > 0, attributes[joints], 0).astype(
            attributes[joints].dtype
        )


def _describe(document: GltfDocument, values: _Values, name: str) -> int:
    """Append an accessor without bytes of its own; return its index."""
    accessor: dict[str, Any] = {
        "componentType": COMPONENTS[values.dtype.name],
        "count": len(values),
        "type": SHAPES[values.shape[1:]],
    }
    if name.startswith("WEIGHTS"):
        accessor["normalized"] = True
    if name == "POSITION":
        accessor |= {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
    return document.add("accessors", accessor)


def _drop_unused(document: GltfDocument, views: list[bytes]) -> None:
    """Take accessors and buffer views away that nothing uses any more."""
    tree = document.tree
    kept = sorted({place[key] for place, key in _list_accessors(tree)})
    numbers = {old: new for new, old in enumerate(kept)}
    for place, key in _list_accessors(tree):
        place[key] = numbers[place[key]]
    tree["accessors"] = [tree["accessors"][old] for old in kept]
    kept = sorted({place["bufferView"] for place in _list_views(tree)})
    numbers = {old: new for new, old in enumerate(kept)}
    for place in _list_views(tree):
        place["bufferView"] = numbers[place["bufferView"]]
    tree["bufferViews"] = [tree["bufferViews"][old] for old in kept]
    views[:] = [views[old] for old in kept]


def _list_accessors(tree: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """Each place, once, that has the number of an accessor under a key."""
    places: list[tuple[dict[str, Any], str]] = []
    for mesh in tree["meshes"]:
        for primitive in mesh["primitives"]:
            places += [(primitive["attributes"], name) for name in primitive["attributes"]]
            places.append((primitive, "indices"))
    targets = [
        target for mesh in tree["meshes"] for p in mesh["primitives"] for target in p.get("targets", [])
    ]
    places += [(target, name) for target in {id(t): t for t in targets}.values() for name in target]
    places += [(skin, "inverseBindMatrices") for skin in tree.get("skins", [])]
    samplers = [sampler for animation in tree.get("animations", []) for sampler in animation["samplers"]]
    return [*places, *((sampler, key) for sampler in samplers for key in ("input", "output"))]


def _list_views(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Each place that has the number of a buffer view."""
    for accessor in tree["accessors"]:
        sparse = accessor.get("sparse", {})
        places = (accessor, sparse.get("indices", {}), sparse.get("values", {}))
        yield from (place for place in places if "bufferView" in place)
    yield from tree.get("images", [])
    for mesh in tree["meshes"]:
        yield from (primitive["extensions"][_DRACO] for primitive in mesh["primitives"])
