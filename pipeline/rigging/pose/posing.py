"""Forward kinematics and linear blend skinning.

A *turn* is the rotation, in the mesh frame, from a joint's rest axes to its posed axes: the identity at rest,
whatever the joint's axes are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.spatial.transform import Rotation

from ...types import Float64Array, FloatArray, Mesh, Skeleton, SkinWeights


def pose_joints(skeleton: Skeleton, rotations: Mapping[str, npt.ArrayLike]) -> Float64Array:
    """Return the joint transforms (J, 4, 4) in the mesh frame.

    rotations: joint name -> (3, 3), in the joint's own rest frame. Raises ValueError for unknown names.
    """
    added = {skeleton.index(name): np.asarray(turn, np.float64) for name, turn in rotations.items()}
    axes = skeleton.rest[:, :3, :3].astype(np.float64)
    turns = np.tile(np.eye(3), (len(axes), 1, 1))
    for index, parent in enumerate(skeleton.parents):
        if parent >= 0:
            turns[index] = turns[parent]
        if index in added:
            turns[index] = turns[index] @ axes[index] @ added[index] @ axes[index].T
    return place_joints(skeleton, turns, skeleton.positions[0])


def turn_about(axis: str, degrees: npt.ArrayLike) -> Float64Array:
    """Return the rotations (..., 3, 3) by `degrees` (...) about "x", "y" or "z" of the mesh frame."""
    vectors = np.asarray(degrees, np.float64)[..., None] * np.eye(3)["xyz".index(axis)]
    turns = Rotation.from_rotvec(vectors.reshape(-1, 3), degrees=True).as_matrix()
    return turns.reshape(*vectors.shape, 3)


def place_joints(skeleton: Skeleton, turns: npt.ArrayLike, root: npt.ArrayLike) -> Float64Array:
    """Return the joint transforms (..., J, 4, 4) for turns (..., J, 3, 3), keeping the lengths of the bones.

    root: (..., 3) metres, position of the first joint.
    """
    turned, rest = np.asarray(turns, np.float64), skeleton.rest.astype(np.float64)
    placed = np.zeros((*turned.shape[:-2], 4, 4))
    placed[..., :3, :3] = turned @ rest[:, :3, :3]
    placed[..., 3, 3] = 1.0
    for index, parent in enumerate(skeleton.parents):
        if index == 0:
            placed[..., 0, :3, 3] = root
        else:
            anchor = max(int(parent), 0)
            offset = rest[index, :3, 3] - rest[anchor, :3, 3]
            placed[..., index, :3, 3] = placed[..., anchor, :3, 3] + turned[..., anchor, :, :] @ offset
    return placed


def rotations_to_turns(skeleton: Skeleton, rotations: FloatArray) -> Float64Array:
    """Return the turns (T, J, 3, 3) for an AnimationClip's quaternions (T, J, 4)."""
    local = Rotation.from_quat(rotations.reshape(-1, 4)).as_matrix().reshape(*rotations.shape[:2], 3, 3)
    world = np.empty_like(local)
    for index, parent in enumerate(skeleton.parents):
        world[:, index] = local[:, index] if parent < 0 else world[:, parent] @ local[:, index]
    return world @ np.swapaxes(skeleton.rest[:, :3, :3], 1, 2)


def place_keys(
    skeleton: Skeleton, rotations: FloatArray, translations: FloatArray, mover: int
) -> Float64Array:
    """Return the joint transforms (T, J, 4, 4) for quaternions (T, J, 4) and positions (T, 3) of a joint.

    mover: the joint that the positions, metres, belong to, as in an AnimationClip.
    """
    placed = place_joints(skeleton, rotations_to_turns(skeleton, rotations), np.zeros(3))
    shift = translations.astype(np.float64) - placed[:, mover, :3, 3]
    placed[:, mover:, :3, 3] += shift[:, None]
    placed[:, :mover] = skeleton.rest[:mover]
    return placed


def turns_to_rotations(skeleton: Skeleton, turns: Float64Array) -> FloatArray:
    """Return an AnimationClip's quaternions (T, J, 4) float32 for turns (T, J, 3, 3) at its keys.

    Their signs are continuous over time, see `make_continuous`.
    """
    world = turns @ skeleton.rest[:, :3, :3].astype(np.float64)
    local = world.copy()
    for index, parent in enumerate(skeleton.parents):
        if parent >= 0:
            local[:, index] = np.swapaxes(world[:, parent], 1, 2) @ world[:, index]
    quaternions = Rotation.from_matrix(local.reshape(-1, 3, 3)).as_quat().reshape(*local.shape[:2], 4)
    return make_continuous(quaternions).astype(np.float32)


def make_continuous(quaternions: Float64Array) -> Float64Array:
    """Return unit quaternions (T, ..., 4), each the one of q and -q that is closer to its predecessor."""
    flipped = (quaternions[1:] * quaternions[:-1]).sum(axis=-1, keepdims=True) < 0
    signs = np.cumprod(np.where(flipped, -1.0, 1.0), axis=0)
    return np.concatenate((quaternions[:1], quaternions[1:] * signs))


def skin_mesh(mesh: Mesh, skeleton: Skeleton, skin: SkinWeights, placed: Float64Array) -> Mesh:
    """Return the mesh deformed by linear blend skinning to joint transforms (J, 4, 4).

    Its normals and morph targets turn with it.
    """
    moves = placed @ np.linalg.inv(skeleton.rest.astype(np.float64))
    rows = np.repeat(np.arange(len(skin.joints)), skin.joints.shape[1])
    size = (len(skin.joints), len(moves))
    shares = sparse.csr_matrix((skin.weights.ravel(), (rows, skin.joints.ravel())), shape=size)
    blended = (shares @ moves[:, :3].reshape(-1, 12)).reshape(-1, 3, 4)
    positions = np.einsum("vij,vj->vi", blended[..., :3], mesh.positions) + blended[..., 3]
    extras = None if mesh.extras is None else mesh.extras.deform(blended[..., :3])
    mesh = replace(mesh, positions=positions, extras=extras)
    if mesh.normals is None:
        return mesh
    normals = np.einsum("vij,vj->vi", blended[..., :3], mesh.normals)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return replace(mesh, normals=normals)


def pose_vertices(
    mesh: Mesh, skeleton: Skeleton, skin: SkinWeights, rotations: Mapping[str, npt.ArrayLike]
) -> FloatArray:
    """Return the positions (V, 3) of the mesh in the pose of `pose_joints`."""
    return skin_mesh(mesh, skeleton, skin, pose_joints(skeleton, rotations)).positions
