"""What `pose_type` means: which joints already stand as in the T-pose, and the way there for the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ...pipeline.normals import vertex_normals
from ...pipeline.rig import pose_joints, pose_vertices
from ...pipeline.rig.skeleton import PREFIX, SIDES, build_skeleton
from ...pipeline.types import FloatArray, Mesh, Skeleton, SkinWeights
from .joints import NAMES, PARENTS

_ARMS = tuple(side + part for side in SIDES for part in ("Shoulder", "Arm"))
MOVING: Mapping[str, tuple[str, ...]] = {"大-pose": (), "T-pose": (), "A-pose": _ARMS, "No": NAMES[1:]}
"""The joints that are turned to the T-pose, by the pose that the mesh is said to stand in.

Of a 大-pose the reference means to turn the upper legs, and turns nothing: it looks for `Leg` within names.
"""


def list_turns(turns: FloatArray, skeleton: Skeleton, pose_type: str) -> dict[str, FloatArray]:
    """Turns of the moving joints, each (3, 3) in its own rest frame, by name, as `pose_joints` takes them.

    turns: (52, 3, 3) of the whole bodies of the joints, in the mesh's frame; that of Hips counts as none.
    """
    found = {}
    for name in MOVING[pose_type]:
        joint = NAMES.index(name)
        parent = PARENTS[joint]
        turn = turns[joint] if parent == 0 else turns[parent].T @ turns[joint]
        own = skeleton.rest[skeleton.index(PREFIX + name), :3, :3].astype(np.float64)
        found[PREFIX + name] = own.T @ turn @ own
    return found


def reset_to_rest(
    mesh: Mesh, skeleton: Skeleton, skin: SkinWeights, turns: Mapping[str, FloatArray]
) -> tuple[Mesh, Skeleton]:
    """Turn joints, and make where mesh and skeleton then are the rest pose; it stands as high as before.

    turns: joint name -> (3, 3) in the joint's rest frame.
    """
    positions = pose_vertices(mesh, skeleton, skin, turns)
    lift = np.array((0.0, mesh.positions[:, 1].min() - positions[:, 1].min(), 0.0))
    posed = pose_joints(skeleton, turns)[:, :3, 3] + lift
    places = {name.removeprefix(PREFIX): place for name, place in zip(skeleton.names, posed, strict=True)}
    normals = None if mesh.normals is None else _turn_normals(mesh, positions, skeleton, skin, turns)
    return replace(mesh, positions=positions + lift, normals=normals), build_skeleton(places)


def _turn_normals(
    mesh: Mesh,
    positions: FloatArray,
    skeleton: Skeleton,
    skin: SkinWeights,
    turns: Mapping[str, FloatArray],
) -> FloatArray:
    """Where the normals' tips go, seen from where their vertices go: smooth over seams, as they were."""
    tips = replace(mesh, positions=mesh.positions + vertex_normals(mesh))
    turned = pose_vertices(tips, skeleton, skin, turns) - positions
    return turned / np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-12)
