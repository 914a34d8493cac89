"""Views and texture from several pictures: a ball whose sides have colors of their own."""

import numpy as np
import pytest
import trimesh
from character3d.pipeline.cameras import build_six_view_rig
from character3d.pipeline.color import lab_to_srgb, srgb_to_lab
from character3d.pipeline.conventions import VIEW_NAMES
from character3d.pipeline.errors import PictureError
from character3d.pipeline.generating_multiview_texture import (
    render_view_maps,
    show_pictures,
    synthesize_views,
)
from character3d.pipeline.generating_multiview_texture.alignment import align_picture
from character3d.pipeline.generating_multiview_texture.color_balance import balance_color, measure_imbalance
from character3d.pipeline.generating_multiview_texture.fit_rows import fit_rows
from character3d.pipeline.texture_baking import bake_views, unwrap_mesh
from character3d.pipeline.texture_baking.project import list_preferences
from character3d.pipeline.texture_baking.seam_metrics import measure_side_seams
from character3d.pipeline.types import FramedPicture, Mesh, ViewImages

FRONT, LEFT, BACK, RIGHT, TOP, BOTTOM = range(6)
SIZE = 192
RED, GREEN, BLUE, WHITE = (0.8, 0.2, 0.2), (0.2, 0.7, 0.3), (0.2, 0.3, 0.8), (0.9, 0.9, 0.9)


@pytest.fixture(scope="module")
def ball():
    sphere = trimesh.creation.icosphere(subdivisions=4, radius=0.5)
    return unwrap_mesh(Mesh(sphere.vertices, sphere.faces), texture_size=512)


@pytest.fixture(scope="module")
def maps(ball):
    return render_view_maps(ball, build_six_view_rig(ball), SIZE)


def draw_disk(color, *, face=None, right_half=None):
    """A disk of one color; `face`: a spot at its left edge; `right_half`: another color there."""
    rows, columns = np.mgrid[:256, :256] - 127.5
    rgba = np.empty((256, 256, 4), np.float32)
    rgba[..., :3] = color
    if right_half is not None:
        rgba[:, 128:, :3] = right_half
    if face is not None:
        rgba[np.hypot(rows, columns + 70) < 25, :3] = face
    rgba[..., 3] = np.hypot(rows, columns) < 120
    return FramedPicture(rgba)


