"""Motion of a glTF file: .glb, .gltf, .vrm and .vrma, with a mesh or without.

Sources: glTF 2.0, section 3.11; VRM Consortium, specification/VRMC_vrm_animation-1.0/README.md.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ...humanoid import ROLE_PARENTS
from .gltf_container import GltfFile
from .gltf_nodes import GltfNodes
from .gltf_rig import GltfRig
from .left_out import LeftOut
from .motion import MotionFile
from .rig import place_at_bind

_HUMANOIDS = ("VRMC_vrm_animation", "VRMC_vrm")


def read_gltf_motion(path: Path) -> MotionFile:
    """Read the skeleton, at its bind pose, and all clips. FormatError if the file is damaged."""
    file = GltfFile(path)
    nodes = GltfNodes(file)
    rig, warnings, left_out = GltfRig(file, nodes, has_bare=True), list[str](), LeftOut()
    skeleton, clips = rig.read_skeleton(), rig.read_clips(warnings, left_out)
    if skeleton is None:
        return MotionFile(None, (), tuple(warnings))
    rest = place_at_bind(skeleton.parents, skeleton.rest.astype(np.float64), rig.read_binds())
    roles = _read_roles(file, rig)
    return MotionFile(replace(skeleton, rest=rest, roles=roles), clips, tuple(warnings))


def _read_roles(file: GltfFile, rig: GltfRig) -> dict[str, int]:
    """Humanoid role -> joint, as VRM has them; empty in other files."""
    described = file.extension(file.tree, *_HUMANOIDS)
    humanoid = file.get(described or {}, "humanoid", dict, {})
    roles = {}
    for role, bone in file.get(humanoid, "humanBones", dict, {}).items():
        joint = rig.number(file.get(bone, "node", int, -1))
        if role in ROLE_PARENTS and joint is not None:
            roles[role] = joint
    return roles
