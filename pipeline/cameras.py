"""Cameras: their axes, their projection, and the rigs that frame a mesh.

Frame, angles and image axes: see conventions.py. The basis is well defined at the poles too: at azimuth 0, up
in the image is -Z seen from the top and +Z seen from the bottom.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from .conventions import VIEW_AZIMUTHS, VIEW_ELEVATIONS, VIEW_MARGIN, VIEW_NAMES
from .types import Camera, CameraRig, Float64Array, Mesh

Points = TypeVar("Points", npt.NDArray[np.floating], torch.Tensor)


def camera_basis(camera: Camera) -> Float64Array:
    """Return (3, 3) orthonormal rows in the mesh frame: image right, image up, towards the camera."""
    sin_a, cos_a = math.sin(camera.azimuth), math.cos(camera.azimuth)
    sin_e, cos_e = math.sin(camera.elevation), math.cos(camera.elevation)
    right = np.array((cos_a, 0.0, -sin_a))
    up = np.array((-sin_a * sin_e, cos_e, -cos_a * sin_e))
    towards = (sin_a * cos_e, sin_e, cos_a * cos_e)
    if camera.roll:
        sin_r, cos_r = math.sin(camera.roll), math.cos(camera.roll)
        right, up = cos_r * right + sin_r * up, cos_r * up - sin_r * right
    return np.array((right, up, towards))


def camera_matrix(camera: Camera) -> Float64Array:
    """Return the (3, 4) affine matrix from metres to (u, v, depth), as an orthographic camera has it.

    u runs right and v down, each 0..1 across the image; depth is metres behind the target plane.
    """
    right, up, towards = camera_basis(camera)
    span = 2.0 * camera.half_extent
    axes = np.stack((right / span, -up / span, -towards))
    shift = np.array((0.5, 0.5, 0.0)) - axes @ np.asarray(camera.target)
    return np.concatenate((axes, shift[:, None]), axis=1)


def project_points(camera: Camera, points: Points) -> tuple[Points, Points]:
    """Project points (..., 3), metres, numpy or torch.

    Returns image coordinates (..., 2) = (u, v), 0..1 inside the image, v down, so that pixel
    (row i, column j) of an image of side S has its center at ((j + 0.5) / S, (i + 0.5) / S); and depth
    (...), metres behind the target plane, nearer is smaller. Same kind, dtype and device as `points`.

    A perspective camera's depth is multiplied by `measure_scale`, so that it is linear over the image of a
    face, as the rasterizer needs it. The points must be in front of the camera.
    """
    matrix = camera_matrix(camera)
    if isinstance(points, torch.Tensor):
        tensor = torch.as_tensor(matrix).to(points.dtype).to(points.device)
        projected = multiply_matrix(points, tensor[:, :3].T) + tensor[:, 3]
        return _foreshorten(camera, projected[..., :2], projected[..., 2])
    array = matrix.astype(points.dtype)
    flat = points @ array[:, :3].T + array[:, 3]
    return _foreshorten(camera, flat[..., :2], flat[..., 2])


def _foreshorten(camera: Camera, uv: Points, depth: Points) -> tuple[Points, Points]:
    if math.isinf(camera.distance):
        return uv, depth
    scale = camera.distance / (camera.distance + depth)
    return (uv - 0.5) * scale[..., None] + 0.5, depth * scale


def measure_scale(camera: Camera, depth: Points) -> Points:
    """How large the image shows things at depths (...) of `project_points`, as a share of the target plane's.

    It is proportional to one over the distance from the plane of the camera.
    """
    return 1 - depth / camera.distance


def measure_facing(camera: Camera, points: torch.Tensor, normals: torch.Tensor) -> torch.Tensor:
    """Cosines (N,) of unit normals (N, 3) and the directions from points (N, 3), metres, to the camera."""
    towards = normals.new_tensor(camera_basis(camera)[2])
    if math.isinf(camera.distance):
        return normals @ towards
    rays = towards * camera.distance + normals.new_tensor(camera.target) - points
    return (normals * rays).sum(dim=1) / torch.linalg.vector_norm(rays, dim=1).clamp(min=1e-12)


def multiply_matrix(points: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Multiply points (..., 3) by a matrix (3, 3) in no less than float32.

    GPUs multiply float32 matrices with 10-bit mantissas where TF32 is switched on, as other node packs do;
    float64 is exempt.
    """
    if points.device.type == "cpu":
        return points @ matrix
    return (points.double() @ matrix.double()).to(points.dtype)


def build_six_view_rig(mesh: Mesh) -> CameraRig:
    """Return front, left, back, right, top and bottom cameras with one common scale.

    The target is the center of the bounds; the longest axis fills 1 / (1 + VIEW_MARGIN) of the image side.
    """
    low, high = mesh.bounds
    center = (low + high) / 2
    half_extent = max(float((high - low).max()) / 2 * (1.0 + VIEW_MARGIN), 1e-6)
    x, y, z = (float(value) for value in center)
    angles = zip(VIEW_NAMES, VIEW_AZIMUTHS, VIEW_ELEVATIONS, strict=True)
    return CameraRig(tuple(Camera(name, a, e, half_extent, (x, y, z)) for name, a, e in angles))


def frame_camera(mesh: Mesh, azimuth: float, elevation: float, margin: float = 0.05) -> Camera:
    """Return the camera at these angles (radians) that centers the mesh and shows it as large as fits."""
    unit = Camera("frame", azimuth, elevation, 0.5)
    basis = camera_basis(unit)
    seen = mesh.positions @ basis.T.astype(np.float32)
    low, high = seen.min(axis=0), seen.max(axis=0)
    half_extent = max(float((high - low)[:2].max()) / 2 * (1.0 + margin), 1e-6)
    x, y, z = (float(value) for value in ((low + high) / 2) @ basis)
    return Camera("frame", azimuth, elevation, half_extent, (x, y, z))
