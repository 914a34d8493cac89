"""A network that a file describes as a graph of operators, run by torch on any device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...pipeline.errors import WeightsError

Operator = Callable[..., torch.Tensor]
"""operator(options, *inputs) -> output. An input that the file leaves out is None."""
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Node:
    """One step: an operator, the values that it reads ("" for none), the one that it makes."""

    operator: str
    inputs: tuple[str, ...]
    output: str
    options: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Graph:
    """What a file holds. Nodes stand in an order in which they can run; values are known by name.

    name: of the file, for messages. constants: weights, and numbers such as shapes. inputs, outputs: the
    shapes that the file states.
    """

    name: str
    nodes: tuple[Node, ...]
    constants: Mapping[str, np.ndarray]
    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Shape]
    operators: Mapping[str, Operator]


class Network(torch.nn.Module):
    """A graph with one input, run in float32. Only the nodes that its outputs need are kept.

    Weights are buffers and move with the module; integers (shapes, axes) stay in host memory.
    """

    def __init__(self, graph: Graph, outputs: Sequence[str]) -> None:
        super().__init__()
        self._name, self._operators = graph.name, graph.operators
        self._input, self._outputs = next(iter(graph.inputs)), {name: graph.outputs[name] for name in outputs}
        self.nodes = _list_needed(graph, outputs)
        self._last_reader = {value: node for node in self.nodes for value in node.inputs}
        self._numbers: dict[str, torch.Tensor] = {}
        self._weights: dict[str, str] = {}
        for value in dict.fromkeys(value for node in self.nodes for value in node.inputs):
            if value in graph.constants:
                self._add_constant(value, torch.from_numpy(graph.constants[value].copy()))

    def _add_constant(self, name: str, value: torch.Tensor) -> None:
        if not value.is_floating_point():
            self._numbers[name] = value
            return
        self._weights[name] = f"weight_{len(self._weights)}"  # a buffer's name may hold no dot
        self.register_buffer(self._weights[name], value.float())

    def forward(self, picture: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Run the graph. WeightsError where its parts do not fit each other."""
        try:
            found = self._run(picture)
        except torch.cuda.OutOfMemoryError:
            raise
        except (ArithmeticError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            # what torch and the operators raise for values, shapes and options that do not fit
            raise WeightsError(f"{self._name} is damaged, it does not run: {_first_line(error)}") from error
        if [tuple(value.shape) for value in found] != list(self._outputs.values()):
            raise WeightsError(
                f"{self._name} is damaged: it makes {_join(value.shape for value in found)} and states "
                f"{_join(self._outputs.values())}"
            )
        return found

    def _run(self, picture: torch.Tensor) -> tuple[torch.Tensor, ...]:
        values: dict[str, Any] = {self._input: picture, "": None, **self._numbers}
        values |= {name: self.get_buffer(buffer) for name, buffer in self._weights.items()}
        for node in self.nodes:
            inputs = [values[name] for name in node.inputs]
            values[node.output] = self._operators[node.operator](node.options, *inputs)
            for name in set(node.inputs) - {"", *self._outputs}:
                if self._last_reader[name] is node:
                    del values[name]
        return tuple(values[name] for name in self._outputs)


def build_network(graph: Graph, picture: Shape, outputs: Sequence[Shape]) -> Network:
    """Build the part of a graph that makes outputs of these shapes from an input of shape `picture`.

    WeightsError: other inputs, outputs or operators, or weights that are not finite; says what was found and
    expected.
    """
    found = list(graph.inputs.values()), list(graph.outputs.values())
    if found[0] != [picture] or not set(outputs) <= set(found[1]):
        raise WeightsError(
            f"{graph.name} is another network: it makes {_join(found[1])} from {_join(found[0])}; expected "
            f"{_join(outputs)} from {_join([picture])}"
        )
    _check_operators(graph)
    _check_weights(graph)
    names = {shape: name for name, shape in reversed(list(graph.outputs.items()))}
    return Network(graph, [names[shape] for shape in outputs])


def _list_needed(graph: Graph, outputs: Sequence[str]) -> tuple[Node, ...]:
    """The nodes that outputs depend on, in the order of the graph."""
    needed, kept = set(outputs), []
    for node in reversed(graph.nodes):
        if node.output in needed:
            needed |= set(node.inputs)
            kept.append(node)
    return tuple(reversed(kept))


def _check_operators(graph: Graph) -> None:
    unknown = {node.operator for node in graph.nodes} - graph.operators.keys()
    if unknown:
        raise WeightsError(
            f"{graph.name} is another network: it has the operators {', '.join(sorted(unknown))}; known are "
            f"{', '.join(sorted(graph.operators))}"
        )


def _check_weights(graph: Graph) -> None:
    for key, value in graph.constants.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise WeightsError(f"{graph.name} is damaged: weight {key} has numbers that are not finite")


def _join(shapes: Iterable[Shape]) -> str:
    return ", ".join("×".join(map(str, shape)) for shape in shapes) or "none"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
