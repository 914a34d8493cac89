"""Hair, tails and skirts that follow the body's motion: VRM's spring bones, simulated along a clip.

The steps are those of the reference algorithm (VRM Consortium, specification/VRMC_springBone-1.0/README.md,
"SpringBone Algorithm"): Verlet integration of each bone's end, kept at the bone's length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from ..progress import Progress, ignore_progress
from ..rigging.colliders import Collider, nearest_on_segments
from ..rigging.pose.posing import place_keys
from ..rigging.springs import SpringRig, find_springs
from ..types import AnimationClip, BoolArray, Float64Array, Int64Array, RiggedCharacter, Skeleton
from .sampling import sample_rotations, sample_translations

_STEPS_PER_SECOND = 60
"""What VRM's numbers are made for: a step's speed is not scaled by its length."""
_WARM_UP = 1.5
"""Seconds, at least, that the first pose is held, or a loop runs, before the clip begins."""
_PUSHES = 6
"""Times that a bone's end is put out of colliders and back to its bone's length."""
_DOWN = np.array((0.0, -1.0, 0.0))


def swing_clip(
    character: RiggedCharacter, clip: AnimationClip, progress: Progress = ignore_progress
) -> AnimationClip:
    """Return the clip with the joints of hair, tail, skirt and the like moved by the rest of the body.

    Its keys stay where they are, a loop stays closed, and the same input gives the same motion. A character
    without such joints, or a clip of no length, is returned as it is.
    """
    springs, length = find_springs(character), float(clip.times[-1])
    if not springs.chains or length <= 0:
        return clip
    steps = max(round(length * _STEPS_PER_SECOND), 1)
    times = np.linspace(0.0, length, steps + 1)
    rotations = sample_rotations(clip, times)
    placed = place_keys(
        character.skeleton, rotations.astype(np.float32), sample_translations(clip, times), clip.mover
    )
    swung = rotations.copy()
    bones = _list_bones(character.skeleton, springs)
    frames = _order_frames(steps, clip.loop)
    state = _State(bones, _list_capsules(character.skeleton, springs.colliders), placed[frames[0]])
    for number, frame in enumerate(frames):
        turned = state.step(placed[frame], length / steps)
        for level, joints in zip(turned, bones, strict=True):
            swung[frame, joints.joint] = level
        progress((number + 1) / len(frames))
    if clip.loop:
        swung[-1] = swung[0]
    fine = replace(clip, times=times, rotations=swung, translations=sample_translations(clip, times))
    return replace(clip, rotations=sample_rotations(fine, clip.times.astype(np.float64)))


def _order_frames(steps: int, is_loop: bool) -> list[int]:
    """The frames in the order in which they are simulated; the last time that one comes counts."""
    warm = int(np.ceil(_WARM_UP * _STEPS_PER_SECOND))
    if is_loop:
        return [*range(steps)] * (1 + -(-warm // steps))
    return [0] * warm + [*range(steps + 1)]


@dataclass(frozen=True, eq=False)
class _Bones:
    """The n-th bones of all chains that have so many: B of them.

    joint, parent: (B,). above: (B,) rows of their parents among the bones before; -1 for the first ones.
    rest: (B, 3, 3), relative to the parent. offset: (B, 3), of the first ones from their parents, in its
    axes. axis: (B, 3) unit, to the end, in the joint's axes. length, stiffness, drag, radius: (B,).
    gravity: (B, 3). meets: (B, C) which colliders it stays out of.
    """

    joint: Int64Array
    parent: Int64Array
    above: Int64Array
    rest: Float64Array
    offset: Float64Array
    axis: Float64Array
    length: Float64Array
    stiffness: Float64Array
    drag: Float64Array
    radius: Float64Array
    gravity: Float64Array
    meets: BoolArray


def _list_bones(skeleton: Skeleton, springs: SpringRig) -> list[_Bones]:
    """The bones by how far along their chains they are."""
    rest, levels = skeleton.rest.astype(np.float64), []
    before: list[int] = []
    for level in range(max(len(chain.joints) - 1 for chain in springs.chains)):
        chains = [number for number, chain in enumerate(springs.chains) if len(chain.joints) - 1 > level]
        its = [springs.chains[number] for number in chains]
        joint, end = (np.array([chain.joints[level + add] for chain in its]) for add in (0, 1))
        parent = np.asarray(skeleton.parents, np.int64)[joint]
        up = np.swapaxes(rest[parent, :3, :3], 1, 2)
        bone = rest[end, :3, 3] - rest[joint, :3, 3]
        length = np.maximum(np.linalg.norm(bone, axis=1), 1e-9)
        axis = np.einsum("bji,bj->bi", rest[joint, :3, :3], bone / length[:, None])
        levels.append(
            _Bones(
                joint=joint,
                parent=parent,
                above=np.array([before.index(number) if before else -1 for number in chains]),
                rest=up @ rest[joint, :3, :3],
                offset=np.einsum("bij,bj->bi", up, rest[joint, :3, 3] - rest[parent, :3, 3]),
                axis=axis,
                length=length,
                stiffness=np.array([chain.settings.stiffness for chain in its]),
                drag=np.array([chain.settings.drag for chain in its]),
                radius=np.array([chain.radii[level] for chain in its]),
                gravity=np.array([chain.gravity[level] for chain in its])[:, None] * _DOWN,
                meets=np.array([np.isin(range(len(springs.colliders)), chain.colliders) for chain in its]),
            )
        )
        before = chains
    return levels


class _Capsules(NamedTuple):
    """joint, radius: (C,). start, end: (C, 3) metres in the joint's axes, or posed in the mesh frame."""

    joint: Int64Array
    start: Float64Array
    end: Float64Array
    radius: Float64Array

    def pose(self, placed: Float64Array) -> _Capsules:
        """Those of posed joints (J, 4, 4)."""
        turn, place = placed[self.joint, :3, :3], placed[self.joint, :3, 3]
        start, end = (np.einsum("cij,cj->ci", turn, at) + place for at in (self.start, self.end))
        return self._replace(start=start, end=end)


