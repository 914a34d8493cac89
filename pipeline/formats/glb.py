"""Binary glTF 2.0 (Khronos, ISO/IEC 12113): one mesh, with or without a texture.

The mesh's frame and UV origin are glTF's own (conventions.py), so nothing is converted.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import FormatError
from ..normals import vertex_normals
from ..types import FloatArray, Material, Mesh, TexturedMesh
from .files import encode_png, replace_file

GENERATOR = "ComfyUI-Character3D"
_CLAY = (0.58, 0.56, 0.54, 1.0)

_FLOAT, _UINT16, _UINT32 = 5126, 5123, 5125
_VERTICES, _INDICES = 34962, 34963
_LINEAR, _LINEAR_MIPMAP_LINEAR, _CLAMP = 9729, 9987, 33071


def write_glb(path: str | Path, mesh: Mesh | TexturedMesh) -> None:
    """Write the mesh as one .glb file: positions, normals, uvs, indices and an embedded PNG.

    Vertices keep their order. Missing normals are computed. Raises FormatError for a mesh without
    faces, with coordinates that are not finite, or with faces that name vertices it does not have,
    and OSError from writing. The file appears whole or not at all.
    """
    replace_file(Path(path), encode_glb(mesh))


def encode_glb(mesh: Mesh | TexturedMesh) -> bytes:
    """Return the bytes of `write_glb`."""
    shape = mesh.mesh if isinstance(mesh, TexturedMesh) else mesh
    _check_mesh(shape)
    document = _Document()
    primitive = _add_primitive(document, shape)
    material = mesh.material if isinstance(mesh, TexturedMesh) else None
    primitive["material"] = document.add("materials", _describe_material(document, material))
    document.add("meshes", {"name": "character", "primitives": [primitive]})
    document.add("nodes", {"name": "character", "mesh": 0})
    document.add("scenes", {"nodes": [0]})
    return document.pack()


class _Document:
    """A glTF document under construction: its JSON and its one binary buffer."""

    def __init__(self) -> None:
        self.tree: dict[str, Any] = {"asset": {"version": "2.0", "generator": GENERATOR}, "scene": 0}
        self.binary = bytearray()

    def add(self, kind: str, item: dict[str, Any]) -> int:
        """Append to one of the document's top-level lists; return the item's index there."""
        self.tree.setdefault(kind, []).append(item)
        return len(self.tree[kind]) - 1

    def add_view(self, data: bytes, target: int | None = None) -> int:
        """Append bytes, at a multiple of 4, as a buffer view."""
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(data)}
        if target is not None:
            view["target"] = target
        self.binary += data + bytes(-len(data) % 4)
        return self.add("bufferViews", view)

    def add_accessor(
        self, values: npt.NDArray[Any], component: int, target: int, bounds: bool = False
    ) -> int:
        """Append (N,) scalars or (N, k) vectors, already of the component's dtype."""
        accessor: dict[str, Any] = {
            "bufferView": self.add_view(np.ascontiguousarray(values).tobytes(), target),
            "componentType": component,
            "count": len(values),
            "type": "SCALAR" if values.ndim == 1 else f"VEC{values.shape[1]}",
        }
        if bounds:
            accessor["min"], accessor["max"] = values.min(axis=0).tolist(), values.max(axis=0).tolist()
        return self.add("accessors", accessor)

    def pack(self) -> bytes:
        """Header, JSON chunk and binary chunk."""
        self.tree["buffers"] = [{"byteLength": len(self.binary)}]
        text = json.dumps(self.tree, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        chunks = struct.pack("<I4s", len(text), b"JSON") + text
        chunks += struct.pack("<I4s", len(self.binary), b"BIN\0") + self.binary
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _check_mesh(mesh: Mesh) -> None:
    if len(mesh.faces) == 0:
        raise FormatError("a GLB needs a mesh with faces, got one without")
    for name in ("positions", "normals", "uvs"):
        values = getattr(mesh, name)
        if values is not None and not np.isfinite(values).all():
            raise FormatError(f"a GLB needs finite {name}, got NaN or infinity")
    low, high = int(mesh.faces.min()), int(mesh.faces.max())
    if low < 0 or high >= len(mesh.positions):
        raise FormatError(f"faces name vertices {low}..{high}, the mesh has 0..{len(mesh.positions) - 1}")


def _add_primitive(document: _Document, mesh: Mesh) -> dict[str, Any]:
    attributes = {
        "POSITION": document.add_accessor(mesh.positions, _FLOAT, _VERTICES, bounds=True),
        "NORMAL": document.add_accessor(_make_unit(vertex_normals(mesh)), _FLOAT, _VERTICES),
    }
    if mesh.uvs is not None:
        attributes["TEXCOORD_0"] = document.add_accessor(mesh.uvs, _FLOAT, _VERTICES)
    small = len(mesh.positions) < 0xFFFF
    indices = mesh.faces.ravel().astype(np.uint16 if small else np.uint32)
    component = _UINT16 if small else _UINT32
    return {"attributes": attributes, "indices": document.add_accessor(indices, component, _INDICES)}


def _make_unit(normals: FloatArray) -> FloatArray:
    """Normals of length 1, as glTF demands; +Y where there is no direction."""
    length = np.linalg.norm(normals.astype(np.float64), axis=1, keepdims=True)
    unit = np.where(length > 1e-12, normals / np.maximum(length, 1e-12), (0.0, 1.0, 0.0))
    return unit.astype(np.float32)


def _describe_material(document: _Document, material: Material | None) -> dict[str, Any]:
    if material is None:
        surface = {"baseColorFactor": list(_CLAY), "metallicFactor": 0.0, "roughnessFactor": 0.9}
        return {"name": "clay", "pbrMetallicRoughness": surface}
    image, opaque = encode_png(material.base_color)
    view = document.add_view(image)
    source = document.add("images", {"name": "base_color", "bufferView": view, "mimeType": "image/png"})
    sampler = document.add(
        "samplers",
        {"magFilter": _LINEAR, "minFilter": _LINEAR_MIPMAP_LINEAR, "wrapS": _CLAMP, "wrapT": _CLAMP},
    )
    texture = document.add("textures", {"source": source, "sampler": sampler})
    surface = {
        "baseColorTexture": {"index": texture},
        "metallicFactor": float(material.metallic),
        "roughnessFactor": float(material.roughness),
    }
    mode = {} if opaque else {"alphaMode": "BLEND"}
    return {"name": "character", "pbrMetallicRoughness": surface, **mode}
