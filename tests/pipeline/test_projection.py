"""The six synthesised views: a drawn figure with known colors, and things that are no figure."""

from dataclasses import replace

import numpy as np
import pytest
from character3d.pipeline.cameras import build_six_view_rig
from character3d.pipeline.errors import PictureError
from character3d.pipeline.figure import LANDMARKS, PARTS, Figure
from character3d.pipeline.generating_multiview_texture import render_view_maps, synthesize_views
from character3d.pipeline.generating_multiview_texture.alignment import align_picture
from character3d.pipeline.generating_multiview_texture.back_colors import choose_by_row
from character3d.pipeline.generating_multiview_texture.back_view import synthesize_back_view
from character3d.pipeline.generating_multiview_texture.figure_layout import lay_out_figure
from character3d.pipeline.generating_multiview_texture.front_details import (
    Materials,
    complete_patches,
    find_islands,
    join_along_rows,
    measure_contrast,
)
from character3d.pipeline.generating_multiview_texture.patch_synthesis import (
    fill_with_patches,
    measure_supply,
)
from character3d.pipeline.progress import ignore_progress
from character3d.pipeline.types import FramedPicture, Mesh
from PIL import Image, ImageDraw
from scipy import ndimage

FRONT, RIGHT, BACK, LEFT, TOP, BOTTOM = range(6)
HAIR, SKIN, SHIRT, BELT, BUCKLE, JEANS = (
    (110, 60, 30), (235, 190, 160), (50, 110, 190), (90, 50, 20), (240, 220, 120), (40, 45, 90),
)  # fmt: skip
SIZE = 256


def draw_figure(*, head=HAIR, face=SKIN, hands=(), vest=None, belly=False):
    """A figure of 100 x 220 units: head 28..72, neck at 60, shirt, belt with buckle, jeans.

    hands: left, top, right, bottom of each that lies on the shirt. vest: left and right of where the shirt
    is open, and something white seen. belly: a white one, half of it on the jeans.
    """
    image = Image.new("RGBA", (1024, 1024), (255, 0, 255, 0))
    pen = ImageDraw.Draw(image)

    def box(shape, x0, y0, x1, y1, color):
        getattr(pen, shape)([252 + 5.2 * x0, 4 * y0 + 72, 252 + 5.2 * x1, 4 * y1 + 72], fill=color)

    box("ellipse", 30, 0, 70, 62, head)
    box("ellipse", 37, 18, 63, 60, face)
    for x in (43, 55):
        box("ellipse", x, 32, x + 5, 38, (20, 60, 20))
    box("rectangle", 43, 48, 57, 51, (200, 40, 60))
    box("rectangle", 44, 56, 56, 72, SKIN)
    box("rectangle", 22, 70, 78, 128, SHIRT)
    box("rectangle", 47, 84, 53, 100, (250, 250, 250))
    if vest:
        box("rectangle", vest[0], 84, vest[1], 123, (250, 250, 250))
    box("rectangle", 5, 72, 18, 130, SHIRT)
    box("rectangle", 82, 72, 95, 130, SHIRT)
    box("rectangle", 5, 70, 95, 80, SHIRT)
    for hand in hands:
        box("ellipse", *hand, SKIN)
    box("rectangle", 24, 124, 76, 134, BELT)
    box("rectangle", 46, 125, 54, 133, BUCKLE)
    box("rectangle", 24, 134, 76, 155, JEANS)
    box("rectangle", 24, 134, 46, 218, JEANS)
    box("rectangle", 54, 134, 76, 218, JEANS)
    if belly:
        box("ellipse", 38, 90, 62, 152, (250, 250, 250))
    return FramedPicture(np.asarray(image, dtype=np.float32) / 255)


