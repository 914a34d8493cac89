"""The body as capsules that hair, skirts and tails stay out of, measured on the mesh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..mesh.areas import sample_surface
from ..types import Float64Array, RiggedCharacter

_LIMBS = {
    side + part: side + child
    for side in ("left", "right")
    for part, child in (("UpperArm", "LowerArm"), ("UpperLeg", "LowerLeg"), ("LowerLeg", "Foot"))
}
"""Role -> the role at the other end of its bone."""
_ACROSS = ("upperChest", "hips")
"""Parts of the trunk that are wider than deep: their capsules lie across."""
_OUTER = 0.05
"""Share of a part's surface beyond either end of its extent."""
_FEWEST, _POINTS = 6, 400
"""Faces below which a part is not measured; points on it that are."""


@dataclass(frozen=True, eq=False)
class Collider:
    """A capsule that moves with a joint; a sphere where start and end are the same.

    part: the joint's humanoid role. start, end: (3,) metres in the mesh frame at rest. radius: metres.
    """

    part: str
    joint: int
    start: Float64Array
    end: Float64Array
    radius: float

    def measure_distances(self, points: Float64Array) -> Float64Array:
        """Distances (N,) of points (N, 3) from the line from start to end, metres."""
        return np.linalg.norm(points - nearest_on_segments(points, self.start, self.end), axis=-1)


def nearest_on_segments(points: Float64Array, start: Float64Array, end: Float64Array) -> Float64Array:
    """The points (..., 3) of the segments that are nearest to `points` (..., 3)."""
    along = end - start
    length = np.maximum((along * along).sum(axis=-1, keepdims=True), 1e-12)
    share = ((points - start) * along).sum(axis=-1, keepdims=True) / length
    return start + np.clip(share, 0, 1) * along


def measure_colliders(character: RiggedCharacter) -> list[Collider]:
    """Return the capsules of head, chest, hips, upper arms and legs, as far as faces belong to them."""
    skeleton, skin, mesh = character.skeleton, character.skin, character.textured.mesh
    owner = skin.joints[np.arange(len(skin.joints)), skin.weights.argmax(axis=1)]
    found = []
    for part in ("head", *_ACROSS, *_LIMBS):
        joint = skeleton.roles.get(part, -1)
        faces = mesh.faces[(owner[mesh.faces] == joint).all(axis=1)]
        if joint < 0 or len(faces) < _FEWEST:
            continue
        points = sample_surface(mesh.positions, faces, _POINTS).astype(np.float64)
        if part in _LIMBS and _LIMBS[part] in skeleton.roles:
            ends = skeleton.positions[[joint, skeleton.roles[_LIMBS[part]]]].astype(np.float64)
            found.append(_wrap_limb(part, joint, points, ends))
        elif part not in _LIMBS:
            found.append(_wrap_trunk(part, joint, points, axis=0 if part in _ACROSS else 1))
    return [collider for collider in found if collider.radius > 0]


def _wrap_limb(part: str, joint: int, points: Float64Array, ends: Float64Array) -> Collider:
    """Along the bone; half of the surface lies within it."""
    start, end = ends
    away = np.linalg.norm(points - nearest_on_segments(points, start, end), axis=1)
    return Collider(part, joint, start, end, float(np.median(away)))


def _wrap_trunk(part: str, joint: int, points: Float64Array, axis: int) -> Collider:
    """Along one of the axes of the mesh frame, as deep as the part."""
    low, high = np.quantile(points, (_OUTER, 1 - _OUTER), axis=0)
    center, half = (low + high) / 2, (high - low) / 2
    radius = float(half[2] if axis == 0 else half[[0, 2]].mean())
    reach = np.zeros(3)
    reach[axis] = max(half[axis] - radius, 0.0)
    return Collider(part, joint, center - reach, center + reach, radius)
