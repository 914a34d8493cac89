"""Sheets with several views of one character: told apart by what is seen, in any order, and only sheets."""

from itertools import permutations
from math import radians

import numpy as np
import pytest
import torch
from character3d.pipeline.cameras import frame_camera
from character3d.pipeline.errors import PictureError
from character3d.pipeline.figure.face import Face
from character3d.pipeline.preprocessing import preprocess_picture, preprocess_sheet, split_sheet
from character3d.pipeline.preprocessing.read_figure import read_figure
from character3d.pipeline.preprocessing.turnaround import View, name_views
from character3d.pipeline.rasterize import interpolate_attributes, rasterize_view
from character3d.pipeline.types import FramedPicture

from .figures import join_parts, make_body, make_capsule

AZIMUTHS = {"front": 0, "left": 90, "right": -90, "back": 180, "half": 45}
SIZE, OUTLINE = 384, 48


def draw_view(name, size=480):
    """A figure with a face, a nose and hair behind, as rgba (size, size, 4)."""
    body, _ = make_body()
    nose = make_capsule((0, 1.58, 0.09), (0, 1.57, 0.13), 0.018)
    mesh = join_parts([(body.positions, body.faces), nose])
    x, y, z = mesh.positions.T
    colors = np.where(y[:, None] > 1.0, (0.2, 0.4, 0.7), (0.35, 0.25, 0.2)).astype(np.float32)
    colors[y > 1.45] = np.where(z[y > 1.45, None] > 0.0, (0.95, 0.75, 0.6), (0.3, 0.15, 0.05))
    for side in (-1, 1):
        eye = np.hypot(x - side * 0.035, y - 1.6) < 0.02
        colors[eye & (z > 0.04)] = 0.05
    camera = frame_camera(mesh, radians(AZIMUTHS[name]), 0.0, 0.1)
    positions, faces = torch.tensor(mesh.positions), torch.tensor(mesh.faces)
    raster = rasterize_view(camera, positions, faces, size)
    color = interpolate_attributes(raster, faces, torch.tensor(colors)).reshape(size, size, 3)
    return np.dstack([color.numpy(), raster.mask.reshape(size, size).numpy()]).astype(np.float32)


@pytest.fixture(scope="module")
def drawn():
    return {name: draw_view(name) for name in AZIMUTHS}


def put_together(views, gap=40, paper=None):
    """The views side by side; on paper of a color, or transparent."""
    tiles = []
    for view in views:
        columns = np.flatnonzero((view[..., 3] > 0).any(axis=0))
        tiles.append(np.pad(view[:, columns[0] : columns[-1] + 1], ((0, 0), (gap, gap), (0, 0))))
    sheet = np.concatenate(tiles, axis=1)
    if paper is None:
        return sheet
    return sheet[..., :3] * sheet[..., 3:] + paper * (1 - sheet[..., 3:])


def look(framed, face=0.0):
    return View(framed, read_figure(framed), face)


def test_a_head_is_as_wide_as_its_face_and_no_wider_than_the_subject(drawn):
    framed = preprocess_picture(drawn["front"], size=SIZE, outline=OUTLINE)
    box = read_figure(framed).head_box
    middle, row = (box[0] + box[2]) / 2 * SIZE, (box[3] + 0.12) * SIZE  # of the trunk, which is wider
    half = 0.4 * (box[2] - box[0]) * SIZE
    points = np.zeros((6, 2), np.float32)
    for radius, wider in ((0.2 * half, False), (1.2 * half, True), (100 * half, True)):
        face = Face(np.array((middle, row), np.float32), np.full(2, radius), points, 0.9)
        left, _, right, _ = read_figure(framed, face=face).head_box
        columns = np.flatnonzero(framed.mask[int(row)])
        assert (left < box[0] and right > box[2]) == wider
        assert min(columns[0] / SIZE, box[0]) <= left and right <= max((columns[-1] + 1) / SIZE, box[2])


