"""Packages that a few files need and most installations do without."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from ...errors import FormatError

DISTRIBUTIONS = {
    "DracoPy": "DracoPy",
    "meshopt": "meshopt",
    "opengl_basisu": "opengl-basisu",
    "ufbx": "ufbx",
    "pxr": "usd-core",
}
"""The name to install a module by."""


def has_soft(module: str) -> bool:
    """Whether the module is installed."""
    return importlib.util.find_spec(module) is not None


def import_soft(module: str, need: str) -> Any:
    """Import a module that may be missing; then FormatError says what needs it and how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = DISTRIBUTIONS[module]
        raise FormatError(f"{need}, which needs the Python package {name}: pip install {name}") from error
