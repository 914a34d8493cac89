"""The whole method: a mesh in; its skeleton, skin weights and rotations to the T-pose out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...pipeline.conventions import REST_POSES
from ...pipeline.errors import MeshError
from ...pipeline.mesh.normals import compute_vertex_normals
from ...pipeline.progress import Progress, ignore_progress, span_progress
from ...pipeline.rigging.skeleton import PREFIX, build_skeleton
from ...pipeline.rigging.skin.skinning import keep_strongest
from ...pipeline.types import Float64Array, FloatArray, Mesh, Skeleton, SkinWeights
from ..model_frame import ModelFrame
from ..predicted_rig import PredictedRig
from ..surface_points import Samples, build_surface, sample_surface
from .frame import face_forward, fit_bounds, fit_scale
from .joints import ENDS, NAMES
from .loading import move_model
from .model import PointCloud, PointModel
from .points import COUNT, sample_body_and_hands
from .rest import list_turns
from .skin import mix_weights, refine_weights
from .tree import axes_to_matrices

_HANDS = [NAMES.index("LeftHand"), NAMES.index("RightHand")]
_HEAD = NAMES.index("Head")
_SEED = 0
"""Seed of the points sampled on the surface: the same mesh always gets the same rig."""

Models = Mapping[str, Any]
"""A ModelPatcher for each model, from load_models."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """In the model's frame: both ends of each bone (52, 6), turns (52, 3, 3), weights (V, 52)."""

    joints: FloatArray
    turns: FloatArray
    weights: FloatArray


def rig_mesh(
    mesh: Mesh, models: Models, *, pose_type: str = "大-pose", progress: Progress = ignore_progress
) -> PredictedRig:
    """Predict the 52 joints of Mixamo's skeleton and the skin of an upright mesh.

    models: from load_models. pose_type: the pose the mesh stands in, which decides the joints in `turns`
    (rest.MOVING). Each vertex has at most four influences that sum to 1; vertices at the same position get
    equal weights. ValueError: unknown `pose_type`. MeshError: no surface. RigError: no forward direction.
    """
    if pose_type not in REST_POSES:
        raise ValueError(f"pose_type: expected one of {', '.join(REST_POSES)}, got {pose_type!r}")
    places, copies = np.unique(mesh.positions, axis=0, return_inverse=True)
    copies = copies.reshape(-1)
    faces = copies[mesh.faces]
    frame, samples = _draw_samples(places, faces, models, span_progress(progress, 0, 0.25))
    seen = frame.to_model(places), compute_vertex_normals(places, faces) @ frame.rotation.T.astype(np.float32)
    predicted = predict_rig(samples, seen, models, span_progress(progress, 0.25, 1))
    skeleton = build_skeleton(_collect_places(frame, predicted.joints))
    skin = _bind(predicted, seen[0], skeleton)
    turns = frame.rotation.T @ predicted.turns @ frame.rotation
    outside = _count_outside(mesh, skeleton)
    warning = f"{outside} of {len(skeleton.names)} joints lie outside the mesh: it may be no humanoid"
    return PredictedRig(
        skeleton,
        SkinWeights(skin.joints[copies], skin.weights[copies]),
        list_turns(turns, skeleton, pose_type),
        (warning,) if outside else (),
        {"joints_outside": float(outside)},
    )


def _draw_samples(
    places: FloatArray, faces: Any, models: Models, progress: Progress
) -> tuple[ModelFrame, Samples]:
    """The model's frame for a mesh, and the points in it that all models except the first one see."""
    rng = np.random.default_rng(_SEED)
    surface = build_surface(places, faces)
    if not surface.area > 0:
        raise MeshError(f"the mesh has no surface: {len(faces)} faces of {surface.area:g} square metres")
    frame, hands = look_at_body(sample_surface(surface, rng, COUNT), models, progress)
    turned = build_surface(frame.to_model(places), faces)
    positions, normals = sample_body_and_hands(turned, hands, rng)
    scaled = fit_scale(frame, positions)
    return scaled, (positions * np.float32(scaled.scale / frame.scale), normals)


