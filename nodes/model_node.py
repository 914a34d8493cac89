"""Nodes that keep learned models, or what they made, between runs."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from ..backends.model_memory import return_freed_memory
from ..backends.weight_files import WeightsFile
from ..pipeline.errors import WeightsError
from .compat import io

T = TypeVar("T")


@dataclass(eq=False)
class _Kept:
    """Models in memory, and what identifies the files they were read from; what was made, and from what."""

    files: Hashable = None
    models: Any = None
    origin: Hashable = None
    made: Any = None

    def release(self) -> None:
        """Drop the models and return their memory to the system."""
        if self.models is not None:
            self.files = self.models = None
            return_freed_memory()


class ModelNode(io.ComfyNode):
    """A node that keeps the models and what was made in its last run, as core's LoraLoader keeps its LoRA.

    For each node of a graph ComfyUI's executor makes and owns one object of the node's class. It drops the
    object, and what it keeps with it, once a prompt lacks the node, at `POST /free` with `free_memory`, and
    under --cache-none after each run. V3 methods are classmethods that never see this object, so
    `load_models` looks for it among the living ones.
    """

    def __init__(self) -> None:
        super().__init__()
        self._kept = _Kept()
        _NODES.add(self)
        weakref.finalize(self, self._kept.release).atexit = False

    @classmethod
    def load_models(cls, files: Hashable, load: Callable[[], T]) -> T:
        """Return load() and keep the result for the next run, whose load() then finds it (share_loaded).

        files: identifies what load() reads. Models of other files are released first, so that memory never
        holds both.
        """
        alive = [node._kept for node in _NODES if issubclass(cls, type(node))]
        for kept in alive:
            if kept.files != files:
                kept.release()
        models = load()
        for kept in alive:
            kept.files, kept.models = files, models
        return models

    @classmethod
    def make_once(cls, origin: Hashable, make: Callable[[], T]) -> T:
        """Return make(), or what it returned last if that was made of the same: origin identifies it."""
        alive = [node._kept for node in _NODES if issubclass(cls, type(node))]
        for kept in alive:
            if kept.origin == origin:
                made: T = kept.made
                return made
        result = make()
        for kept in alive:
            kept.origin, kept.made = origin, result
        return result

    @classmethod
    def release_models(cls) -> None:
        """Keep no models: this run needs none."""
        cls.load_models(None, lambda: None)


_NODES: weakref.WeakSet[ModelNode] = weakref.WeakSet()


def fingerprint_files(find: Callable[[], Iterable[WeightsFile]]) -> str:
    """Identify the files that a run will read by path, size and time of modification.

    Empty if one is not installed: then the run itself fails and says so.
    """
    try:
        return "\n".join(f"{file.path} {file.size} {file.modified}" for file in find())
    except WeightsError:
        return ""
