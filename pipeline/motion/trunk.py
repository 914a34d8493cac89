"""Hands and forearms stay out of the trunk: where they would enter it, the arm swings out at its shoulder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from ..progress import Progress, ignore_progress
from ..rigging.pose.posing import place_joints
from ..rigging.pose.rest_pose import SIDE_SIGNS, TRUNK_ROLES
from ..types import Float64Array, IntArray, RiggedCharacter, Skeleton

_SLABS, _SECTORS = 24, 24
_SURFACE = 90.0
"""Percentile of the distances from the axis that counts as the surface."""
_SMOOTH_SECONDS = 0.1
_ROUNDS = 3
_LEAST = 1e-3
"""Metres."""


@dataclass(frozen=True, eq=False)
class Trunk:
    """The trunk in the rest pose as radii about the axis of each joint's slabs.

    joints: (S,) the joint that moves each slab. levels: (S + 1,) heights between which the slabs lie, metres.
    centers: (S, 2) x and z of their axes. radii: (S, _SECTORS) metres.
    """

    joints: IntArray
    levels: Float64Array
    centers: Float64Array
    radii: Float64Array

    def measure_depth(
        self, skeleton: Skeleton, placed: Float64Array, points: Float64Array
    ) -> tuple[Float64Array, Float64Array]:
        """Return how deep points (T, N, 3) are in the trunk, (T, N) metres, and the way out, (T, N, 3).

        placed: (T, J, 4, 4) transforms of the joints. Depth is negative outside, and -inf beside all slabs.
        """
        depth, out = np.full(points.shape[:2], -np.inf), np.zeros_like(points)
        for joint in np.unique(self.joints):
            move = placed[:, joint] @ np.linalg.inv(skeleton.rest[joint].astype(np.float64))
            own = np.einsum("tji,tnj->tni", move[:, :3, :3], points - move[:, None, :3, 3])
            slab = np.searchsorted(self.levels, own[..., 1]) - 1
            inside = (slab >= 0) & (slab < len(self.joints))
            slab = slab.clip(0, len(self.joints) - 1)
            inside &= self.joints[slab] == joint
            offset = own[..., (0, 2)] - self.centers[slab]
            reach = np.linalg.norm(offset, axis=-1)
            angle = np.arctan2(offset[..., 1], offset[..., 0])
            here = np.where(inside, self._find_radius(slab, angle) - reach, -np.inf)
            aside = np.insert(offset / np.maximum(reach, 1e-9)[..., None], 1, 0.0, axis=-1)
            turned = np.einsum("tij,tnj->tni", move[:, :3, :3], aside)
            deeper = here > depth
            depth, out = np.where(deeper, here, depth), np.where(deeper[..., None], turned, out)
        return depth, out

    def _find_radius(self, slab: IntArray, angle: Float64Array) -> Float64Array:
        """Radii between the sectors' middles, linear."""
        place = (angle / (2 * np.pi) % 1) * _SECTORS
        one = np.floor(place).astype(int) % _SECTORS
        share = place - np.floor(place)
        return (1 - share) * self.radii[slab, one] + share * self.radii[slab, (one + 1) % _SECTORS]


def measure_trunk(character: RiggedCharacter) -> Trunk | None:
    """Return the trunk from the vertices that its joints move most; None if they move hardly any."""
    skeleton, skin = character.skeleton, character.skin
    owner = skin.joints[np.arange(len(skin.joints)), skin.weights.argmax(axis=1)]
    parts = [skeleton.roles[role] for role in ("hips", *TRUNK_ROLES) if role in skeleton.roles]
    own = np.flatnonzero(np.isin(owner, parts) & (skin.weights.max(axis=1) > 0.5))
    if len(own) < 3 * _SLABS:
        return None
    points, owner = character.textured.mesh.positions[own].astype(np.float64), owner[own]
    levels = np.linspace(points[:, 1].min(), points[:, 1].max(), _SLABS + 1)
    slab = (np.searchsorted(levels, points[:, 1]) - 1).clip(0, _SLABS - 1)
    joints, centers = np.zeros(_SLABS, np.int64), np.zeros((_SLABS, 2))
    radii = np.zeros((_SLABS, _SECTORS))
    for number in range(_SLABS):
        here = slab == number
        if not here.any():
            joints[number], centers[number] = parts[0], np.nan
            continue
        joints[number] = np.bincount(owner[here]).argmax()
        flat = points[here][:, (0, 2)]
        centers[number] = (flat.min(axis=0) + flat.max(axis=0)) / 2
        radii[number] = _measure_radii(flat - centers[number])
    centers[np.isnan(centers)] = 0.0
    return Trunk(joints, levels, centers, radii)


def _measure_radii(offsets: Float64Array) -> Float64Array:
    """(_SECTORS,) distance of the surface in each direction; an empty sector's from those beside it."""
    sector = np.rint((np.arctan2(offsets[:, 1], offsets[:, 0]) / (2 * np.pi) % 1) * _SECTORS).astype(int)
    reach, radii = np.linalg.norm(offsets, axis=1), np.full(_SECTORS, np.nan)
    for number in range(_SECTORS):
        own = reach[sector % _SECTORS == number]
        if len(own):
            radii[number] = np.percentile(own, _SURFACE)
    known = np.flatnonzero(~np.isnan(radii))
    return np.interp(np.arange(_SECTORS), known, radii[known], period=_SECTORS)


