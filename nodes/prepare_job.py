"""What the first job of a server would wait for, done before somebody asks for one."""

from __future__ import annotations

import importlib

import numpy as np

from ..pipeline.figure.network import read_body

_LATE_MODULES = ("fast_simplification", "trimesh")
"""Libraries that are imported where they are used, since ComfyUI's start should not wait for them."""


def prepare_job() -> None:
    """Import the libraries of the stages, and have torch build what it builds at a network's first run.

    Takes about two seconds of a processor once, and nothing after that.
    """
    y, x = np.mgrid[-1:1:256j, -1:1:256j]
    read_body((np.hypot(4 * x, y) < 0.8).astype(np.float32))
    for name in _LATE_MODULES:
        importlib.import_module(name)
