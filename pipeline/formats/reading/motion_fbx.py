"""Motion of an FBX file, with a mesh or without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from .apart import read_apart
from .motion import MotionFile
from .rig import place_at_bind, read_rig


def read_fbx_motion(path: Path) -> MotionFile:
    """Read the skeleton, at its bind pose, and all clips. FormatError as `read_fbx`."""
    scene, arrays = read_apart(path, "fbx_worker", "ufbx", "FBX")
    warnings: list[str] = []
    skeleton, clips = read_rig(scene, arrays, warnings)
    if skeleton is None:
        return MotionFile(None, (), tuple(warnings))
    rest = place_at_bind(skeleton.parents, skeleton.rest.astype(np.float64), arrays["binds"])
    return MotionFile(replace(skeleton, rest=rest), clips, tuple(warnings))
