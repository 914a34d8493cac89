"""Packages that are imported where they are first used: ComfyUI's start does not wait for them."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Callable
from types import ModuleType
from typing import Any


class _LaterModule(ModuleType):
    """Stands for the module of its name, which is imported when an attribute of it is first read.

    It is not the module object: keys of one dict have to come from one import statement.

    Threads may read at once, since import locks each module; importlib.util.LazyLoader lets them see a half
    of it in older Pythons (CPython's issue 114763).
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


def import_at_first_use(package: str) -> Callable[[str], ModuleType]:
    """The `__getattr__` (PEP 562) of a package: `from package import module` gives a _LaterModule."""

    @functools.cache
    def find_module(name: str) -> ModuleType:
        module = f"{package}.{name}"
        if name.startswith("_") or importlib.util.find_spec(module) is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return _LaterModule(module)

    return find_module
