"""The whole method: a mesh in; the skeleton that the model says, or a given one, and its skin weights out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.spatial import cKDTree

from ...pipeline.conventions import MAX_INFLUENCES
from ...pipeline.errors import MeshError, RigError
from ...pipeline.progress import Progress, ignore_progress, span_progress
from ...pipeline.rigging.adopt_skeleton import adopt_skeleton, fold_weights
from ...pipeline.rigging.skeleton import PREFIX
from ...pipeline.rigging.skin.skinning import keep_strongest
from ...pipeline.types import Float64Array, FloatArray, Int64Array, Mesh, Skeleton, SkinWeights
from ..model_frame import ModelFrame
from ..predicted_rig import PredictedRig
from ..surface_points import build_surface, sample_surface
from .loading import RigModel, move_model
from .sampling import Sampling, say_rig
from .tokens import ARTICULATION, START, Joints, read_joints, split_codes, write_joints

POINTS = 54_000
_NEAREST = 8
_Z_UP = np.array(((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)))
"""From our frame to the model's, Blender's: +Z up, facing -Y."""
_SHAPE, _SAID = 0.1, 0.6
"""Fractions of the progress at which the shape and the sentence are done."""


class SaidRig(NamedTuple):
    """positions: (J, 3) metres. parents: (J,), before their children. weights: (V, J), rows sum to 1."""

    positions: Float64Array
    parents: Int64Array
    weights: FloatArray


def rig_mesh(
    mesh: Mesh, patcher: Any, *, seed: int = 0, progress: Progress = ignore_progress
) -> PredictedRig:
    """Rig an upright mesh that faces +Z with the model's own skeleton; a person's has our joints.

    The skeleton of anything else keeps the model's joints and has no roles. Raises as predict_rig.
    """
    said = predict_rig(mesh, patcher, seed=seed, progress=progress)
    adopted = adopt_skeleton(mesh, said.positions, said.parents)
    skeleton = adopted.skeleton
    folded = fold_weights(said.weights, adopted)
    skin = _bind(folded, list(range(len(skeleton.names))))
    warning = (
        f"the model's skeleton of {len(said.parents)} joints is no standing person's: its joints are "
        "numbered, it keeps its pose, and what needs a humanoid cannot use it"
    )
    metrics = {"joints": float(len(said.parents))}
    return PredictedRig(skeleton, skin, {}, () if skeleton.roles else (warning,), metrics)


def skin_mesh(
    mesh: Mesh,
    skeleton: Skeleton,
    patcher: Any,
    *,
    hidden: Collection[str] = (),
    seed: int = 0,
    progress: Progress = ignore_progress,
) -> SkinWeights:
    """Bind an upright mesh that faces +Z to a given skeleton by the model. Raises as predict_rig.

    hidden: names, without prefix, of joints that nothing is bound to. The ends of chains carry no weight.
    """
    joints = _list_bound(skeleton, hidden)
    parents = [joints.index(int(skeleton.parents[joint])) if joint else -1 for joint in joints]
    weights = predict_skin(mesh, skeleton.positions[joints], parents, patcher, seed=seed, progress=progress)
    return _bind(weights, joints)


def predict_rig(mesh: Mesh, patcher: Any, *, seed: int = 0, progress: Progress = ignore_progress) -> SaidRig:
    """Let the model say a skeleton for an upright mesh, and how it moves each vertex.

    patcher: from load_model. seed: of the points on the surface, and of the draws; the same mesh and seed
    always give the same rig on the same device. MeshError: no surface. RigError: no valid skeleton was said.
    """
    frame, points = _draw_points(mesh, mesh.positions, seed)
    words, columns = _say(patcher, points, [START, ARTICULATION], Sampling(seed=seed), progress)
    joints = read_joints(words)
    weights = _spread(points, columns, frame.to_model(mesh.positions))
    return SaidRig(frame.to_mesh(joints.positions), joints.parents, weights)


def predict_skin(
    mesh: Mesh,
    positions: FloatArray,
    parents: Sequence[int],
    patcher: Any,
    *,
    seed: int = 0,
    progress: Progress = ignore_progress,
) -> FloatArray:
    """Let the model say how the joints of a given skeleton move each vertex: (V, J), rows sum to 1.

    positions: (J, 3) metres. parents: (J,), before their children; -1 for the first alone. Raises as
    predict_rig.
    """
    frame, points = _draw_points(mesh, np.concatenate((mesh.positions, positions)), seed)
    given = Joints(frame.to_model(positions), np.array(parents, np.int64))
    _, columns = _say(patcher, points, write_joints(given), Sampling(seed=seed), progress)
    return _spread(points, columns, frame.to_model(mesh.positions))


def _draw_points(mesh: Mesh, inside: FloatArray, seed: int) -> tuple[ModelFrame, FloatArray]:
    """The frame in which `inside` (n, 3) lies between -1 and 1, and points with normals (POINTS, 6) in it."""
    low, high = inside.min(axis=0).astype(np.float64), inside.max(axis=0).astype(np.float64)
    frame = ModelFrame((low + high) / 2, _Z_UP, 2.0 / max(float((high - low).max()), 1e-12))
    surface = build_surface(frame.to_model(mesh.positions), mesh.faces)
    if not surface.area > 0:
        raise MeshError(f"the mesh has no surface: {len(mesh.faces)} faces of {surface.area:g} square units")
    points = np.concatenate(sample_surface(surface, np.random.default_rng(seed), POINTS), axis=1)
    return frame, points


def _say(
    patcher: Any, points: FloatArray, first: Sequence[int], sampling: Sampling, progress: Progress
) -> tuple[list[int], FloatArray]:
    """The sentence that begins with the words `first`, and the weights (POINTS, J) it gives the points."""
    progress(0.0)
    model, device = move_model(patcher)
    cloud = torch.from_numpy(points).to(device)
    shape = model.shape(cloud, span_progress(progress, 0, _SHAPE))
    words = say_rig(model.language, shape, first, sampling, span_progress(progress, _SHAPE, _SAID))
    return words, decode_skin(model, cloud, words, sampling.seed or 0, span_progress(progress, _SAID, 1))


def decode_skin(
    model: RigModel, cloud: torch.Tensor, words: Sequence[int], seed: int, progress: Progress
) -> FloatArray:
    """Weights (N, J), 0 to 1, of points with normals (N, 6) by a whole sentence; RigError if it is none."""
    codes = torch.from_numpy(split_codes(words, len(read_joints(words).parents))).to(cloud.device)
    condition = model.skin.encode_shape(cloud, seed)
    weights: FloatArray = model.skin.decode(codes, condition, cloud, progress).cpu().numpy()
    return weights


def _spread(points: FloatArray, weights: FloatArray, places: FloatArray) -> FloatArray:
    """Weights (V, J) at places (V, 3) from those (N, J) of the points around them; rows sum to 1."""
    spread = average_nearest(points[:, :3], weights, places)
    total = spread.sum(axis=1, keepdims=True)
    if not (total > 0).all():
        raise RigError(f"the model bound {int((total <= 0).sum())} of {len(places)} vertices to no joint")
    return np.asarray(spread / total, np.float32)


def average_nearest(points: FloatArray, values: FloatArray, places: FloatArray) -> FloatArray:
    """Values (V, J) at places (V, 3): those (N, J) of the nearest points (N, 3), the nearer the more."""
    away, nearest = cKDTree(points).query(places, k=min(_NEAREST, len(points)))
    away, nearest = away.reshape(len(places), -1), nearest.reshape(len(places), -1)
    shares = 1 / (away + 1e-8)
    shares /= shares.sum(axis=1, keepdims=True)
    averaged: FloatArray = np.einsum("vk,vkj->vj", shares, values[nearest])
    return averaged


def _bind(weights: FloatArray, joints: list[int]) -> SkinWeights:
    """The strongest of weights (V, J) of joints of a skeleton, which may have fewer than a vertex can."""
    missing = max(MAX_INFLUENCES - len(joints), 0)
    padded = np.pad(weights, ((0, 0), (0, missing)))
    return SkinWeights(*keep_strongest(padded, np.array([*joints, *joints[:1] * missing])))


def _list_bound(skeleton: Skeleton, hidden: Collection[str]) -> list[int]:
    """The joints that have a role or children, and are not hidden or below one that is."""
    named, inner = set(skeleton.roles.values()), set(skeleton.parents.tolist())
    bound: list[int] = []
    for joint, parent in enumerate(skeleton.parents.tolist()):
        is_hidden = skeleton.names[joint].removeprefix(PREFIX) in hidden
        if joint in named | inner and not is_hidden and (parent < 0 or parent in bound):
            bound.append(joint)
    return bound