def read_figure(picture, *, kind="front", face=(50, 40, 13, 20)):
    """The Figure of draw_figure, or None for nothing."""
    size = 128
    rows, columns = np.mgrid[:size, :size] * (1024 / size) + 512 / size
    x, y = (columns - 252) / 5.2, (rows - 72) / 4
    shapes = {
        "head": y < 64,
        "left_arm": x > 80,
        "right_arm": x < 20,
        "torso": (y < 134) & (x >= 20) & (x <= 80),
        "left_leg": x >= 50,
        "right_leg": x < 50,
    }
    parts = np.select(list(shapes.values()), [PARTS.index(name) for name in shapes])
    parts = np.where(picture.mask[:: 1024 // size, :: 1024 // size], parts, 0).astype(np.uint8)

    def share(left, top, right, bottom):
        return (
            (252 + 5.2 * left) / 1024,
            (72 + 4 * top) / 1024,
            (252 + 5.2 * right) / 1024,
            (72 + 4 * bottom) / 1024,
        )

    center = share(face[0], face[1], 0, 0)[:2]
    return Figure(
        kind,
        np.zeros((len(LANDMARKS), 3), np.float32),
        np.ones(len(LANDMARKS), np.float32),
        box=share(5, 0, 95, 218),
        head_box=share(30, 0, 70, 60),
        parts=parts,
        face=(*center, 5.2 * face[2] / 1024, 4 * face[3] / 1024),
    )


def inflate(mask, step=6):
    """A closed, rounded slab around a square mask: enough of a mesh to look at from all sides."""
    from skimage import measure

    small = mask[::step, ::step]
    half = np.sqrt(ndimage.gaussian_filter(ndimage.distance_transform_edt(small), 1.0) * 8 + 1)
    depth = np.arange(-int(half.max()) - 2, int(half.max()) + 3)
    inside = np.where(small[..., None], half[..., None] - np.abs(depth), -1.0)
    solid = np.pad(ndimage.gaussian_filter(inside, 0.8), 1, constant_values=-1.0)
    points, faces, _, _ = measure.marching_cubes(solid, 0.0)
    points = points[:, (1, 0, 2)] * np.array((1.0, -1.0, 1.0))
    points -= (points.min(axis=0) + points.max(axis=0)) / 2
    points *= 1.7 / np.ptp(points[:, 1])
    return Mesh(points, orient_outward(points, faces))


def orient_outward(points, faces):
    a, b, c = points[faces].transpose(1, 0, 2)
    return faces if np.einsum("ij,ij->", a, np.cross(b, c)) > 0 else faces[:, ::-1]


def synthesize(picture, size=SIZE, **options):
    mesh = inflate(picture.mask)
    maps = render_view_maps(mesh, build_six_view_rig(mesh), size)
    options.setdefault("figure", read_figure(picture))
    return synthesize_views(mesh, picture, maps, **options), maps


@pytest.fixture(scope="module")
def figure():
    picture = draw_figure()
    images, maps = synthesize(picture)
    return picture, images, maps


def share_near(images, view, color, rows=(0.0, 1.0)):
    """Share of a view's pixels within `rows` (0 crown, 1 soles) that are near a color."""
    mask = images.mask[view] > 0
    lines = np.flatnonzero(mask.any(axis=1))
    first, last = (int(lines[0] + part * (lines[-1] - lines[0])) for part in rows)
    inside = mask[first : last + 1]
    gap = np.abs(images.color[view][first : last + 1] - np.array(color) / 255).max(axis=-1)
    return float((gap < 0.12)[inside].mean())


def test_front_is_the_picture(figure):
    picture, images, maps = figure
    canvas = align_picture(picture, maps.mask[FRONT])
    inside = ndimage.binary_erosion(maps.mask[FRONT], iterations=3)
    assert np.abs(images.color[FRONT] - canvas.color)[inside].max() == 0
    assert share_near(images, FRONT, (20, 60, 20), (0.0, 0.3)) > 0.005
    assert images.metrics["front_overlap"] > 0.9
    assert images.warnings == ()
    assert images.method == "projection"


def test_back_of_the_head_is_hair(figure):
    _, images, _ = figure
    rows = (0.03, 0.2)
    assert share_near(images, FRONT, SKIN, rows) > 0.25
    assert share_near(images, BACK, SKIN, rows) < 0.02
    assert share_near(images, BACK, HAIR, rows) > 0.6
    assert share_near(images, BACK, (20, 60, 20)) < 0.001


@pytest.mark.parametrize("view", [RIGHT, LEFT])
def test_sides_of_the_head_are_hair_and_have_no_mouth(figure, view):
    _, images, _ = figure
    assert share_near(images, view, HAIR, (0.03, 0.2)) > 0.5
    assert share_near(images, view, (200, 40, 60)) < 0.003


def test_belt_goes_around_and_its_buckle_does_not(figure):
    _, images, _ = figure
    belt_rows = (0.57, 0.61)
    assert share_near(images, FRONT, BUCKLE, belt_rows) > 0.03
    for view in (RIGHT, BACK, LEFT):
        assert share_near(images, view, BUCKLE) < 0.002
    assert share_near(images, BACK, BELT, belt_rows) > 0.4
    assert share_near(images, BACK, JEANS, (0.7, 1.0)) > 0.85


def test_chest_print_is_not_on_the_back(figure):
    _, images, _ = figure
    assert share_near(images, FRONT, (250, 250, 250), (0.35, 0.5)) > 0.02
    assert share_near(images, BACK, (250, 250, 250), (0.3, 0.55)) == 0


@pytest.mark.parametrize("opening", [(34, 66), (22, 52)], ids=["middle", "side"])
def test_back_of_an_open_jacket_is_closed(opening):
    """Where the shirt reaches a side of the trunk, the sleeves tell that it is below a jacket."""
    images, _ = synthesize(draw_figure(vest=opening))
    assert share_near(images, FRONT, (250, 250, 250), (0.4, 0.55)) > 0.3
    assert share_near(images, BACK, (250, 250, 250), (0.38, 0.55)) == 0


@pytest.mark.nightly
def test_belly_that_reaches_the_legs_is_not_on_the_back():
    images, _ = synthesize(draw_figure(belly=True))
    assert share_near(images, FRONT, (250, 250, 250), (0.4, 0.7)) > 0.15
    assert share_near(images, BACK, (250, 250, 250), (0.38, 0.72)) == 0


@pytest.mark.nightly
def test_back_does_not_depend_on_the_size():
    picture = draw_figure(belly=True)
    replaced = []
    for size in (384, 600):
        mask = np.asarray(Image.fromarray(picture.mask).resize((size, size)))
        canvas = align_picture(picture, mask)
        layout = lay_out_figure(read_figure(picture), picture.mask, canvas.mask)
        back = synthesize_back_view(canvas, layout, np.random.default_rng(0), ignore_progress)
        replaced.append(np.asarray(Image.fromarray(back.replaced).resize((384, 384))))
    assert (replaced[0] != replaced[1]).sum() < 0.03 * replaced[0].sum()


def test_back_meets_front_at_the_silhouette(figure):
    _, images, maps = figure
    mask = maps.mask[FRONT]
    depth = ndimage.distance_transform_edt(mask)
    rim = (depth > 2) & (depth < 5)
    mirrored = images.color[BACK][:, ::-1]
    assert np.median(np.abs(images.color[FRONT] - mirrored)[rim].max(axis=-1)) < 0.03


def test_bald_head_keeps_skin_and_loses_the_face():
    images, _ = synthesize(draw_figure(head=SKIN))
    assert share_near(images, BACK, SKIN, (0.03, 0.25)) > 0.9
    assert share_near(images, BACK, (20, 60, 20)) < 0.001
    assert share_near(images, BACK, (200, 40, 60)) < 0.001


def test_below_a_hat_the_back_is_hair_and_the_hat_stays():
    """The hat covers most of the crown; hair shows as a fringe and beside the face."""
    hat = (250, 250, 250)
    pixels = np.array(draw_figure().rgba)
    rows = np.mgrid[:1024, :1024][0]
    pixels[(rows < 72 + 4 * 26) & (pixels[..., 3] > 0), :3] = np.array(hat) / 255
    pixels[72 + 4 * 26 : 72 + 4 * 30, 460:564, :3] = np.array(HAIR) / 255
    picture = FramedPicture(pixels)
    images, _ = synthesize(picture, figure=read_figure(picture, face=(50, 46, 13, 14)))
    assert share_near(images, BACK, hat, (0.0, 0.1)) > 0.9
    assert share_near(images, BACK, hat, (0.14, 0.26)) < 0.05
    assert share_near(images, BACK, HAIR, (0.14, 0.24)) > 0.8
    assert share_near(images, BACK, SKIN, (0.0, 0.24)) < 0.02


def test_ink_of_an_outlined_head_is_no_hair():
    """A man with a helmet, drawn with outlines: ink is all that is dark over the face and beside it."""
    helmet = (240, 120, 20)
    pixels = np.array(draw_figure(head=SKIN).rgba)
    subject = pixels[..., 3] > 0
    pixels[(np.mgrid[:1024, :1024][0] < 72 + 4 * 30) & subject, :3] = np.array(helmet) / 255
    pixels[subject & ~ndimage.binary_erosion(subject, iterations=14), :3] = 0.0
    images, _ = synthesize(FramedPicture(pixels))
    assert share_near(images, BACK, (0, 0, 0), (0.03, 0.25)) < 0.1
    assert share_near(images, BACK, helmet, (0.03, 0.25)) > 0.85


def test_head_of_fur_loses_the_face():
    """A face far wider than its features, with a muzzle of its own: the back is fur all over."""
    picture = draw_figure(head=HAIR, face=HAIR)
    pixels = np.array(picture.rgba)
    rows, columns = np.mgrid[:1024, :1024]
    muzzle = ((columns - 512) / 40) ** 2 + ((rows - 272) / 30) ** 2 < 1
    pixels[muzzle, :3] = np.array((230, 225, 215)) / 255
    picture = FramedPicture(pixels)
    images, _ = synthesize(picture, figure=read_figure(picture, face=(50, 36, 18, 24)))
    assert share_near(images, FRONT, (230, 225, 215)) > 0.01
    assert share_near(images, BACK, HAIR, (0.03, 0.25)) > 0.9
    assert share_near(images, BACK, (230, 225, 215)) < 0.001


def test_pale_face_in_pale_hair():
    """White goggles on the hair do not make skin the color of the crown."""
    hair, skin, goggles = (205, 225, 232), (250, 240, 236), (252, 250, 248)
    picture = draw_figure(head=hair, face=skin)
    pixels = np.array(picture.rgba)
    pixels[110:140, 440:584, :3] = np.array(goggles) / 255
    picture = FramedPicture(pixels)
    images, _ = synthesize(picture, figure=read_figure(picture))
    assert share_near(images, BACK, (20, 60, 20)) < 0.001
    rows = np.flatnonzero((images.mask[BACK] > 0).any(axis=1))
    row = rows[0] + int(0.2 * len(rows))
    middle = images.color[BACK][row - 4 : row + 4, SIZE // 2 - 6 : SIZE // 2 + 6].mean(axis=(0, 1))
    assert np.abs(middle - np.array(hair) / 255).max() < 0.05


def test_hands_before_the_trunk_stay_in_front():
    hands = (34, 96, 50, 106), (52, 96, 68, 106)
    picture = draw_figure(hands=hands)
    figure = read_figure(picture)
    landmarks = figure.landmarks.copy()
    for side, ends in (("right", (36, 48)), ("left", (66, 54))):
        for name, x in zip(("wrist", "hand"), ends, strict=True):
            place = (252 + 5.2 * x) / 1024, (72 + 4 * 101) / 1024
            landmarks[LANDMARKS.index(f"{side}_{name}"), :2] = place
    images, _ = synthesize(picture, figure=replace(figure, landmarks=landmarks))
    assert share_near(images, FRONT, SKIN, (0.4, 0.55)) > 0.05
    assert share_near(images, BACK, SKIN, (0.4, 0.55)) < 0.01


@pytest.mark.parametrize("count", [2, 60])
def test_a_few_spots_are_of_the_front_and_many_are_a_pattern(count):
    mask = np.zeros((200, 200), dtype=bool)
    mask[20:180, 40:160] = True
    color = np.where(mask[..., None], (0.9, 0.9, 0.85), 0.5).astype(np.float32)
    spots = np.zeros_like(mask)
    places = np.random.default_rng(1).permutation(12 * 9)[:count]
    for row, column in zip(places // 9, places % 9, strict=True):
        spots[30 + 12 * row : 37 + 12 * row, 48 + 12 * column : 55 + 12 * column] = True
    color[spots] = 0.05
    found = find_islands(measure_contrast(color, mask), mask, mask)
    assert (found & spots).sum() > 0.9 * spots.sum() if count == 2 else not found.any()
    assert not (found & ~ndimage.binary_dilation(spots, iterations=2)).any()


def test_no_background_at_the_edges(figure):
    _, images, _ = figure
    for view in range(6):
        grown = ndimage.binary_dilation(images.mask[view] > 0, iterations=4)
        red, green, blue = images.color[view][grown].T
        assert (np.minimum(red, blue) - green).max() < 0.25, images.rig.cameras[view].name


def test_same_seed_same_views_and_seed_touches_only_made_up_detail(figure):
    picture, images, _ = figure
    again, _ = synthesize(picture, seed=0)
    other, _ = synthesize(picture, seed=7)
    assert np.array_equal(images.color, again.color)
    assert np.array_equal(images.color[FRONT], other.color[FRONT])
    assert np.abs(images.color - other.color).mean() < 0.01


def test_progress_rises_to_one_and_may_cancel():
    picture, seen = draw_figure(), []
    synthesize(picture, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[0] == 0 and seen[-1] == 1 and len(seen) > 15

    def cancel(fraction):
        if fraction > 0.4:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        synthesize(picture, progress=cancel)


def test_other_mesh_is_warned_about():
    picture = draw_figure()
    rows, columns = np.mgrid[:1024, :1024] - 512
    mesh = inflate(rows**2 + columns**2 < 300**2)
    maps = render_view_maps(mesh, build_six_view_rig(mesh), SIZE)
    images = synthesize_views(mesh, picture, maps)
    assert images.metrics["front_overlap"] < 0.8
    assert "do not match" in images.warnings[0]


def test_empty_picture_is_refused():
    mesh = inflate(draw_figure().mask)
    maps = render_view_maps(mesh, build_six_view_rig(mesh), 64)
    with pytest.raises(PictureError, match="no subject"):
        synthesize_views(mesh, FramedPicture(np.zeros((64, 64, 4))), maps)


@pytest.mark.nightly_cases
@pytest.mark.parametrize("kind", ["ball", "chair", "strip", "dot", "full"])
@pytest.mark.parametrize("size", [97, 128])
def test_things_without_a_head_do_not_crash(kind, size):
    rows, columns = np.mgrid[:256, :256]
    shapes = {
        "ball": (rows - 128) ** 2 + (columns - 128) ** 2 < 80**2,
        "chair": ((columns % 100 < 20) & (columns > 90) & (rows > 20)) | (abs(rows - 150) < 12),
        "strip": abs(rows - 128) < 14,
        "dot": (abs(rows - 128) < 12) & (abs(columns - 128) < 12),
        "full": np.ones((256, 256), dtype=bool),
    }
    mask = shapes[kind]
    color = np.random.default_rng(3).random((256, 256, 3))
    picture = FramedPicture(np.dstack([color, mask]))
    mesh = inflate(mask, step=3)
    images = synthesize_views(mesh, picture, render_view_maps(mesh, build_six_view_rig(mesh), size))
    assert np.isfinite(images.color).all()
    assert images.color.min() >= 0 and images.color.max() <= 1


def test_back_of_a_side_view_is_its_mirror_image():
    picture = draw_figure()
    images, maps = synthesize(picture, figure=read_figure(picture, kind="side"))
    inside = ndimage.binary_erosion(maps.mask[FRONT], iterations=3)
    assert np.abs(images.color[FRONT] - images.color[BACK][:, ::-1])[inside].max() < 1e-6


def test_without_a_figure_prints_still_stay_in_front():
    images, _ = synthesize(draw_figure(), figure=None)
    assert share_near(images, BACK, (250, 250, 250), (0.3, 0.55)) < 0.002


def test_letters_of_a_print_go_as_one():
    region = np.zeros((40, 60), dtype=bool)
    region[:, 5:55] = True
    letters = np.zeros_like(region)
    for column in range(20, 40, 4):
        letters[10:20, column : column + 3] = True
    speck = np.zeros_like(region)
    speck[30, (10, 50)] = True
    joined = join_along_rows(letters | speck, region)
    assert joined[11:19, 20:39].all()
    assert joined[25:].sum() == 2


def test_row_without_a_material_takes_that_of_the_row_above():
    shares = np.zeros((100, 2))
    shares[:40, 0], shares[60:, 1] = 1, 1
    chosen = choose_by_row(shares)
    assert (chosen[:55] == 0).all()
    assert (chosen[65:] == 1).all()


def test_patch_of_which_a_good_part_is_a_detail_is_one():
    labels = np.zeros((40, 40), np.int32)
    labels[10:30, 10:30] = 1
    labels[32:36, 10:30] = 1
    materials = Materials(labels, np.zeros((2, 3), np.float32), np.eye(2, dtype=np.float32))
    details = np.zeros((40, 40), dtype=bool)
    details[14:22, 10:30] = True
    details[32, 10:14] = True
    support = np.tile(np.array((1.0, 0.4), np.float32), (40, 40, 1))
    support[27:] = 1.0
    whole = complete_patches(details, materials, support, np.ones_like(details))
    assert whole[10:27, 10:30].all()
    assert whole.sum() == 17 * 20 + 4


def make_stripes(side=96):
    """Stripes 12 pixels wide, with a disk in their middle; the picture, the disk, the rest."""
    rows, columns = np.mgrid[:side, :side]
    color = np.where((columns // 6 % 2)[..., None], (0.9, 0.8, 0.3), (0.2, 0.3, 0.6)).astype(np.float32)
    hole = (rows - side / 2) ** 2 + (columns - side / 2) ** 2 < 14**2
    return color, hole


def test_patches_continue_a_pattern():
    color, hole = make_stripes()
    guess = np.where(hole[..., None], color[~hole].mean(axis=0), color).astype(np.float32)
    filled = fill_with_patches(color, guess, hole, ~hole, np.random.default_rng(0))
    assert np.array_equal(filled[~hole], color[~hole])
    assert np.abs(filled - color)[hole].mean() < 0.4 * np.abs(guess - color)[hole].mean()


@pytest.mark.parametrize(("width", "supply"), [(30, 1.0), (20, 0.9), (6, 0.0)])
def test_narrow_strips_of_texture_do_not_suffice(width, supply):
    columns = np.broadcast_to(np.arange(200), (200, 200))
    hole, source = columns >= 80, (columns >= 80 - width) & (columns < 80)
    assert measure_supply(hole, source) == pytest.approx(supply, abs=0.1)
    assert measure_supply(hole[::2, ::2], source[::2, ::2], 0.5) == pytest.approx(supply, abs=0.2)


def test_patches_need_a_source():
    color, hole = make_stripes(32)
    nothing = np.zeros_like(hole)
    assert fill_with_patches(color, color, hole, nothing, np.random.default_rng(0)) is color
