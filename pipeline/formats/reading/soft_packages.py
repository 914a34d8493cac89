"""Packages that a few files need and most installations do without."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import re
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
_OLDEST = {"DracoPy": "2.2"}
"""The version from which on a module has what is called here; any version of the others has."""


def has_soft(module: str) -> bool:
    """Whether the module is installed, and new enough."""
    return importlib.util.find_spec(module) is not None and _find_older(module) is None


def import_soft(module: str, need: str) -> Any:
    """Import a module; FormatError, if it is missing or too old, says what needs it and how to get it."""
    name = DISTRIBUTIONS[module]
    if older := _find_older(module):
        expected = f"expected {name} {_OLDEST[module]} or newer, found {older}"
        raise FormatError(f"{need}: {expected}: pip install -U {name}")
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise FormatError(f"{need}, which needs the Python package {name}: pip install {name}") from error


def _find_older(module: str) -> str | None:
    """The version that is installed, if a newer one is needed."""
    if module not in _OLDEST:
        return None
    try:
        found = importlib.metadata.version(DISTRIBUTIONS[module])
    except importlib.metadata.PackageNotFoundError:
        return None
    return found if _parse_version(found) < _parse_version(_OLDEST[module]) else None


def _parse_version(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
