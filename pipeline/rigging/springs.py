"""Which joints swing with the body's motion, how, and what they stay out of.

The terms are those of VRM 1.0's spring bones (VRM Consortium, specification/VRMC_springBone-1.0/README.md):
stiffness, gravity and drag are its numbers. Chains are found by the names that appendages.py gives their
joints, so that a character has them whatever names its other joints got.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ..types import Float64Array, RiggedCharacter, Skeleton
from .colliders import Collider, measure_colliders, nearest_on_segments


class SpringSettings(NamedTuple):
    """stiffness: force back to rest. gravity: force downwards. drag: share of the speed that is lost."""

    stiffness: float
    gravity: float
    drag: float


SPRING_KINDS = {
    "Hair": SpringSettings(0.6, 0.1, 0.35),
    "HeadPart": SpringSettings(2.5, 0.0, 0.5),
    "Tail": SpringSettings(0.5, 0.0, 0.35),
    "Wing": SpringSettings(2.0, 0.0, 0.5),
    "Cape": SpringSettings(0.5, 0.1, 0.4),
    "Skirt": SpringSettings(0.8, 0.1, 0.45),
}
"""By the stem of the joints' names; a HeadPart is an ear, a horn or a hat."""
_NAME = re.compile(rf"(?:.*:)?(?:Left|Right)?({'|'.join(SPRING_KINDS)})[A-Z]1$")
_HANGS = np.cos(np.radians(30))
"""Cosine of the angle from straight down within which gravity pulls: what it pulls aside is not at rest."""
_LEAST_RADIUS = 0.7
"""Share of a measured collider that has to be left where a chain at rest lies in it; else the chain ignores
it."""
_MOST_THICK = 0.5
"""Of the radius of a chain's joint: the largest share of the length of its bone."""


@dataclass(frozen=True, eq=False)
class SpringChain:
    """joints: from the first that swings to the end joint at the tip, which does not.

    radii, gravity: (J - 1,) metres around the end of each bone, and the force on it. colliders: indices of
    those that it stays out of.
    """

    name: str
    joints: tuple[int, ...]
    settings: SpringSettings
    radii: Float64Array
    gravity: Float64Array
    colliders: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class SpringRig:
    """All that swings on a character. At rest no chain touches a collider that it stays out of."""

    chains: tuple[SpringChain, ...]
    colliders: tuple[Collider, ...]


def find_springs(character: RiggedCharacter) -> SpringRig:
    """Return the chains of the character's hair, ears, tail, wings, cape and skirt, and its colliders."""
    chains = [_measure_chain(character, joints) for joints in list_chains(character.skeleton)]
    if not chains:
        return SpringRig((), ())
    return _part(character.skeleton, chains, measure_colliders(character))


def list_chains(skeleton: Skeleton) -> list[tuple[int, ...]]:
    """Return the joints of each chain, from the body to its end joint."""
    found = []
    for joint, name in enumerate(skeleton.names):
        if not _NAME.match(name):
            continue
        chain = [joint]
        while len(below := np.flatnonzero(skeleton.parents == chain[-1])) == 1:
            chain.append(int(below[0]))
        if len(chain) > 1:
            found.append(tuple(chain))
    return found


def _measure_chain(character: RiggedCharacter, joints: tuple[int, ...]) -> SpringChain:
    skeleton, skin = character.skeleton, character.skin
    match = _NAME.match(skeleton.names[joints[0]])
    assert match is not None
    settings = SPRING_KINDS[match[1]]
    line = skeleton.positions[list(joints)].astype(np.float64)
    bones = np.diff(line, axis=0)
    lengths = np.maximum(np.linalg.norm(bones, axis=1), 1e-9)
    owner = skin.joints[np.arange(len(skin.joints)), skin.weights.argmax(axis=1)]
    radii = np.zeros(len(bones))
    for number, joint in enumerate(joints[:-1]):
        points = character.textured.mesh.positions[owner == joint].astype(np.float64)
        if len(points):
            nearest = nearest_on_segments(points, line[number], line[number + 1])
            radii[number] = np.median(np.linalg.norm(points - nearest, axis=1))
    hanging = np.clip((-bones[:, 1] / lengths - _HANGS) / (1 - _HANGS), 0, 1) ** 2
    name = skeleton.names[joints[0]].rpartition(":")[2].removesuffix("1")
    radii = np.minimum(radii, _MOST_THICK * lengths)
    return SpringChain(name, joints, settings, radii, settings.gravity * hanging)


def _part(skeleton: Skeleton, chains: list[SpringChain], colliders: list[Collider]) -> SpringRig:
    """Shrink colliders and chains until they do not touch at rest; leave out what would still do."""
    tails = [skeleton.positions[list(chain.joints[1:])].astype(np.float64) for chain in chains]
    kept: list[list[int]] = [[] for _ in chains]
    shrunk = []
    for number, collider in enumerate(colliders):
        radius = collider.radius
        for chain, points in zip(kept, tails, strict=True):
            gap = float(collider.measure_distances(points).min())
            if gap >= _LEAST_RADIUS * collider.radius:
                chain.append(number)
                radius = min(radius, gap)
        shrunk.append(replace(collider, radius=radius))
    fitted = []
    for own, its_kept, points in zip(chains, kept, tails, strict=True):
        gaps = [shrunk[number].measure_distances(points) - shrunk[number].radius for number in its_kept]
        radii = np.min([own.radii, *gaps], axis=0)
        fitted.append(replace(own, radii=np.maximum(radii, 0), colliders=tuple(its_kept)))
    return SpringRig(tuple(fitted), tuple(shrunk))
