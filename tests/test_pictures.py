"""What benchmarks/pictures.py measures is right: on figures made here, whose measures are known."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from character3d.pipeline.animation import pose_character
from character3d.pipeline.color import srgb_to_lab
from character3d.pipeline.figure import KINDS
from character3d.pipeline.formats import write_glb
from character3d.pipeline.preprocessing import preprocess_picture
from character3d.tests.readers.sample_character import make_character, make_clips
from PIL import Image, ImageDraw

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
TRUTHS = json.loads((BENCHMARKS / "pictures_truth.json").read_text(encoding="utf-8"))
POINTS = ("neck", "crown", "chin", "pelvis", "left_wrist", "right_wrist", "left_ankle", "right_ankle")


def load(name):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(importlib.import_module("sys").modules, name, module)
        spec.loader.exec_module(module)
    return module


measures, posed, cuts = load("picture_measures"), load("posed_glb"), load("cut_outs")


def draw_figure(size=(200, 300), left=60, right=140):
    picture = Image.new("RGBA", size)
    draw = ImageDraw.Draw(picture)
    draw.ellipse((left, 20, right, 100), fill=(200, 120, 90, 255))
    draw.rectangle((left + 15, 95, right - 15, 279), fill=(40, 90, 200, 255))
    return picture


def alpha_of(picture):
    return np.asarray(picture)[..., 3] >= 128


@pytest.mark.parametrize("name", TRUTHS)
def test_truths_lie_in_their_pictures(name):
    truth = TRUTHS[name]
    width, height = truth["size"]
    left, top, right, bottom = truth["box"]
    assert truth["kind"] in KINDS and 0 <= left < right <= width and 0 <= top < bottom <= height
    for point in filter(None, (truth[key] for key in POINTS)):
        assert 0 <= point[0] <= width and 0 <= point[1] <= height
    if truth["neck"] and truth["crown"]:
        assert truth["crown"][1] < truth["neck"][1]
    assert truth["has_alpha"] or truth["outline"]


@pytest.mark.parametrize("name", [name for name, truth in TRUTHS.items() if not truth["has_alpha"]])
def test_outlines_fill_their_boxes(name):
    truth = TRUTHS[name]
    mask = measures.true_mask(truth, Image.new("RGB", truth["size"]))
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    found = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    assert np.abs(np.subtract(found, truth["box"])).max() <= 3


def test_holes_of_outlines_are_empty():
    square, hole = [[10, 10], [50, 10], [50, 50], [10, 50]], [[20, 20], [40, 20], [40, 40], [20, 40]]
    truth = {"has_alpha": False, "size": [60, 60], "outline": [square, hole]}
    mask = measures.true_mask(truth, Image.new("RGB", (60, 60)))
    assert mask[15, 15] and not mask[30, 30] and not mask[5, 5]


def test_overlap():
    first, second = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    first[:2], second[1:3] = True, True
    assert measures.overlap(first, second) == pytest.approx(1 / 3)
    assert measures.overlap(first, first) == 1.0


@pytest.mark.parametrize("background", measures.BACKGROUNDS)
def test_backgrounds_leave_the_subject(background):
    figure = draw_figure()
    composed = np.asarray(measures.compose(figure, background, 3))
    again = np.asarray(measures.compose(figure, background, 3))
    subject = alpha_of(figure)
    assert (composed == again).all()
    assert (composed[subject] == np.asarray(figure)[subject][:, :3]).all()
    assert (composed[~subject].std(axis=0) > 1).all() == (background != "white")


def test_sides_are_compared_at_one_height():
    figure = alpha_of(draw_figure())
    half = np.asarray(Image.fromarray(figure).resize((100, 150)))
    iou, depth = measures.compare_sides(np.pad(half, ((7, 2), (31, 0))), figure)
    assert iou > 0.97 and depth == pytest.approx(1.0, abs=0.03)


def test_depth_is_the_share_of_the_true_one():
    narrow, wide = np.zeros((100, 100), bool), np.zeros((100, 100), bool)
    narrow[:, 40:60], wide[:, 30:70] = True, True
    assert measures.compare_sides(narrow, wide) == pytest.approx((0.5, 0.5), abs=0.01)


def test_colors():
    mask, red = np.ones((50, 40), bool), np.zeros((50, 40, 3), np.float32)
    red[..., 0] = 1.0
    black = np.zeros_like(red)
    expected = np.linalg.norm(srgb_to_lab(red[0, 0]) - srgb_to_lab(black[0, 0]))
    assert measures.compare_colors((mask, red), (mask, red), srgb_to_lab) == 0
    assert measures.compare_colors((mask, red), (mask, black), srgb_to_lab) == pytest.approx(expected, 0.01)


def test_stretch_is_that_of_the_worst_pose():
    positions = np.array(((0, 0, 0), (1, 0, 0), (0, 1, 0)), float)
    faces = np.array(((0, 1, 2),))
    poses = [positions * (1, 1, 1), positions * (4, 1, 1), positions * (2, 1, 1)]
    assert measures.measure_stretch(positions, faces, poses) == pytest.approx(4.0, rel=0.01)
    assert measures.measure_stretch(positions, faces, [positions]) == 1.0


def test_slivers_do_not_count_as_stretched():
    positions = np.array(((0, 0, 0), (1e-7, 0, 0), (0, 1, 0)), float)
    pose = positions + np.array(((0, 0, 0), (1e-5, 0, 0), (0, 0, 0)))
    assert measures.measure_stretch(positions, np.array(((0, 1, 2),)), [pose]) < 1.01


def test_distance_to_a_segment():
    start, end = np.array((0.0, 0.0)), np.array((0.0, 10.0))
    assert measures.distance_to_segment((3, 5), start, end) == 3
    assert measures.distance_to_segment((3, 14), start, end) == 5


def test_a_mesh_is_laid_over_its_picture():
    whole = np.array(((-0.5, 0, 0), (0.5, 2, 0)), float)
    scale, shift = measures.place_mesh(whole, (100, 50, 200, 250))
    assert scale == 100 and (shift + scale * np.array((0.0, -2.0)) == (150, 50)).all()
    completed = np.array(((-0.5, -2, 0), (0.5, 2, 0)), float)
    scale, shift = measures.place_mesh(completed, (100, 50, 200, 250))
    assert scale == 100 and (shift + scale * np.array((0.0, -2.0)) == (150, 50)).all()


def test_cut_outs_are_laid_back_on_their_pictures():
    picture = draw_figure()
    framed = preprocess_picture(np.asarray(picture, np.float32) / 255)
    frame = (framed.metrics[f"frame_{edge}"] for edge in ("left", "top", "side"))
    placed = cuts.CutOut(framed.rgba, *frame).unframe(picture.size)
    assert measures.overlap(placed, alpha_of(picture)) > 0.985


@pytest.fixture(scope="module")
def character():
    bare = make_character()
    return replace(bare, clips=make_clips(bare.skeleton))


def test_the_reader_poses_as_the_pack_does(character, tmp_path):
    write_glb(tmp_path / "c.glb", character)
    glb = posed.read_glb(tmp_path / "c.glb")
    assert np.allclose(glb.positions, character.textured.mesh.positions, atol=1e-6)
    assert glb.names == list(character.skeleton.names)
    rest = glb.skin(glb.place_joints(glb.rest))
    assert np.abs(rest - glb.positions).max() < 1e-5
    clip = next(clip for clip in character.clips if clip.name == "walk")
    times = np.arange(6) * float(clip.times[-1]) / 6
    for found, expected in zip(glb.sample("walk", 6), pose_character(character, clip, times), strict=True):
        assert np.abs(found - expected.mesh.positions).max() < 5e-3


def test_turned_joints_take_what_hangs_on_them(character, tmp_path):
    write_glb(tmp_path / "c.glb", character)
    glb = posed.read_glb(tmp_path / "c.glb")
    assert np.allclose(glb.turn({}), glb.positions, atol=1e-5)
    half_turn = np.diag((-1.0, 1.0, -1.0))
    turned = glb.turn({glb.names[0].rsplit(":", 1)[-1]: half_turn})
    pivot = glb.place_joints(glb.rest)[0, :3, 3]
    assert np.allclose(turned, pivot + (glb.positions - pivot) @ half_turn.T, atol=1e-5)
