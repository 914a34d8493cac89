"""Linear blend skinning, for previews and tests."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ..types import FloatArray, Mesh, Skeleton, SkinWeights


def pose_joints(skeleton: Skeleton, rotations: Mapping[str, npt.ArrayLike]) -> npt.NDArray[np.float64]:
    """Return (J, 4, 4) joint transforms in the mesh frame.

    rotations: joint name -> (3, 3), applied in the joint's own rest frame. ValueError for unknown names.
    """
    turns = {skeleton.index(name): np.asarray(turn, np.float64) for name, turn in rotations.items()}
    rest = skeleton.rest.astype(np.float64)
    posed = np.empty_like(rest)
    for index, parent in enumerate(skeleton.parents):
        local = rest[index] if parent < 0 else np.linalg.solve(rest[parent], rest[index])
        posed[index] = local if parent < 0 else posed[parent] @ local
        if index in turns:
            posed[index, :3, :3] = posed[index, :3, :3] @ turns[index]
    return posed


def pose_vertices(
    mesh: Mesh, skeleton: Skeleton, skin: SkinWeights, rotations: Mapping[str, npt.ArrayLike]
) -> FloatArray:
    """Return the (V, 3) positions of the mesh with joints turned from rest; see `pose_joints`."""
    posed = pose_joints(skeleton, rotations)
    moves = posed @ np.linalg.inv(skeleton.rest.astype(np.float64))
    points = np.concatenate((mesh.positions, np.ones((len(mesh.positions), 1), np.float32)), axis=1)
    moved = np.einsum("vkij,vj->vki", moves[skin.joints, :3], points)
    return np.einsum("vk,vki->vi", skin.weights, moved).astype(np.float32)
