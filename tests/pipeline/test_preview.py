import numpy as np
import pytest
import torch
import trimesh
from character3d.pipeline.preview import render_contact_sheet, render_preview
from character3d.pipeline.preview.shading import measure_openness
from character3d.pipeline.types import Material, Mesh, TexturedMesh


def make_sphere(scale=(1, 1, 1), subdivisions=4):
    sphere = trimesh.creation.icosphere(subdivisions)
    return Mesh(sphere.vertices * scale + (0.3, 2.0, -0.1), sphere.faces)


def make_two_toned(left=(0.9, 0.2, 0.2), right=(0.2, 0.3, 0.9)):
    """A sphere whose +X half is `left` and whose -X half is `right`."""
    mesh = make_sphere()
    uvs = np.where(mesh.positions[:, :1] > 0.3, (0.75, 0.5), (0.25, 0.5))
    base_color = np.ones((8, 8, 4))
    base_color[:, 4:, :3], base_color[:, :4, :3] = left, right
    return TexturedMesh(Mesh(mesh.positions, mesh.faces, uvs=uvs), Material(base_color))


def test_picture_is_framed_opaque_and_in_range():
    picture = render_preview(make_sphere((0.5, 1, 0.5)), size=256, transparent=True)
    alpha = picture[..., 3]
    assert picture.shape == (256, 256, 4) and picture.dtype == np.float32
    assert picture.min() >= 0 and picture.max() <= 1
    rows, columns = np.flatnonzero((alpha > 0.5).any(1)), np.flatnonzero((alpha > 0.5).any(0))
    assert abs(rows[0] - (255 - rows[-1])) <= 2 and abs(columns[0] - (255 - columns[-1])) <= 2
    assert 0.80 < np.ptp(rows) / 256 < 0.92
    studio = render_preview(make_sphere((0.5, 1, 0.5)), size=256)
    assert (studio[..., 3] == 1).all()


def test_outlines_are_antialiased_and_cover_the_true_area():
    alpha = render_preview(make_sphere(), size=200, azimuth=0, elevation=0, transparent=True)[..., 3]
    radius = 200 / 2 / 1.16
    assert alpha.sum() == pytest.approx(np.pi * radius**2, rel=0.005)
    assert len(np.unique(alpha)) >= 4


def test_light_models_the_form():
    """Top left is brighter than bottom right, and nothing is burnt out or black."""
    picture = render_preview(make_sphere(), size=128, azimuth=0, elevation=0, transparent=True)
    light, dark = picture[40, 40, :3].mean(), picture[100, 90, :3].mean()
    assert 0.15 < dark < light - 0.15 and light < 0.97


def test_grooves_are_occluded_and_open_surface_is_not():
    groove = torch.zeros(256, 256)
    groove[:, 122:134] = 0.1
    towards = torch.tensor((0.0, 0.0, 1.0)).expand(256, 256, 3)
    openness = measure_openness(groove, towards, torch.ones(256, 256, dtype=torch.bool), 0.01)
    assert openness[20:230, 126:130].max() < 0.8
    assert (openness[20:230, 40:80] == 1).all()


def test_texture_shows_on_the_right_side_with_its_own_colors():
    mesh = make_two_toned()
    front = render_preview(mesh, size=128, azimuth=0, elevation=0)
    back = render_preview(mesh, size=128, azimuth=np.pi, elevation=0)
    np.testing.assert_allclose(front[60, 84, :3], (0.9, 0.2, 0.2), atol=0.12)
    np.testing.assert_allclose(front[60, 44, :3], (0.2, 0.3, 0.9), atol=0.12)
    np.testing.assert_allclose(back[60, 44, :3], (0.9, 0.2, 0.2), atol=0.12)


def test_contact_sheet_keeps_one_scale():
    red = make_two_toned((0.9, 0.1, 0.1), (0.9, 0.1, 0.1))
    stretched = Mesh(red.mesh.positions * (0.2, 1, 0.6), red.mesh.faces, uvs=red.mesh.uvs)
    sheet = render_contact_sheet(TexturedMesh(stretched, red.material), size=96, elevation=0, columns=4)
    assert sheet.shape == (192, 384, 4)
    is_red = sheet[..., 0] - sheet[..., 2] > 0.1
    tiles = [is_red[row : row + 96, column : column + 96] for row in (0, 96) for column in range(0, 384, 96)]
    heights = {int(tile.any(axis=1).sum()) for tile in tiles}
    widths = [int(tile.any(axis=0).sum()) for tile in tiles]
    assert len(heights) == 1
    assert widths[0] == widths[4] == pytest.approx(0.2 * heights.pop(), abs=2)
    assert widths[2] == pytest.approx(3 * widths[0], abs=5)


def test_progress_rises_to_one_and_can_cancel():
    seen = []
    render_preview(make_sphere(), size=64, progress=seen.append)
    assert seen == sorted(seen) and seen[-1] == 1.0

    def cancel(fraction):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render_preview(make_sphere(), size=64, progress=cancel)
