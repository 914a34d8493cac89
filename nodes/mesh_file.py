"""A mesh from a file: read, stood up and scaled, and what was noticed on the way."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from ..pipeline import formats, orientation
from ..pipeline.conventions import AXIS_OPTIONS
from ..pipeline.types import Mesh, TexturedMesh
from .compat import file_3d_to_path

_LOG = logging.getLogger("character3d")
_AUTO = AXIS_OPTIONS[0]


def load_file(
    path: Path, *, up: str = _AUTO, front: str = _AUTO, height: float = 0.0
) -> tuple[Mesh | TexturedMesh, list[str]]:
    """The surface of a file as `place_mesh` places it, and the warnings about it, which are logged.

    up, front: as there; what the file itself says counts where both are auto.
    """
    loaded = formats.read_mesh(path)
    if (up, front) == (_AUTO, _AUTO):
        up, front = loaded.up, loaded.front
    placed = orientation.place_mesh(
        loaded.surface, up=up, front=front, height=height, is_stated=loaded.has_stated_frame
    )
    warnings = [*loaded.warnings, *(f"{path.name}: {note}" for note in placed.notes)]
    for warning in warnings:
        _LOG.warning("%s", warning)
    return placed.surface, warnings


def load_file_3d(file: Any, **placing: Any) -> tuple[Mesh | TexturedMesh, list[str]]:
    """As `load_file`, of a FILE_3D."""
    with file_3d_to_path(file) as path:
        return load_file(path, **placing)
