import math

import numpy as np
import pytest
import torch
from character3d.pipeline.cameras import build_six_view_rig, camera_basis, frame_camera, project_points
from character3d.pipeline.conventions import VIEW_NAMES
from character3d.pipeline.types import Camera, Mesh

EXPECTED_AXES = {  # image right, image up
    "front": ((1, 0, 0), (0, 1, 0)),
    "right": ((0, 0, 1), (0, 1, 0)),
    "back": ((-1, 0, 0), (0, 1, 0)),
    "left": ((0, 0, -1), (0, 1, 0)),
    "top": ((-1, 0, 0), (0, 0, 1)),
    "bottom": ((-1, 0, 0), (0, 0, -1)),
}
MESH = Mesh([[-1, 0, -0.2], [1, 0, 0.4], [0.5, 3, 0.1]], [[0, 1, 2]])


@pytest.mark.parametrize("azimuth", np.linspace(-4, 4, 5))
@pytest.mark.parametrize("elevation", [-math.pi / 2, -0.3, 0.0, math.pi / 2])
def test_basis_is_right_handed_and_orthonormal(azimuth, elevation):
    basis = camera_basis(Camera("", azimuth, elevation, 1.0))
    np.testing.assert_allclose(basis @ basis.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(np.cross(basis[0], basis[1]), basis[2], atol=1e-12)


def test_six_views_look_along_the_axes_in_the_agreed_order():
    rig = build_six_view_rig(MESH)
    assert tuple(camera.name for camera in rig.cameras) == VIEW_NAMES
    for camera in rig.cameras:
        right, up, _ = camera_basis(camera)
        np.testing.assert_allclose((right, up), EXPECTED_AXES[camera.name], atol=2e-4)
    assert len({(camera.half_extent, camera.target) for camera in rig.cameras}) == 1
    assert rig.cameras[0].half_extent == pytest.approx(1.5 * 1.1)
    assert rig.cameras[0].target == pytest.approx((0, 1.5, 0.1))


def test_projection_runs_right_and_down_and_nearer_is_smaller():
    front = Camera("front", 0.0, 0.0, 2.0, (0.0, 1.0, 0.0))
    points = np.array([[0, 1, 0], [2, 1, 0], [0, 3, 0], [0, 1, 0.5]], np.float32)
    uv, depth = project_points(front, points)
    np.testing.assert_allclose(uv, [[0.5, 0.5], [1, 0.5], [0.5, 0], [0.5, 0.5]], atol=1e-7)
    np.testing.assert_allclose(depth, [0, 0, 0, -0.5], atol=1e-7)
    assert uv.dtype == np.float32


def test_torch_and_numpy_agree():
    camera = Camera("", 0.7, -0.4, 1.3, (0.1, 0.8, -0.2))
    points = np.random.default_rng(0).normal(size=(4, 5, 3)).astype(np.float32)
    uv, depth = project_points(camera, points)
    uv_torch, depth_torch = project_points(camera, torch.from_numpy(points))
    np.testing.assert_allclose(uv_torch.numpy(), uv, atol=1e-6)
    np.testing.assert_allclose(depth_torch.numpy(), depth, atol=1e-6)


@pytest.mark.parametrize("azimuth", [0.0, 0.6, 2.0])
@pytest.mark.parametrize("elevation", [0.0, 0.5, -math.pi / 2])
def test_frame_camera_centers_the_mesh_and_fills_the_image(azimuth, elevation):
    uv, _ = project_points(frame_camera(MESH, azimuth, elevation, margin=0.1), MESH.positions)
    low, high = uv.min(axis=0), uv.max(axis=0)
    np.testing.assert_allclose((low + high) / 2, 0.5, atol=1e-6)
    assert (high - low).max() == pytest.approx(1 / 1.1, abs=1e-6)