def name_sheet(drawn, order, **options):
    framed = preprocess_sheet(
        put_together([drawn[name] for name in order], **options), size=SIZE, outline=OUTLINE
    )
    assert len(framed) == len(order)
    views = [look(picture, 0.7 * (name == "front")) for picture, name in zip(framed, order, strict=True)]
    return name_views(views)


@pytest.mark.nightly_cases
@pytest.mark.parametrize("order", list(permutations(("back", "left", "front"))))
def test_three_views_in_any_order(drawn, order):
    names, left_out = name_sheet(drawn, order)
    assert {name: order[number] for name, number in names.items()} == {name: name for name in order}
    assert left_out == ()


@pytest.mark.nightly_cases
@pytest.mark.parametrize(
    "order",
    [("front", "left", "back", "right"), ("right", "front", "left"), ("front", "right"), ("back", "front")],
)
def test_other_sets_of_views(drawn, order):
    names, _ = name_sheet(drawn, order, paper=1.0, gap=25)
    assert {name: order[number] for name, number in names.items()} == {name: name for name in order}


def test_a_view_from_between_is_left_out_beside_the_side(drawn):
    order = ("front", "half", "left", "back")
    names, left_out = name_sheet(drawn, order)
    assert names == {"front": 0, "left": 2, "back": 3} and left_out == (1,)


def test_without_a_face_the_first_of_front_and_back_is_the_front(drawn):
    framed = preprocess_sheet(
        put_together([drawn["back"], drawn["left"], drawn["back"]]), size=SIZE, outline=OUTLINE
    )
    assert name_views([look(picture) for picture in framed]).names == {"front": 0, "left": 1, "back": 2}


def test_a_person_says_which_is_the_front(drawn):
    framed = preprocess_sheet(
        put_together([drawn["back"], drawn["left"], drawn["front"]]), size=SIZE, outline=OUTLINE
    )
    views = [look(picture) for picture in framed]
    assert name_views(views, front=2).names == {"front": 2, "back": 0, "left": 1}


def test_a_single_picture_is_the_same_to_the_bit(drawn):
    for picture in (drawn["front"], put_together([drawn["half"]], paper=1.0)):
        (framed,) = preprocess_sheet(picture, size=SIZE, outline=OUTLINE)
        alone = preprocess_picture(picture, size=SIZE, outline=OUTLINE)
        assert np.array_equal(framed.rgba, alone.rgba)
        assert (framed.warnings, framed.metrics) == (alone.warnings, alone.metrics)


def test_different_figures_are_no_sheet(drawn):
    other = drawn["front"].copy()
    other[..., :3] = other[..., [2, 0, 1]]
    pictures = put_together([drawn["front"], other])
    (framed,) = preprocess_sheet(pictures, size=SIZE, outline=OUTLINE)
    assert np.array_equal(framed.rgba, preprocess_picture(pictures, size=SIZE, outline=OUTLINE).rgba)


def test_views_keep_their_pixels_when_they_are_cut_apart(drawn):
    sheet = put_together([drawn["front"], drawn["left"]])
    for view, name in zip(split_sheet(sheet), ("front", "left"), strict=True):
        kept, before = (rgba[rgba[..., 3] > 0.5] for rgba in (view, drawn[name]))
        assert np.array_equal(kept[:, :3], before[:, :3])
        assert not view[0].any() and not view[:, -1, 3].any()


def test_one_figure_cannot_be_split(drawn):
    with pytest.raises(PictureError, match=r"several views .* found 1 figure"):
        split_sheet(drawn["front"])


def test_a_square_without_a_figure_is_a_front():
    rgba = np.zeros((64, 64, 4), np.float32)
    rgba[20:60, 20:40] = 1
    names, left_out = name_views([look(FramedPicture(rgba))])
    assert (names, left_out) == ({"front": 0}, ())
