"""What the first job of a server would wait for, done before somebody asks for one."""

from __future__ import annotations

import importlib
import pkgutil

import numpy as np

from .. import pipeline

_LATE_LIBRARIES = ("fast_simplification", "trimesh")
"""Imported where they are used, as the stages are: ComfyUI's start should not wait for them."""


def prepare_job() -> None:
    """Import the stages and their libraries, and have torch build what it builds at a network's first run.

    Takes about two seconds of a processor once, and nothing after that.
    """
    stages = [module.name for module in pkgutil.iter_modules(pipeline.__path__, f"{pipeline.__name__}.")]
    for name in (*stages, *_LATE_LIBRARIES):
        importlib.import_module(name)
    from ..pipeline.figure.network import read_body

    y, x = np.mgrid[-1:1:256j, -1:1:256j]
    read_body((np.hypot(4 * x, y) < 0.8).astype(np.float32))
