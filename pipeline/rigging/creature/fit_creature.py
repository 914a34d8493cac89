"""The skeleton of an animal or a thing: chains of joints along its trunk and limbs, from a root inside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...conventions import FORWARD
from ...orientation.form import Form
from ...progress import Progress, ignore_progress
from ...types import Float64Array, Mesh, Skeleton
from ..joint_axes import orient_bone
from ..voxel_solid import VoxelSolid
from ..voxelize import voxelize_mesh
from .curve_tree import Piece, cut_at_forks, grow_tree
from .name_limbs import LEG, ROOT, name_pieces
from .place_joints import split_line

_LEG_SEGMENTS = 3
_OUTSIDE, _NEAR = 0.6, 0.03
"""A limb's first joint is so many depths of the body away from its middle line, unless that is nearer to the
joint before it than this share of the longest side."""


@dataclass(frozen=True, eq=False)
class FittedCreature:
    """parts: (J,) name of the piece of each joint. limbs: of all pieces. solid: the interior of the mesh."""

    skeleton: Skeleton
    parts: tuple[str, ...]
    limbs: tuple[str, ...]
    solid: VoxelSolid


@dataclass
class _Joint:
    name: str
    part: str
    parent: int
    place: Float64Array


def fit_creature(mesh: Mesh, form: Form, *, progress: Progress = ignore_progress) -> FittedCreature:
    """Fit a skeleton to a mesh that is no person; form: what `read_form` says of it.

    The root is at the thickest place; chains follow the trunk and the limbs, with joints at their forks, at
    their bends and at even lengths. RigError: the mesh encloses no volume.
    """
    progress(0.0)
    solid = voxelize_mesh(mesh)
    progress(0.3)
    pieces = cut_at_forks(grow_tree(solid))
    progress(0.8)
    names = name_pieces(pieces, form.rows, form.kind, np.median(solid.centers, axis=0))
    size = float(solid.size * np.ptp(solid.indices, axis=0).max())
    joints = [_Joint(ROOT, ROOT, -1, solid.centers[int(solid.depths.argmax())])]
    ends = {-1: 0}
    for number, (piece, name) in enumerate(zip(pieces, names, strict=True)):
        ends[number] = _add_chain(joints, piece, name, ends[piece.parent], size)
    progress(1.0)
    return FittedCreature(_build(joints), tuple(joint.part for joint in joints), tuple(names), solid)


def _add_chain(joints: list[_Joint], piece: Piece, name: str, parent: int, size: float) -> int:
    """Append the joints of a piece below joint number `parent`; returns the number of the last one.

    A limb starts where it comes out of the body rather than on its middle line.
    """
    points = piece.points
    if piece.is_tip and piece.parent >= 0:
        outside = np.linalg.norm(points - points[0], axis=1) > _OUTSIDE * piece.depth
        points = points[min(int(outside.argmax()), len(points) - 2) :]
    rows = split_line(points, size, fewest=_LEG_SEGMENTS if name.startswith(LEG) else 1)
    if np.linalg.norm(joints[parent].place - points[0]) < _NEAR * size:
        rows = rows[1:]
    for count, row in enumerate(rows, start=1):
        is_end = piece.is_tip and row == rows[-1]
        joints.append(_Joint(f"{name}_end" if is_end else f"{name}_{count}", name, parent, points[row]))
        parent = len(joints) - 1
    return parent


def _build(joints: list[_Joint]) -> Skeleton:
    """+Y of a joint points to the next of its branch, or continues the bone before it."""
    rest = np.tile(np.eye(4), (len(joints), 1, 1))
    for number, joint in enumerate(joints):
        own = [other for other in joints if other.parent == number]
        own = [other for other in own if other.part == joint.part] or own
        way = own[0].place - joint.place if own else joint.place - joints[joint.parent].place
        rest[number, :3, :3] = orient_bone(way, np.array(FORWARD))
        rest[number, :3, 3] = joint.place
    parents = np.array([joint.parent for joint in joints])
    return Skeleton(tuple(joint.name for joint in joints), parents, rest, {})
