"""Runs the readers that use native code on what strangers wrote, in a process of their own."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import FormatError
from .soft_packages import DISTRIBUTIONS, has_soft

_LOG = logging.getLogger("character3d")
_START = """\
import importlib, sys, types
package = sys.modules["reading"] = types.ModuleType("reading")
package.__path__ = [sys.argv[1]]
importlib.import_module("reading." + sys.argv[2]).main(*sys.argv[3:])
"""
"""Runs a worker of this folder, as a module of a package that is this folder alone."""
_LONGEST = 600
"""Seconds that reading a file may take."""


def read_apart(path: Path, worker: str, module: str, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The scene and the arrays that a worker, a module beside this one, reads from a file with `module`.

    FormatError if the file is empty or damaged, if the worker fails, or if the module is not installed.
    kind: the name of the format.
    """
    if not path.stat().st_size:
        raise FormatError(f"{path.name} is empty")
    if not has_soft(module):
        name = DISTRIBUTIONS[module]
        raise FormatError(f"{path.name}: {kind} needs the Python package {name}: pip install {name}")
    with tempfile.TemporaryDirectory() as folder:
        scene, arrays = _run_worker(path, worker, folder)
    if "error" in scene:
        raise FormatError(f"{path.name} is damaged: {scene['error']}")
    return scene, arrays


def _run_worker(path: Path, worker: str, folder: str) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        said = run_process(worker, str(path.resolve()), folder)
    except subprocess.TimeoutExpired as error:
        raise FormatError(f"{path.name}: reading it took longer than {_LONGEST} seconds") from error
    written = Path(folder, "scene.json")
    if not written.exists():
        _LOG.warning("%s: %s", path.name, said.strip())
        raise FormatError(f"{path.name} cannot be read: its reader failed; the log says where")
    with np.load(Path(folder, "arrays.npz")) as arrays:
        return json.loads(written.read_text(encoding="utf-8")), dict(arrays)


def run_process(worker: str, model: str, folder: str) -> str:
    """Run a worker on a file in a process of its own, and return what it wrote to stderr."""
    command = [sys.executable, "-c", _START, str(Path(__file__).resolve().parent), worker, model, folder]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=_LONGEST, check=False)
    return done.stderr.decode("utf-8", "replace")
