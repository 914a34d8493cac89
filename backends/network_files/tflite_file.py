"""Reading a TensorFlow Lite file: as much of its FlatBuffers tables as a network's graph and weights need.

https://flatbuffers.dev/internals and schema.fbs of TensorFlow Lite. A table starts with the distance back
to its list of fields (vtable), which has the place of each field, or 0 where the field has its default.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...pipeline.errors import WeightsError
from .graph import Graph, Node
from .tflite_operators import OPERATORS

_TYPES: Mapping[int, np.dtype[Any]] = {
    0: np.dtype("<f4"),
    1: np.dtype("<f2"),
    2: np.dtype("<i4"),
    4: np.dtype("<i8"),
}
"""TensorType."""
_NAMES = {
    0: "ADD",
    2: "CONCATENATION",
    3: "CONV_2D",
    4: "DEPTHWISE_CONV_2D",
    6: "DEQUANTIZE",
    14: "LOGISTIC",
    17: "MAX_POOL_2D",
    19: "RELU",
    22: "RESHAPE",
    23: "RESIZE_BILINEAR",
    34: "PAD",
    54: "PRELU",
}
"""BuiltinOperator."""


@dataclass(frozen=True)
class Table:
    """A table at a place in the file. Fields are known by their index in the schema."""

    data: bytes
    place: int

    def find(self, field: int) -> int:
        """Place of a field's value, 0 if the table has none."""
        vtable = self.place - self._unpack("<i", self.place)
        size, offset = self._unpack("<H", vtable), 4 + 2 * field
        distance = self._unpack("<H", vtable + offset) if offset < size else 0
        return self.place + distance if distance else 0

    def number(self, field: int, kind: str = "<i", default: int = 0) -> int:
        """A field of one number; kind as in the module struct."""
        place = self.find(field)
        return self._unpack(kind, place) if place else default

    def table(self, field: int) -> Table:
        """A field that is a table. ValueError if it is missing."""
        return Table(self.data, self._follow(self._require(field)))

    def array(self, field: int, kind: str | np.dtype[Any] = "<i4") -> np.ndarray:
        """A field that is a vector of numbers; empty if it is missing."""
        place = self.find(field)
        if not place:
            return np.zeros(0, kind)
        start = self._follow(place)
        return np.frombuffer(self.data, kind, self._unpack("<I", start), start + 4)

    def tables(self, field: int) -> list[Table]:
        """A field that is a vector of tables."""
        offsets = self.array(field, "<u4")
        start = self._follow(self._require(field)) + 4
        return [Table(self.data, start + 4 * index + int(offset)) for index, offset in enumerate(offsets)]

    def _require(self, field: int) -> int:
        place = self.find(field)
        if not place:
            raise ValueError(f"the table at byte {self.place} has no field {field}")
        return place

    def _follow(self, place: int) -> int:
        return place + self._unpack("<I", place)

    def _unpack(self, kind: str, place: int) -> int:
        if place < 0:  # Python would count from the end
            raise ValueError(f"byte {place} lies before the file")
        value: int = struct.unpack_from(kind, self.data, place)[0]
        return value


def read_tflite(path: Path, name: str) -> Graph:
    """Read a network. WeightsError if the file is none or is damaged; says what was found and expected."""
    data = path.read_bytes()
    start = f"{len(data)} bytes that start with {data[:16]!r}"
    if data[4:8] != b"TFL3":
        raise WeightsError(f"{name} is no TensorFlow Lite file: expected TFL3 at byte 4; found {start}")
    try:
        return _read_model(name, Table(data, struct.unpack_from("<I", data)[0]))
    except (ValueError, IndexError, KeyError, struct.error) as error:
        raise WeightsError(
            f"{name} is damaged: expected a whole TensorFlow Lite model; found {start} ({error})"
        ) from error


def _read_model(name: str, model: Table) -> Graph:
    (graph,) = model.tables(2)
    buffers, codes = model.tables(4), [_read_operator_code(code) for code in model.tables(1)]
    tensors = graph.tables(0)
    constants = {
        str(index): value
        for index, tensor in enumerate(tensors)
        if (value := _read_tensor(tensor, buffers)) is not None
    }
    nodes = []
    for step in graph.tables(3):
        node = _read_node(step, codes)
        if node.operator == "DEQUANTIZE" and node.inputs[0] in constants:  # weights kept in half precision
            constants[node.output] = constants[node.inputs[0]].astype(np.float32)
        else:
            nodes.append(node)
    inputs, outputs = (
        {str(index): tuple(tensors[index].array(0).tolist()) for index in graph.array(field)}
        for field in (1, 2)
    )
    return Graph(name, tuple(nodes), constants, inputs, outputs, OPERATORS)


def _read_operator_code(code: Table) -> str:
    """Codes above 127 stand in a newer field; those of custom operators are text."""
    number = max(code.number(0, "<b"), code.number(3))
    return _NAMES.get(number, f"number {number}")


def _read_tensor(tensor: Table, buffers: list[Table]) -> np.ndarray | None:
    """A constant's values, or None for a value that the graph computes, which has no bytes."""
    content = buffers[tensor.number(2, "<I")].array(0, "u1")
    if not content.size:
        return None
    kind = _TYPES[tensor.number(1, "<b")]
    return content.view(kind).reshape(tensor.array(0))


def _read_node(step: Table, codes: list[str]) -> Node:
    operator = codes[step.number(0, "<I")]
    (output,) = _list_names(step.array(2))
    options = _OPTIONS[operator](step.table(4)) if operator in _OPTIONS and step.find(4) else {}
    return Node(operator, _list_names(step.array(1)), output, options)


def _list_names(indices: np.ndarray) -> tuple[str, ...]:
    """Values are known by their index; -1 stands for an input that is left out."""
    return tuple("" if index < 0 else str(index) for index in indices)


def _read_convolution(options: Table) -> dict[str, Any]:
    return {
        "same": options.number(0, "<b") == 0,
        "strides": (options.number(2), options.number(1)),
        "activation": options.number(3, "<b"),
        "dilations": (options.number(5, default=1), options.number(4, default=1)),
    }


def _read_depthwise(options: Table) -> dict[str, Any]:
    return {
        "same": options.number(0, "<b") == 0,
        "strides": (options.number(2), options.number(1)),
        "activation": options.number(4, "<b"),
        "dilations": (options.number(6, default=1), options.number(5, default=1)),
    }


def _read_pooling(options: Table) -> dict[str, Any]:
    return {
        "same": options.number(0, "<b") == 0,
        "strides": (options.number(2), options.number(1)),
        "window": (options.number(4), options.number(3)),
        "activation": options.number(5, "<b"),
    }


_OPTIONS: Mapping[str, Callable[[Table], dict[str, Any]]] = {
    "ADD": lambda options: {"activation": options.number(0, "<b")},
    "CONCATENATION": lambda options: {"axis": options.number(0), "activation": options.number(1, "<b")},
    "CONV_2D": _read_convolution,
    "DEPTHWISE_CONV_2D": _read_depthwise,
    "MAX_POOL_2D": _read_pooling,
    "RESHAPE": lambda options: {"shape": options.array(0).tolist()},
    "RESIZE_BILINEAR": lambda options: {
        "align_corners": options.number(2, "<b") != 0,
        "half_pixel_centers": options.number(3, "<b") != 0,
    },
}
"""Readers of the options that an operator has. Heights stand before widths in the result, as in torch."""
