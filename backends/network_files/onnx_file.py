"""Reading an ONNX file: as much of its protobuf as a network's graph and weights need.

https://protobuf.dev/programming-guides/encoding and onnx.proto3 of https://github.com/onnx/onnx. A message is
a sequence of fields, each a number and a value; the package `onnx`, with protobuf, would be 20 MB for it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...pipeline.errors import WeightsError
from .graph import Graph, Node, Shape
from .onnx_operators import OPERATORS

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_TYPES: Mapping[int, np.dtype[Any]] = {
    1: np.dtype("<f4"),
    6: np.dtype("<i4"),
    7: np.dtype("<i8"),
    10: np.dtype("<f2"),
    11: np.dtype("<f8"),
}
"""TensorProto.DataType."""

Fields = Mapping[int, list[Any]]


def read_onnx(path: Path, name: str) -> Graph:
    """Read a network. WeightsError if the file is none or is damaged; says what was found and expected."""
    data = path.read_bytes()
    try:
        graphs = _read_fields(data).get(7, [])
        if len(graphs) == 1:
            return _read_graph(name, _read_fields(graphs[0]))
        found = f"{len(data)} bytes that start with {data[:16]!r}"
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, struct.error) as error:
        found = f"{len(data)} bytes that start with {data[:16]!r} ({error})"
    raise WeightsError(f"{name} is damaged or no ONNX file: expected a whole model; found {found}")


def _read_graph(name: str, graph: Fields) -> Graph:
    constants = {_text(tensor, 8): _read_tensor(tensor) for tensor in map(_read_fields, graph.get(5, []))}
    nodes = []
    for message in map(_read_fields, graph[1]):
        node = _read_node(message)
        if node.operator == "Constant":
            constants[node.output] = node.options["value"]
        else:
            nodes.append(node)
    values = [dict(_read_value(_read_fields(value)) for value in graph[number]) for number in (11, 12)]
    # files of the format's first versions list the weights among the inputs
    inputs = {key: shape for key, shape in values[0].items() if key not in constants}
    return Graph(name, tuple(nodes), constants, inputs, values[1], OPERATORS)


def _read_value(value: Fields) -> tuple[str, Shape]:
    """ValueInfoProto: name, and type -> tensor_type -> shape -> dim -> dim_value; 0 if not stated."""
    tensor_type = _read_fields(_read_fields(value[2][0])[1][0])
    dimensions = _read_fields(tensor_type[2][0]).get(1, [])
    return _text(value, 1), tuple(_read_fields(size).get(1, [0])[0] for size in dimensions)


def _read_node(node: Fields) -> Node:
    inputs = tuple(value.decode() for value in node.get(1, []))
    options = dict(_read_attribute(_read_fields(value)) for value in node.get(5, []))
    (output,) = node[2]
    return Node(_text(node, 4), inputs, output.decode(), options)


def _read_attribute(attribute: Fields) -> tuple[str, Any]:
    """AttributeProto: f, i, s, t, ints; which one it is, is stated as its type."""
    readers = {
        1: lambda: struct.unpack("<f", attribute[2][0])[0],
        2: lambda: _signed(attribute[3][0]),
        3: lambda: attribute[4][0].decode(),
        4: lambda: _read_tensor(_read_fields(attribute[5][0])),
        7: lambda: tuple(_list_integers(attribute.get(8, []))),
    }
    return _text(attribute, 1), readers[attribute[20][0]]()


def _read_tensor(tensor: Fields) -> np.ndarray:
    """TensorProto: dims, and raw_data or one of the lists by type."""
    shape, kind = _list_integers(tensor.get(1, [])), _TYPES[tensor[2][0]]
    if 9 in tensor:
        values = np.frombuffer(tensor[9][0], kind)
    elif kind.kind == "f":
        values = np.frombuffer(b"".join(tensor.get(4, [])), "<f4").astype(kind)
    else:
        values = np.array(_list_integers(tensor.get(7, []) + tensor.get(5, [])), kind)
    return values.reshape(shape)


def _read_fields(data: bytes) -> Fields:
    """The values of a message by field number."""
    fields: dict[int, list[Any]] = {}
    for number, value in _iterate_fields(data):
        fields.setdefault(number, []).append(value)
    return fields


def _iterate_fields(data: bytes) -> Iterator[tuple[int, Any]]:
    place = 0
    while place < len(data):
        key, place = _read_varint(data, place)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, place = _read_varint(data, place)
            yield number, value
            continue
        if kind == _BYTES:
            size, place = _read_varint(data, place)
        else:
            size = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}[kind]
        if place + size > len(data):
            raise ValueError(f"a field of {size} bytes ends {place + size - len(data)} bytes past the end")
        yield number, data[place : place + size]
        place += size


def _read_varint(data: bytes, place: int) -> tuple[int, int]:
    """An integer in groups of seven bits, lowest first. Returns it and the place after it."""
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, place


def _list_integers(values: list[Any]) -> list[int]:
    """Integers of a repeated field, which a writer may have packed into bytes."""
    integers = []
    for value in values:
        if isinstance(value, int):
            integers.append(_signed(value))
            continue
        place = 0
        while place < len(value):
            number, place = _read_varint(value, place)
            integers.append(_signed(number))
    return integers


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _text(fields: Fields, number: int) -> str:
    text: str = fields[number][0].decode()
    return text