def keep_out_of_trunk(
    character: RiggedCharacter,
    turns: Float64Array,
    root: Float64Array,
    times: Float64Array,
    progress: Progress = ignore_progress,
) -> Float64Array:
    """Return the turns (T, J, 3, 3) from rest with arms that swing out where they would enter the trunk.

    root: (T, 3) position of the first joint, metres.
    """
    trunk = measure_trunk(character)
    if trunk is None:
        return turns
    turns = turns.copy()
    step = float(np.median(np.diff(times)))
    for number in range(_ROUNDS):
        placed = place_joints(character.skeleton, turns, root)
        for side in SIDE_SIGNS:
            _swing_arm(character, trunk, turns, placed, side, _SMOOTH_SECONDS / step)
        progress((number + 1) / _ROUNDS)
    return turns


def _swing_arm(
    character: RiggedCharacter,
    trunk: Trunk,
    turns: Float64Array,
    placed: Float64Array,
    side: str,
    sigma: float,
) -> None:
    """Turn one arm at its shoulder, in place, by what takes its deepest point out of the trunk."""
    skeleton, roles = character.skeleton, character.skeleton.roles
    points, radii = _place_arm(character, placed, side)
    depth, out = trunk.measure_depth(skeleton, placed, points)
    depth = depth + radii
    deepest = depth.argmax(axis=1)
    keys = np.arange(len(points))
    worst = depth[keys, deepest].clip(0.0)
    if worst.max() < _LEAST:
        return
    arm = points[keys, deepest] - placed[:, roles[side + "UpperArm"], :3, 3]
    axis = np.cross(arm, out[keys, deepest])
    square = np.maximum((arm**2).sum(axis=1), 1e-9)
    vectors = axis * (worst / square)[:, None]
    eased = ndimage.gaussian_filter1d(vectors, sigma, axis=0, mode="nearest")
    widest = ndimage.maximum_filter1d(np.linalg.norm(vectors, axis=1), max(2 * round(sigma) + 1, 3))
    size = np.linalg.norm(eased, axis=1)
    wanted = np.maximum(ndimage.gaussian_filter1d(widest, sigma, mode="nearest"), size)
    swing = Rotation.from_rotvec(eased * (wanted / np.maximum(size, 1e-9))[:, None]).as_matrix()
    for joint in skeleton.list_below(roles[side + "UpperArm"]):
        turns[:, joint] = swing @ turns[:, joint]


def _place_arm(
    character: RiggedCharacter, placed: Float64Array, side: str
) -> tuple[Float64Array, Float64Array]:
    """Points (T, N, 3) along forearm and hand, and the radii (N,) of what is around them, metres."""
    skeleton, mesh, skin = character.skeleton, character.textured.mesh, character.skin
    owner = skin.joints[np.arange(len(skin.joints)), skin.weights.argmax(axis=1)]
    rest = skeleton.positions.astype(np.float64)
    elbow, wrist = (skeleton.roles[side + part] for part in ("LowerArm", "Hand"))
    along = rest[wrist] - rest[elbow]
    of_hand = mesh.positions[np.isin(owner, skeleton.list_below(wrist))]
    unit = along / max(float(np.linalg.norm(along)), 1e-9)
    reach = float(np.percentile((of_hand - rest[wrist]) @ unit, 90)) if len(of_hand) else 0.0
    middle = of_hand.mean(axis=0) - rest[wrist] if len(of_hand) else np.zeros(3)
    tip = middle + (reach - middle @ unit) * unit
    radii = [_measure_radius(mesh.positions[owner == elbow] - rest[elbow], unit)] * 3
    radii += [_measure_radius(of_hand - rest[wrist] - middle, unit)] * 2
    fore = [rest[elbow] + share * along for share in (0.4, 0.7, 1.0)]
    hand = [rest[wrist] + middle, rest[wrist] + tip]
    moved = [
        _follow(placed[:, joint], skeleton.rest[joint], np.array(points))
        for joint, points in ((elbow, fore), (wrist, hand))
    ]
    return np.concatenate(moved, axis=1), np.array(radii)


def _follow(placed: Float64Array, rest: Float64Array, points: Float64Array) -> Float64Array:
    """Points (N, 3) of the rest pose where a joint at (T, 4, 4) has them, (T, N, 3)."""
    move = placed @ np.linalg.inv(rest.astype(np.float64))
    return np.einsum("tij,nj->tni", move[:, :3, :3], points) + move[:, None, :3, 3]


def _measure_radius(points: Float64Array, unit: Float64Array) -> float:
    """Half the median thickness of points (N, 3) about an axis through the origin, metres."""
    if not len(points):
        return 0.0
    return float(np.median(np.linalg.norm(points - (points @ unit)[:, None] * unit, axis=1)))
