"""Smaller GLB files: quantized values, meshopt's compression, and textures as WebP.

Sources: Khronos, KHR_mesh_quantization, EXT_meshopt_compression and EXT_texture_webp. Positions become whole
numbers of a 65,535th of the mesh's extent; what turns them back is part of the inverse bind matrices, because
a skinned mesh's own node does not move it.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..types import Float64Array
from .gltf_document import COMPONENTS, INDICES, SHAPES, GltfDocument
from .reading.soft_packages import import_soft

_Values = npt.NDArray[Any]

_LARGEST_POSITION = 32767
_MESHOPT, _QUANTIZED, _WEBP = "EXT_meshopt_compression", "KHR_mesh_quantization", "EXT_texture_webp"
_DTYPES = {number: np.dtype(name) for name, number in COMPONENTS.items()}
_WIDTHS = {name: shape for shape, name in SHAPES.items()}


def quantize_document(document: GltfDocument) -> None:
    """Store positions, normals, tangents, uvs, weights and rotations of a skinned document in fewer bits."""
    views = split_views(document)
    for semantic, accessors in _list_attributes(document).items():
        pack = _PACKERS.get(semantic.split("_")[0])
        if pack is None:
            continue
        for accessor in accessors:
            _replace(document, views, accessor, *pack(read_accessor(document, views, accessor)))
    _quantize_positions(document, views)
    _drop_idle_joints(document, views)
    quantize_rotations(document, views)
    join_views(document, views)
    require_extension(document, _QUANTIZED)


def quantize_rotations(document: GltfDocument, views: list[bytes]) -> None:
    """Store the rotations of all clips in 16 bits, for which glTF needs no extension."""
    for accessor in _list_rotations(document):
        _replace(document, views, accessor, *_pack_signed(read_accessor(document, views, accessor), np.int16))


def compress_document(document: GltfDocument) -> None:
    """Compress vertices, indices and clips with meshopt; FormatError if its package is not installed."""
    meshopt = import_soft("meshopt", "compression meshopt")
    views, plain = split_views(document), 0
    for number, view in enumerate(document.tree["bufferViews"]):
        stored = _find_layout(document, number)
        if stored is None:
            continue
        mode, stride = stored
        count = len(views[number]) // stride
        rows = np.frombuffer(views[number], np.uint8).reshape(count, stride)
        if mode == "TRIANGLES":
            rows = np.frombuffer(views[number], np.uint16 if stride == 2 else np.uint32)
        content = {"buffer": 0, "byteStride": stride, "count": count, "mode": mode}
        views[number] = meshopt.encode_gltf_buffer(rows, mode)
        # The sizes of the plain bytes, as if they lay in a buffer that no file has.
        view |= {"buffer": 1, "byteOffset": plain, "byteLength": count * stride}
        view["extensions"] = {_MESHOPT: content}
        plain += -(-count * stride // 4) * 4
    join_views(document, views)
    document.buffers = [{"byteLength": plain, "extensions": {_MESHOPT: {"fallback": True}}}]
    require_extension(document, _MESHOPT)


def recode_images(document: GltfDocument, quality: int) -> None:
    """Store all textures as WebP of a quality of 1 to 100."""
    views = split_views(document)
    for image in document.tree.get("images", []):
        stream = io.BytesIO()
        Image.open(io.BytesIO(views[image["bufferView"]])).save(stream, "WEBP", quality=quality, method=4)
        views[image["bufferView"]] = stream.getvalue()
        image["mimeType"] = "image/webp"
    for texture in document.tree.get("textures", []):
        texture["extensions"] = {_WEBP: {"source": texture.pop("source")}}
    join_views(document, views)
    require_extension(document, _WEBP)


def split_views(document: GltfDocument) -> list[bytes]:
    """Return the bytes of each buffer view."""
    return [
        bytes(document.binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]])
        for view in document.tree["bufferViews"]
    ]


def join_views(document: GltfDocument, views: list[bytes]) -> None:
    """Lay the views out anew, in their order."""
    document.binary = bytearray()
    for view, data in zip(document.tree["bufferViews"], views, strict=True):
        place = view.get("extensions", {}).get(_MESHOPT, view)
        place |= {"byteOffset": len(document.binary), "byteLength": len(data)}
        document.binary += data + bytes(-len(data) % 4)


def require_extension(document: GltfDocument, extension: str) -> None:
    """List an extension as one that the file cannot be read without."""
    for kind in ("extensionsUsed", "extensionsRequired"):
        document.tree.setdefault(kind, []).append(extension)


def _list_attributes(document: GltfDocument) -> dict[str, list[int]]:
    """Semantic -> accessors, each once."""
    found: dict[str, set[int]] = {}
    for mesh in document.tree["meshes"]:
        for primitive in mesh["primitives"]:
            for semantic, accessor in primitive["attributes"].items():
                found.setdefault(semantic, set()).add(accessor)
    return {semantic: sorted(accessors) for semantic, accessors in found.items()}


def _list_rotations(document: GltfDocument) -> list[int]:
    return sorted(
        animation["samplers"][channel["sampler"]]["output"]
        for animation in document.tree.get("animations", [])
        for channel in animation["channels"]
        if channel["target"]["path"] == "rotation"
    )


def read_accessor(document: GltfDocument, views: list[bytes], accessor: int) -> _Values:
    """Return the values (N, k) of an accessor whose rows lie side by side."""
    described = document.tree["accessors"][accessor]
    values = np.frombuffer(views[described["bufferView"]], _DTYPES[described["componentType"]])
    return values.reshape(described["count"], *_WIDTHS[described["type"]])


def _replace(
    document: GltfDocument, views: list[bytes], accessor: int, values: _Values, is_normalized: bool
) -> None:
    """Store other values (N, k) of an accessor, each row padded to 4 bytes."""
    described = document.tree["accessors"][accessor]
    described |= {"componentType": COMPONENTS[values.dtype.name]}
    if is_normalized:
        described["normalized"] = True
    if "min" in described:
        described |= {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
    padded = np.zeros((len(values), -(-values[0].nbytes // 4) * 4), np.uint8)
    padded[:, : values[0].nbytes] = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)
    view = document.tree["bufferViews"][described["bufferView"]]
    if "target" in view and padded.shape[1] != values[0].nbytes:
        view["byteStride"] = padded.shape[1]
    views[described["bufferView"]] = padded.tobytes()


def _pack_signed(values: _Values, dtype: type = np.int8) -> tuple[_Values, bool]:
    """-1..1 as whole numbers."""
    return np.rint(values.clip(-1, 1) * np.iinfo(dtype).max).astype(dtype), True


def _pack_uvs(uvs: _Values) -> tuple[_Values, bool]:
    """0..1 as whole numbers; uvs that lie elsewhere stay as they are."""
    if uvs.min() < 0 or uvs.max() > 1:
        return uvs, False
    return np.rint(uvs * 65535.0).astype(np.uint16), True


def _pack_colors(colors: _Values) -> tuple[_Values, bool]:
    return np.rint(colors * 255.0).astype(np.uint8), True


def pack_weights(weights: _Values) -> tuple[_Values, bool]:
    """Return rows that sum to 255, or to their share where there are eight; the largest takes the rest."""
    packed = np.rint(weights * 255.0).astype(np.int64)
    rows = np.arange(len(packed))
    packed[rows, weights.argmax(axis=1)] += np.rint(weights.sum(axis=1) * 255).astype(np.int64) - packed.sum(
        1
    )
    return packed.clip(0, 255).astype(np.uint8), True


_PACKERS: dict[str, Callable[[_Values], tuple[_Values, bool]]] = {
    "NORMAL": _pack_signed,
    "TANGENT": _pack_signed,
    "TEXCOORD": _pack_uvs,
    "COLOR": _pack_colors,
    "WEIGHTS": pack_weights,
}


def _quantize_positions(document: GltfDocument, views: list[bytes]) -> None:
    accessors = _list_attributes(document)["POSITION"]
    points = np.concatenate([read_accessor(document, views, accessor) for accessor in accessors]).astype(
        np.float64
    )
    low, high = points.min(axis=0), points.max(axis=0)
    middle, step = (low + high) / 2, float((high - low).max()) / 2 / _LARGEST_POSITION
    for accessor in accessors:
        whole = np.rint((read_accessor(document, views, accessor) - middle) / step).astype(np.int16)
        _replace(document, views, accessor, whole, False)
    back = np.diag((step, step, step, 1.0))
    back[:3, 3] = middle
    for skin in document.tree["skins"]:
        bind = (
            read_accessor(document, views, skin["inverseBindMatrices"]).astype(np.float64).transpose(0, 2, 1)
        )
        _store_matrices(document, views, skin["inverseBindMatrices"], bind @ back)
    _scale_targets(document, views, 1 / step)


def _store_matrices(
    document: GltfDocument, views: list[bytes], accessor: int, matrices: Float64Array
) -> None:
    view = document.tree["accessors"][accessor]["bufferView"]
    matrices[:, 3] = 0, 0, 0, 1
    views[view] = np.ascontiguousarray(matrices.transpose(0, 2, 1), np.float32).tobytes()


def _scale_targets(document: GltfDocument, views: list[bytes], scale: float) -> None:
    """Morph targets in the units of the positions; they are sparse, and stay 32-bit numbers."""
    primitives = [primitive for mesh in document.tree["meshes"] for primitive in mesh["primitives"]]
    targets = {target["POSITION"] for primitive in primitives for target in primitive.get("targets", [])}
    for accessor in sorted(targets):
        described = document.tree["accessors"][accessor]
        for bound in ("min", "max"):
            described[bound] = (np.array(described[bound]) * scale).astype(np.float32).tolist()
        if "sparse" in described:
            view = described["sparse"]["values"]["bufferView"]
            scaled = np.frombuffer(views[view], np.float32).astype(np.float64) * scale
            views[view] = scaled.astype(np.float32).tobytes()


def _drop_idle_joints(document: GltfDocument, views: list[bytes]) -> None:
    """Joint 0 where a weight was rounded to 0, as glTF wants it."""
    shared = [primitive["attributes"] for mesh in document.tree["meshes"] for primitive in mesh["primitives"]]
    for joints, weights in sorted(
        {
            (attributes[name.replace("WEIGHTS", "JOINTS")], number)
            for attributes in shared
            for name, number in attributes.items()
            if name.startswith("WEIGHTS")
        }
    ):
        kept = read_accessor(document, views, joints).copy()
        kept[read_accessor(document, views, weights) == 0] = 0
        views[document.tree["accessors"][joints]["bufferView"]] = kept.tobytes()


def _find_layout(document: GltfDocument, view: int) -> tuple[str, int] | None:
    """Mode and stride in bytes by which meshopt compresses a buffer view; None for what stays as it is."""
    described = next((a for a in document.tree["accessors"] if a.get("bufferView") == view), None)
    if described is None:
        return None
    target = document.tree["bufferViews"][view].get("target")
    dtype = _DTYPES[described["componentType"]]
    if target == INDICES:
        return "TRIANGLES", dtype.itemsize
    width = int(np.prod(_WIDTHS[described["type"]], initial=1)) * dtype.itemsize
    stride = -(-width // 4) * 4
    return ("ATTRIBUTES", stride) if stride <= 256 else None
