"""What swings on a VRM: VRMC_springBone 1.0.

Source: VRM Consortium, specification/VRMC_springBone-1.0/README.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..rigging.colliders import Collider
from ..rigging.springs import SpringChain, SpringRig
from ..types import Float64Array, RiggedCharacter
from .joint_transforms import make_exact_rest

EXTENSION = "VRMC_springBone"
_DOWN = [0.0, -1.0, 0.0]


def describe_springs(character: RiggedCharacter, springs: SpringRig, nodes: list[int]) -> dict[str, Any]:
    """Return the content of the extension; nodes: (J,) that of each joint. A group holds one collider."""
    to_local = np.linalg.inv(make_exact_rest(character.skeleton))
    colliders = [
        {"node": nodes[collider.joint], "shape": _describe_shape(collider, to_local[collider.joint])}
        for collider in springs.colliders
    ]
    groups = [
        {"name": collider.part, "colliders": [number]} for number, collider in enumerate(springs.colliders)
    ]
    content: dict[str, Any] = {"specVersion": "1.0"}
    if colliders:
        content |= {"colliders": colliders, "colliderGroups": groups}
    return content | {"springs": [_describe_chain(chain, nodes) for chain in springs.chains]}


def _describe_shape(collider: Collider, to_local: Float64Array) -> dict[str, Any]:
    start, end = (to_local[:3, :3] @ point + to_local[:3, 3] for point in (collider.start, collider.end))
    if np.allclose(start, end):
        return {"sphere": {"offset": start.tolist(), "radius": collider.radius}}
    return {"capsule": {"offset": start.tolist(), "radius": collider.radius, "tail": end.tolist()}}


def _describe_chain(chain: SpringChain, nodes: list[int]) -> dict[str, Any]:
    joints: list[dict[str, Any]] = [
        {
            "node": nodes[joint],
            "hitRadius": float(radius),
            "stiffness": chain.settings.stiffness,
            "gravityPower": float(gravity),
            "gravityDir": _DOWN,
            "dragForce": chain.settings.drag,
        }
        for joint, radius, gravity in zip(chain.joints, chain.radii, chain.gravity, strict=False)
    ]
    described = {"name": chain.name, "joints": [*joints, {"node": nodes[chain.joints[-1]]}]}
    return described | ({"colliderGroups": list(chain.colliders)} if chain.colliders else {})