def middle(view):
    return view[SIZE // 2 - 8 : SIZE // 2 + 8, SIZE // 2 - 8 : SIZE // 2 + 8].mean(axis=(0, 1))


def test_each_picture_is_its_view(ball, maps):
    pictures = {"left": draw_disk(GREEN, face=WHITE), "right": draw_disk(WHITE), "back": draw_disk(BLUE)}
    views = synthesize_views(ball, draw_disk(RED), maps, sides=pictures)
    for view, color in ((FRONT, RED), (RIGHT, WHITE), (BACK, BLUE)):
        assert np.abs(views.color[view][maps.mask[view]] - color).max() < 0.01
    inside = views.color[LEFT][maps.mask[LEFT]]
    assert np.isclose(inside, GREEN, atol=0.01).all(axis=1).mean() > 0.85
    np.testing.assert_allclose(views.color[LEFT][SIZE // 2, SIZE // 2 - 48], WHITE, atol=0.01)


def test_one_side_of_a_symmetric_front_is_the_mirror_image_of_the_other(ball, maps):
    for given, other in ((LEFT, RIGHT), (RIGHT, LEFT)):
        picture = draw_disk(GREEN, face=WHITE)
        views = synthesize_views(ball, draw_disk(RED), maps, sides={VIEW_NAMES[given]: picture})
        shown = maps.mask[given]
        difference = views.color[other][:, ::-1][shown] - views.color[given][shown]
        assert np.abs(difference).max() < 1e-6


def test_the_side_of_an_asymmetric_front_is_painted_from_it(ball, maps):
    """The front is green on the right, where its left side lies, and red on the left."""
    front = draw_disk(RED, right_half=GREEN)
    views = synthesize_views(ball, front, maps, sides={"left": draw_disk(GREEN)})
    np.testing.assert_allclose(middle(views.color[LEFT]), GREEN, atol=0.02)
    np.testing.assert_allclose(middle(views.color[RIGHT]), RED, atol=0.1)


def test_top_and_bottom_are_of_the_nearest_sides(ball, maps):
    """Around the pole each quarter has the color of the picture beside it."""
    sides = {"left": draw_disk(GREEN), "right": draw_disk(WHITE), "back": draw_disk(BLUE)}
    views = synthesize_views(ball, draw_disk(RED), maps, sides=sides)
    low, high = SIZE // 2 - 60, SIZE // 2 + 60
    # Seen from above its front points up, its left to the image's left.
    for row, column, color in ((low, SIZE // 2, RED), (high, SIZE // 2, BLUE), (SIZE // 2, low, GREEN)):
        np.testing.assert_allclose(views.color[TOP][row, column], color, atol=0.05)


def test_no_further_picture_changes_nothing(ball, maps):
    alone = synthesize_views(ball, draw_disk(RED), maps)
    empty = synthesize_views(ball, draw_disk(RED), maps, sides={})
    assert (alone.color == empty.color).all()
    assert list_preferences(maps.rig) == [8, 1, 1, 1, 0.25, 0.25]
    assert list_preferences(maps.rig, ("front", "right")) == [8, 8, 1, 8, 0.25, 0.25]


def test_a_picture_of_no_side_is_refused(ball, maps):
    with pytest.raises(PictureError, match="left, right, back, top; found one of beneath"):
        synthesize_views(ball, draw_disk(RED), maps, sides={"beneath": draw_disk(RED)})


def test_pictures_take_the_place_of_generated_views(maps):
    made = np.zeros((6, SIZE, SIZE, 3), np.float32)
    assert show_pictures(made, draw_disk(RED), {}, maps) is made
    shown = show_pictures(made, draw_disk(RED), {"left": draw_disk(GREEN)}, maps)
    np.testing.assert_allclose(middle(shown[FRONT]), RED, atol=0.01)
    np.testing.assert_allclose(middle(shown[LEFT]), GREEN, atol=0.01)
    assert (shown[[BACK, RIGHT, TOP, BOTTOM]] == 0).all()


def test_the_seam_lies_where_two_pictures_see_the_surface_equally_well(ball, maps):
    sides = {"left": draw_disk(GREEN), "back": draw_disk(BLUE)}
    views = synthesize_views(ball, draw_disk(RED), maps, sides=sides)
    baked = bake_views(ball, views, pictured=("front", *sides), texture_size=512)
    x, y, z = (baked.textured.mesh.positions / 0.5).T
    colors = baked.textured.vertex_colors[:, :3]
    around = np.abs(y) < 0.3
    angle = np.degrees(np.arctan2(x, z))
    for low, high, color in ((-25, 25, RED), (65, 115, GREEN), (155, 180, BLUE), (-115, -65, GREEN)):
        rows = around & (angle > low) & (angle < high)
        assert np.abs(colors[rows] - color).max() < 0.04


def test_colors_meet_over_a_band_along_the_surface_however_thin_the_part():
    """On the ball above they meet within a few degrees of the seam, on a rod from the front to the side."""
    outline = [(0, -0.475), *((0.025, height) for height in np.linspace(-0.475, 0.475, 60)), (0, 0.475)]
    rod = trimesh.creation.revolve(outline, sections=32)
    rod.apply_transform(trimesh.transformations.rotation_matrix(-np.pi / 2, (1, 0, 0)))
    mesh = unwrap_mesh(Mesh(rod.vertices, rod.faces), texture_size=256)
    color = np.full((6, SIZE, SIZE, 3), RED, np.float32)
    color[[LEFT, RIGHT]] = GREEN
    views = ViewImages(build_six_view_rig(mesh), color, np.ones((6, SIZE, SIZE), np.float32))
    textured = bake_views(mesh, views, pictured=("front", "left"), texture_size=256).textured
    x, y, z = textured.mesh.positions.T
    step = np.subtract(GREEN, RED)
    turned = (textured.vertex_colors[:, :3] - RED) @ step / (step @ step)
    angle = np.where(np.abs(y) < 0.3, np.degrees(np.arctan2(np.abs(x), z)), np.nan)
    assert 0.05 < turned[(angle > 15) & (angle < 30)].mean() < 0.35
    assert 0.65 < turned[(angle > 60) & (angle < 75)].mean() < 0.95


def draw_stripes(edges, *, height=256):
    """A block whose three stripes, red, white and blue, meet at the rows `edges`."""
    rgba = np.zeros((height, height, 4), np.float32)
    for top, bottom, color in zip((16, *edges), (*edges, 240), (RED, WHITE, BLUE), strict=True):
        rgba[top:bottom, :, :3] = color
    rgba[16:240, 78:178, 3] = 1
    return rgba


def test_a_picture_that_fits_stays_to_the_bit():
    rgba = draw_stripes((100, 140))
    assert fit_rows(rgba, rgba[..., 3] >= 0.5) is rgba


def test_each_row_comes_to_the_silhouette():
    rgba = draw_stripes((100, 140))
    mask = np.zeros((256, 256), bool)
    mask[16:240, 90:190] = True
    mask[120:200, 70:190] = True
    found = fit_rows(rgba, mask)[..., 3] >= 0.5
    assert (found & mask).sum() / (found | mask).sum() > 0.98


@pytest.mark.nightly
def test_the_seam_measure_tells_a_hard_seam_from_none(ball, maps):
    """Pictures of one color but for one: its seams are the only steps."""
    gray = tuple(0.5 * value for value in WHITE)
    even = synthesize_views(ball, draw_disk(WHITE), maps, sides={"back": draw_disk(WHITE)})
    sides = {"left": draw_disk(gray), "right": draw_disk(WHITE), "back": draw_disk(WHITE)}
    views = synthesize_views(ball, draw_disk(WHITE), maps, sides=sides)
    names = ("front", *sides)
    for item, low, high in ((even, 0, 1.5), (views, 2.5, np.inf)):
        baked = bake_views(ball, item, pictured=names, texture_size=512)
        with np.errstate(invalid="ignore"):
            step = measure_side_seams(baked.textured, item, names)
        assert np.isnan(step) or low <= step < high


def test_a_row_is_bent_beside_its_outlines_only():
    rgba = draw_stripes((100, 140))
    rgba[:, :, 1] = np.linspace(0, 1, 256)
    mask = np.zeros((256, 256), bool)
    mask[16:240, 73:183] = True
    found = fit_rows(rgba, mask)
    assert np.abs(found[:, 112:144] - rgba[:, 112:144])[40:210].max() < 1e-3
    assert (np.diff(found[128, 73:183, 1]) >= 0).all()


def test_lab_and_back():
    colors = np.random.default_rng(0).random((500, 3)).astype(np.float32)
    np.testing.assert_allclose(lab_to_srgb(srgb_to_lab(colors)), colors, atol=2e-4)


def draw_shaded():
    """A disk with stripes, lighter to the left."""
    rgba = draw_disk(GREEN).rgba.copy()
    rgba[::16, :, :3] = RED
    rgba[..., :3] *= np.linspace(1.1, 0.7, 256)[None, :, None]
    return rgba


@pytest.mark.parametrize("view", [LEFT, BACK])
def test_a_tinted_picture_meets_the_front_and_others_stay(maps, view):
    front = align_picture(FramedPicture(draw_shaded()), maps.mask[FRONT]).color
    even = front.mean(axis=1, keepdims=True) + np.zeros_like(front)
    assert not measure_imbalance(even, front if view == BACK else even, maps, view).any()
    tinted = lab_to_srgb(srgb_to_lab(even) + np.array((0, 0, -9), np.float32))
    change = measure_imbalance(even, tinted, maps, view)
    assert abs(change[2] - 9) < 1.5 and np.abs(change[:2]).max() < 2
    assert balance_color(tinted, np.zeros(3, np.float32)) is tinted


def test_light_on_the_rim_alone_is_no_balance(maps):
    front = align_picture(draw_disk(GREEN), maps.mask[FRONT]).color
    size = len(front)
    lit = np.zeros_like(front) + front[size // 2, size // 2]
    far = lab_to_srgb(srgb_to_lab(lit) + np.array((12, 0, 0), np.float32))
    front = np.where(np.abs(np.arange(size) - size / 2)[None, :, None] > 0.27 * size, far, lit)
    assert not measure_imbalance(front, lit, maps, LEFT).any()