def look_at_body(
    samples: Samples, models: Models, progress: Progress = ignore_progress
) -> tuple[ModelFrame, FloatArray]:
    """The frame with Hips at the origin, facing +Z, and the tips of the hands (2, 3) in it.

    samples: points on the surface, metres. The frame's scale is not yet the one the other models expect.
    """
    first = fit_bounds(samples[0])
    cloud = _to_cloud((first.to_model(samples[0]), samples[1]), 0)
    joints = _run_joints(models["joints_coarse"], cloud, progress)
    frame = face_forward(first, joints[:, :3])
    return frame, frame.to_model(first.to_mesh(joints[_HANDS, 3:]))


def predict_rig(
    samples: Samples, seen: Samples, models: Models, progress: Progress = ignore_progress
) -> Prediction:
    """Predict joints and turns, and the weights of the vertices `seen`, from points on the surface.

    samples: the second half lies around the hands. Positions and normals are in the model's frame.
    """
    cloud = _to_cloud(samples, len(samples[0]) // 2)
    spans = [span_progress(progress, start, start + 0.25) for start in (0, 0.25, 0.5, 0.75)]
    joints = _run_joints(models["joints"], cloud, spans[0])
    turns = _run_turns(models["pose"], cloud, joints, spans[1])
    if "bw_normal" not in models:
        weights = _run_weights(models["bw"], cloud, seen, span_progress(progress, 0.5, 1))
        return Prediction(joints, turns, weights)
    weights = _run_weights(models["bw"], cloud, seen, spans[2])
    with_normals = _run_weights(models["bw_normal"], cloud, seen, spans[3])
    return Prediction(joints, turns, mix_weights(weights, with_normals))


def _to_cloud(samples: Samples, around_hands: int) -> PointCloud:
    positions, normals = (torch.from_numpy(array) for array in samples)
    return PointCloud(positions, normals, around_hands)


def _encode(patcher: Any, cloud: PointCloud, progress: Progress) -> tuple[PointModel, torch.Tensor]:
    progress(0.0)
    model, device = move_model(patcher)
    there = PointCloud(cloud.positions.to(device), cloud.normals.to(device), cloud.around_hands)
    return model, model.encode(there, progress)


def _run_joints(patcher: Any, cloud: PointCloud, progress: Progress) -> FloatArray:
    model, latents = _encode(patcher, cloud, progress)
    return _to_array(model.predict_joints(latents))


def _run_turns(patcher: Any, cloud: PointCloud, joints: FloatArray, progress: Progress) -> FloatArray:
    model, latents = _encode(patcher, cloud, progress)
    axes = model.predict_turns(latents, torch.from_numpy(joints).to(latents))
    return _to_array(axes_to_matrices(axes))


def _run_weights(patcher: Any, cloud: PointCloud, seen: Samples, progress: Progress) -> FloatArray:
    model, latents = _encode(patcher, cloud, span_progress(progress, 0, 0.6))
    positions, normals = (torch.from_numpy(array).to(latents) for array in seen)
    decoding = span_progress(progress, 0.6, 1)
    return _to_array(model.predict_weights(latents, positions, normals, decoding))


def _to_array(values: torch.Tensor) -> FloatArray:
    return values.float().cpu().numpy()


def _collect_places(frame: ModelFrame, joints: FloatArray) -> dict[str, Float64Array]:
    """Positions (3,), metres, keyed by name: of the joints, and of the far ends of the last bones."""
    starts, ends = frame.to_mesh(joints[:, :3]), frame.to_mesh(joints[:, 3:])
    places = dict(zip(NAMES, starts, strict=True))
    return places | {end: ends[NAMES.index(name)] for name, end in ENDS.items()}


def _bind(predicted: Prediction, positions: FloatArray, skeleton: Skeleton) -> SkinWeights:
    above = positions[:, 1] >= predicted.joints[_HEAD, 4]
    index = np.array([skeleton.index(PREFIX + name) for name in NAMES])
    refined = refine_weights(predicted.weights, above)
    return SkinWeights(*keep_strongest(refined, index, smallest=0.0))


def _count_outside(mesh: Mesh, skeleton: Skeleton) -> int:
    low, high = mesh.bounds
    margin = 0.05 * float((high - low).max())
    inside = (skeleton.positions >= low - margin) & (skeleton.positions <= high + margin)
    return int((~inside.all(axis=1)).sum())
