"""What `pose_type` means: which joints already are in the T-pose, and how the others get there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ...pipeline.rigging import pose_joints
from ...pipeline.rigging.pose.posing import skin_mesh
from ...pipeline.rigging.skeleton import PREFIX, SIDES, build_skeleton
from ...pipeline.types import FloatArray, Mesh, Skeleton, SkinWeights
from .joints import NAMES, PARENTS

_ARMS = tuple(side + part for side in SIDES for part in ("Shoulder", "Arm"))
MOVING: Mapping[str, tuple[str, ...]] = {"大-pose": (), "T-pose": (), "A-pose": _ARMS, "No": NAMES[1:]}
"""The joints that are rotated to the T-pose, by the pose the mesh is declared to stand in.

For a 大-pose the reference intends to rotate the upper legs, but its search for `Leg` in the names
finds none.
"""


def list_turns(turns: FloatArray, skeleton: Skeleton, pose_type: str) -> dict[str, FloatArray]:
    """Rotations (3, 3) of the moving joints in their own rest frames, keyed by name as for `pose_joints`.

    turns: (52, 3, 3), global rotations of the joints in the mesh's frame; the one of Hips is ignored.
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
    """Rotate joints and make the result the new rest pose of mesh and skeleton, its lowest point unchanged.

    turns: joint name -> rotation (3, 3) in the joint's rest frame.
    """
    posed = pose_joints(skeleton, turns)
    moved = skin_mesh(mesh, skeleton, skin, posed)
    lift = np.array((0.0, mesh.positions[:, 1].min() - moved.positions[:, 1].min(), 0.0))
    places = {
        name.removeprefix(PREFIX): place
        for name, place in zip(skeleton.names, posed[:, :3, 3] + lift, strict=True)
    }
    return replace(moved, positions=moved.positions + lift), build_skeleton(places)
