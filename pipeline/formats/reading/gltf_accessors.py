"""Arrays of a glTF file: accessors, sparse or not, with normalized integers (section 3.6.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...types import Float64Array, Int64Array
from .gltf_container import MOST_ELEMENTS, GltfFile

_COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


def read_numbers(file: GltfFile, index: Any, *types: str, is_unit: bool = False) -> Float64Array:
    """An accessor of one of these types as (N, k) float64; normalized integers become -1..1 or 0..1.

    is_unit: integers are normalized even where the file forgets to say so.
    """
    accessor = file.item("accessors", index)
    values = _read(file, accessor, index, types)
    return normalize(values, is_unit or file.get(accessor, "normalized", bool, False))


def normalize(values: Any, is_normalized: bool) -> Float64Array:
    """Numbers as float64, normalized integers as -1..1 or 0..1."""
    if is_normalized and values.dtype.kind != "f":
        return np.maximum(values / np.float64(np.iinfo(values.dtype).max), -1.0)
    return np.asarray(values, np.float64)


def read_integers(file: GltfFile, index: Any, *types: str) -> Int64Array:
    """An accessor of integers as (N, k) int64."""
    values = _read(file, file.item("accessors", index), index, types)
    if values.dtype.kind == "f":
        raise file.damaged(f"accessors[{index}] has fractions where indices are expected")
    return values.astype(np.int64)


def _read(file: GltfFile, accessor: Mapping[str, Any], index: Any, types: tuple[str, ...]) -> Any:
    kind, count = file.get(accessor, "type", str, ""), file.get(accessor, "count", int, 0)
    component = _COMPONENTS.get(file.get(accessor, "componentType", int, 0))
    if kind not in types or component is None:
        raise file.damaged(f"accessors[{index}] is {kind or 'of no type'}, expected {' or '.join(types)}")
    if not 0 <= count <= MOST_ELEMENTS:
        raise file.damaged(f"accessors[{index}] has {count} elements")
    dtype, sparse = np.dtype(component), file.get(accessor, "sparse", dict)
    if "bufferView" in accessor:
        values = _read_view(file, accessor, count, dtype, _WIDTHS[kind], f"accessors[{index}]")
    elif sparse is None:
        raise file.damaged(f"accessors[{index}] has no data")
    else:
        values = np.zeros((count, _WIDTHS[kind]), dtype)
    return values if sparse is None else _replace_sparse(file, sparse, values, f"accessors[{index}]")


def _read_view(
    file: GltfFile, accessor: Mapping[str, Any], count: int, dtype: np.dtype[Any], width: int, name: str
) -> Any:
    """(count, width) elements of a buffer view, as its stride spaces them."""
    data, stride = file.view(accessor.get("bufferView"))
    offset, size = file.get(accessor, "byteOffset", int, 0), dtype.itemsize * width
    stride = stride or size
    if offset < 0 or stride < size or (count and offset + stride * (count - 1) + size > len(data)):
        raise file.damaged(f"{name} reaches beyond the {len(data)} bytes of its buffer view")
    if not count:
        return np.zeros((0, width), dtype)
    return np.ndarray((count, width), dtype, data, offset, (stride, dtype.itemsize))


def _replace_sparse(file: GltfFile, sparse: Mapping[str, Any], values: Any, name: str) -> Any:
    """The values with those elements replaced that the file lists."""
    count = file.get(sparse, "count", int, 0)
    where, what = (file.get(sparse, part, dict, {}) for part in ("indices", "values"))
    component = _COMPONENTS.get(file.get(where, "componentType", int, 0), "<f4")
    if component == "<f4" or not 0 <= count <= len(values):
        raise file.damaged(f"{name} has a sparse part that cannot be read")
    rows = _read_view(file, where, count, np.dtype(component), 1, name)[:, 0].astype(np.int64)
    if len(rows) and rows.max() >= len(values):
        raise file.damaged(f"{name} replaces element {rows.max()} of {len(values)}")
    replaced = values.copy()
    replaced[rows] = _read_view(file, what, count, values.dtype, values.shape[1], name)
    return replaced
