"""De-lighting: a ball of known colors under a lamp."""

import numpy as np
import pytest
import trimesh
from character3d.pipeline.color import linear_to_srgb, srgb_to_lab, srgb_to_linear
from character3d.pipeline.errors import PictureError
from character3d.pipeline.generating_multiview_texture import delight_picture
from character3d.pipeline.types import FramedPicture, Mesh

SIDE = 160
LAMP = np.array((-0.6, 0.5, 0.6)) / np.linalg.norm((-0.6, 0.5, 0.6))


@pytest.fixture(scope="module")
def ball():
    made = trimesh.creation.icosphere(subdivisions=4, radius=0.8)
    return Mesh(made.vertices, made.faces, normals=made.vertices / 0.8)


@pytest.fixture(scope="module")
def scene():
    """Albedo (S, S, 3) of four colors, two of them gray, mask, and the ball's normals seen from the front."""
    rows, columns = (np.mgrid[:SIDE, :SIDE] + 0.5 - SIDE / 2) / (0.4 * SIDE)
    x, y = columns, -rows
    mask = x**2 + y**2 < 1
    normals = np.dstack((x, y, np.sqrt((1 - x**2 - y**2).clip(0))))
    colors = np.array(((0.8, 0.3, 0.25), (0.25, 0.45, 0.7), (0.8, 0.8, 0.8), (0.35, 0.35, 0.35)))
    return colors[(x > 0.1) * 2 + (y > -0.2)], mask, normals


def shade(scene, shadow=1.0):
    albedo, mask, normals = scene
    light = 0.35 + 0.65 * (normals @ LAMP).clip(0) * shadow
    picture = linear_to_srgb(srgb_to_linear(albedo) * light[..., None] / light[mask].max())
    return FramedPicture(np.dstack((picture, mask)))


def differ(scene, color):
    """Mean CIE 1976 difference from the albedo."""
    albedo, mask, _ = scene
    return np.linalg.norm(srgb_to_lab(albedo[mask]) - srgb_to_lab(color[mask]), axis=1).mean()


def test_shading_goes(scene, ball):
    lit = shade(scene)
    found = delight_picture(lit, ball)
    assert found.certainty == 1
    assert differ(scene, lit.rgba[..., :3]) > 11 and differ(scene, found.color) < 5
    mask, light = lit.mask, 0.35 + 0.65 * (scene[2] @ LAMP).clip(0)
    assert np.corrcoef(found.shading[mask], light[mask])[0, 1] > 0.97


def test_a_cast_shadow_that_no_normal_explains_goes(scene, ball):
    rows = np.arange(SIDE)[:, None]
    shadow = 1 - 0.6 * np.exp(-(((rows - 0.45 * SIDE) / 12) ** 2)) * np.ones((1, SIDE))
    lit = shade(scene, shadow)
    assert differ(scene, delight_picture(lit, ball).color) < 0.5 * differ(scene, lit.rgba[..., :3])


def test_hue_stays(scene, ball):
    lit, mask = shade(scene), scene[1]
    before, after = (
        srgb_to_linear(color)[mask] for color in (lit.rgba[..., :3], delight_picture(lit, ball).color)
    )
    shares = [light / light.sum(axis=1, keepdims=True) for light in (before, after)]
    np.testing.assert_allclose(*shares, atol=1e-3)


def test_a_flat_drawing_stays_to_the_bit(scene, ball):
    albedo, mask, _ = scene
    drawn = FramedPicture(np.dstack((albedo, mask)))
    found = delight_picture(drawn, ball)
    assert found.certainty == 0 and (found.shading[mask] <= 1.5).all()
    np.testing.assert_array_equal(found.color, drawn.rgba[..., :3])


def test_what_is_not_of_the_subject_stays(scene, ball):
    lit = shade(scene)
    outside = ~lit.mask
    np.testing.assert_allclose(
        delight_picture(lit, ball).color[outside], lit.rgba[..., :3][outside], atol=1e-6
    )


def test_a_picture_without_a_subject_is_refused(ball):
    with pytest.raises(PictureError, match="the picture has no subject"):
        delight_picture(FramedPicture(np.zeros((64, 64, 4))), ball)
