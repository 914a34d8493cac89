import numpy as np
import trimesh
from character3d.pipeline.cameras import build_six_view_rig, camera_basis, project_points
from character3d.pipeline.generating_multiview_texture.maps import render_view_maps
from character3d.pipeline.types import Mesh

SIZE = 96


def make_egg():
    sphere = trimesh.creation.icosphere(5)
    return Mesh(sphere.vertices * (0.3, 0.8, 0.5) + (0.2, 0.8, -0.1), sphere.faces)


def test_positions_lie_on_the_surface_at_their_own_pixels():
    mesh = make_egg()
    maps = render_view_maps(mesh, build_six_view_rig(mesh), SIZE)
    pixel = (np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE)), axis=-1) + 0.5) / SIZE
    for number, camera in enumerate(maps.rig.cameras):
        mask = maps.mask[number]
        uv, depth = project_points(camera, maps.position[number])
        np.testing.assert_allclose(uv[mask], pixel[mask], atol=1e-4)
        np.testing.assert_allclose(depth[mask], maps.depth[number][mask], atol=1e-5)
        assert (depth[mask] < 1e-3).all()  # the near half, never the far one
    offset = (maps.position[maps.mask] - (0.2, 0.8, -0.1)) / (0.3, 0.8, 0.5)
    np.testing.assert_allclose(np.linalg.norm(offset, axis=1), 1, atol=2e-3)


def test_normals_are_unit_and_face_the_camera_and_masks_have_the_true_area():
    mesh = make_egg()
    maps = render_view_maps(mesh, build_six_view_rig(mesh), SIZE)
    np.testing.assert_allclose(np.linalg.norm(maps.normal[maps.mask], axis=1), 1, atol=1e-5)
    half_axes = np.array((0.3, 0.8, 0.5))
    for number, camera in enumerate(maps.rig.cameras):
        right, up, towards = camera_basis(camera)
        assert (maps.normal[number][maps.mask[number]] @ towards > -0.05).all()
        pixels = np.pi * np.linalg.norm(right * half_axes) * np.linalg.norm(up * half_axes)
        pixels *= (SIZE / 2 / camera.half_extent) ** 2
        assert abs(maps.mask[number].sum() / pixels - 1) < 0.01


def test_background_is_zero_and_progress_reaches_one():
    mesh, seen = make_egg(), []
    maps = render_view_maps(mesh, build_six_view_rig(mesh), SIZE, progress=seen.append)
    for values in (maps.position, maps.normal, maps.depth):
        assert not values[~maps.mask].any()
    assert seen == sorted(seen) and seen[-1] == 1.0
