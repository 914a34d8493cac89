"""Twist joints in a VRM: the extension VRMC_node_constraint has them take a share of the roll of a hand.

Source: VRM Consortium, specification/VRMC_node_constraint-1.0/README.md, roll constraint.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..rigging.twist_joints import ROLL_SHARE, find_roll_sources
from ..types import Skeleton
from .gltf_document import GltfDocument

EXTENSION = "VRMC_node_constraint"
_SPEC_VERSION = "1.0"


def add_roll_constraints(document: GltfDocument, skeleton: Skeleton, nodes: Sequence[int]) -> None:
    """Constrain each twist joint to its source, about the axis of its own that lies along the limb's bone.

    nodes: (J,) of the joints.
    """
    sources = find_roll_sources(skeleton)
    for joint, source in sources.items():
        limb = int(skeleton.parents[joint])
        bone = skeleton.rest[limb, :3, :3].T @ (skeleton.positions[source] - skeleton.positions[limb])
        axis = "XYZ"[int(np.abs(bone).argmax())]
        roll = {"source": nodes[source], "rollAxis": axis, "weight": ROLL_SHARE}
        content = {"specVersion": _SPEC_VERSION, "constraint": {"roll": roll}}
        document.tree["nodes"][nodes[joint]]["extensions"] = {EXTENSION: content}
    if sources:
        document.tree["extensionsUsed"].append(EXTENSION)