def _list_capsules(skeleton: Skeleton, colliders: Sequence[Collider]) -> _Capsules:
    joint = np.array([collider.joint for collider in colliders], np.int64)
    at_rest = _Capsules(
        joint,
        np.array([collider.start for collider in colliders]).reshape(-1, 3),
        np.array([collider.end for collider in colliders]).reshape(-1, 3),
        np.array([collider.radius for collider in colliders]),
    )
    # Of the inverse of a transform, pose() takes the row of each joint in turn.
    return at_rest.pose(np.linalg.inv(skeleton.rest.astype(np.float64)))


class _State:
    """Where the ends of the bones are and were."""

    def __init__(self, levels: Sequence[_Bones], capsules: _Capsules, placed: Float64Array) -> None:
        self._levels, self._capsules = levels, capsules
        self._ends: list[Float64Array] = []
        turn = np.zeros((0, 3, 3))
        for bones in levels:
            above, start = _find_start(bones, placed, turn, self._ends)
            turn = above @ bones.rest
            along = np.einsum("bij,bj->bi", turn, bones.axis)
            self._ends.append(start + bones.length[:, None] * along)
        self._before = list(self._ends)

    def step(self, placed: Float64Array, seconds: float) -> list[Float64Array]:
        """Move on to joint transforms (J, 4, 4); return each level's quaternions (B, 4), local."""
        capsules, turn, turned = self._capsules.pose(placed), np.zeros((0, 3, 3)), []
        ends: list[Float64Array] = []
        for bones, now, before in zip(self._levels, self._ends, self._before, strict=True):
            above, start = _find_start(bones, placed, turn, ends)
            rest = above @ bones.rest
            toward = np.einsum("bij,bj->bi", rest, bones.axis)
            moved = now + (now - before) * (1 - bones.drag[:, None])
            moved += seconds * (bones.stiffness[:, None] * toward + bones.gravity)
            ends.append(_keep_out(bones, start, _reach(bones, start, moved), capsules))
            turn = _turn_between(toward, (ends[-1] - start) / bones.length[:, None]) @ rest
            turned.append(Rotation.from_matrix(np.swapaxes(above, 1, 2) @ turn).as_quat())
        self._before, self._ends = self._ends, ends
        return turned


def _find_start(
    bones: _Bones, placed: Float64Array, turn: Float64Array, ends: Sequence[Float64Array]
) -> tuple[Float64Array, Float64Array]:
    """Axes (B, 3, 3) of the parents, and where the bones begin (B, 3).

    turn, ends: axes and ends of the bones before, which begin the next ones; none for the first.
    """
    if ends:
        return turn[bones.above], ends[-1][bones.above]
    turns = placed[bones.parent, :3, :3]
    return turns, placed[bones.parent, :3, 3] + np.einsum("bij,bj->bi", turns, bones.offset)


def _reach(bones: _Bones, place: Float64Array, ends: Float64Array) -> Float64Array:
    """The ends (B, 3), put at their bones' lengths from where these begin."""
    along = ends - place
    return place + bones.length[:, None] * along / np.maximum(
        np.linalg.norm(along, axis=1, keepdims=True), 1e-12
    )


def _keep_out(bones: _Bones, place: Float64Array, ends: Float64Array, capsules: _Capsules) -> Float64Array:
    """The ends (B, 3), moved out of the capsules that they meet; the deepest first."""
    if not len(capsules.radius):
        return ends
    for _ in range(_PUSHES):
        away = ends[:, None] - nearest_on_segments(ends[:, None], capsules.start, capsules.end)
        distance = np.linalg.norm(away, axis=2)
        depth = np.where(bones.meets, capsules.radius + bones.radius[:, None] - distance, 0.0)
        deepest = depth.argmax(axis=1)
        rows = np.arange(len(ends))
        inside = depth[rows, deepest] > 1e-9
        if not inside.any():
            break
        way = away[rows, deepest] / np.maximum(distance[rows, deepest], 1e-12)[:, None]
        ends = _reach(bones, place, ends + np.where(inside, depth[rows, deepest], 0.0)[:, None] * way)
    return ends


def _turn_between(start: Float64Array, stop: Float64Array) -> Float64Array:
    """The shortest rotations (B, 3, 3) from unit vectors (B, 3) to others."""
    half = np.concatenate((np.cross(start, stop), 1 + (start * stop).sum(axis=1, keepdims=True)), axis=1)
    opposite = np.linalg.norm(half, axis=1) < 1e-6
    across = np.cross(start[opposite], np.eye(3)[np.abs(start[opposite]).argmin(axis=1)])
    half[opposite] = np.pad(across, ((0, 0), (0, 1)))
    return Rotation.from_quat(half).as_matrix()
