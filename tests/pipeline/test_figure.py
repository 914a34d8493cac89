"""The figure in a picture: its checks, its corrections, and the drawing of it."""

import json

import numpy as np
import pytest
from character3d.pipeline.errors import PictureError
from character3d.pipeline.figure import LANDMARKS, Figure
from character3d.pipeline.figure.document import correct_figure, describe_figure
from character3d.pipeline.figure.draw import draw_figure


def make_figure(**fields):
    landmarks = np.linspace(0.2, 0.8, 3 * len(LANDMARKS)).reshape(-1, 3)
    values = {
        "kind": "front",
        "landmarks": landmarks,
        "confidence": np.full(len(LANDMARKS), 0.5),
        "box": (0.2, 0.1, 0.8, 0.9),
        "head_box": (0.4, 0.1, 0.6, 0.3),
        "parts": np.zeros((16, 16)),
    }
    return Figure(**values | fields)


def test_left_and_right_have_the_same_landmarks():
    left = {name.removeprefix("left_") for name in LANDMARKS if name.startswith("left_")}
    assert left == {name.removeprefix("right_") for name in LANDMARKS if name.startswith("right_")}
    assert len(LANDMARKS) == len(set(LANDMARKS)) == 20


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        ("kind", "sideways", "'sideways'"),
        ("landmarks", np.zeros((19, 3)), "(19, 3)"),
        ("landmarks", np.full((20, 3), np.nan), "finite"),
        ("confidence", np.zeros(3), "(3,)"),
        ("parts", np.zeros((4, 5)), "(4, 5)"),
    ],
)
def test_a_figure_that_is_not_one_is_refused(field, value, found):
    with pytest.raises(ValueError, match=field) as error:
        make_figure(**{field: value})
    assert found in str(error.value)


def test_a_landmark_is_found_by_its_name():
    figure = make_figure()
    np.testing.assert_array_equal(figure["left_wrist"], figure.landmarks[LANDMARKS.index("left_wrist")])
    assert figure.trust("neck") == 0.5


def test_corrections_move_landmarks_and_make_them_certain():
    figure = make_figure()
    corrected = correct_figure(figure, '{"neck": [0.4, 0.3], "left_wrist": [0.7, 0.6, -0.1]}')
    np.testing.assert_allclose(corrected["neck"], (0.4, 0.3, figure["neck"][2]))
    np.testing.assert_allclose(corrected["left_wrist"], (0.7, 0.6, -0.1))
    assert corrected.trust("neck") == 1.0
    assert corrected.source == "hand"
    others = [name not in ("neck", "left_wrist") for name in LANDMARKS]
    np.testing.assert_array_equal(corrected.landmarks[others], figure.landmarks[others])


FRAME = {"frame_left": 100.0, "frame_top": -50.0, "frame_side": 1000.0}


def test_corrections_in_pixels_are_of_the_picture_as_it_was_given():
    figure = make_figure(metrics=FRAME)
    corrected = correct_figure(figure, '{"unit": "pixels", "neck": [600, 150], "head": [600, 50, 20]}')
    np.testing.assert_allclose(corrected["neck"], (0.5, 0.2, figure["neck"][2]), atol=1e-6)
    np.testing.assert_allclose(corrected["head"], (0.5, 0.1, 0.02), atol=1e-6)


@pytest.mark.parametrize(
    ("corrections", "metrics", "found"),
    [
        ('{"unit": "pixels", "neck": [50, 150]}', FRAME, "outside"),
        ('{"unit": "pixels", "neck": [600, 150]}', {}, "frame"),
        ('{"unit": "metres", "neck": [1, 1]}', FRAME, "'metres'"),
        ('{"unit": "pixels", "neck": [1e999, 1]}', FRAME, "inf"),
        ("[" * 3000, FRAME, "not JSON"),
    ],
)
def test_corrections_that_have_no_place_in_the_picture(corrections, metrics, found):
    with pytest.raises(PictureError) as error:
        correct_figure(make_figure(metrics=metrics), corrections)
    assert found in str(error.value)


def test_no_corrections_change_nothing():
    figure = make_figure()
    assert correct_figure(figure, "  ") is figure


@pytest.mark.parametrize(
    ("corrections", "found"),
    [
        ("{neck", "not JSON"),
        ("[1, 2]", "[1, 2]"),
        ('{"nose": [0.5, 0.5]}', "'nose'"),
        ('{"neck": [0.5]}', "[0.5]"),
        ('{"neck": [0.5, 300]}', "300"),
        ('{"neck": [0.5, 0.5, 2]}', "2"),
        ('{"neck": ["0.5", 0.5]}', "0.5"),
        ('{"neck": [true, 0.5]}', "True"),
        ('{"neck": [NaN, 0.5]}', "nan"),
    ],
)
def test_corrections_that_are_none_are_refused_by_name(corrections, found):
    with pytest.raises(PictureError) as error:
        correct_figure(make_figure(), corrections)
    assert found in str(error.value)


def test_description_is_json_in_the_unit_asked_for():
    figure = make_figure(face=(0.5, 0.2, 0.05, 0.06))
    document = json.loads(json.dumps(describe_figure(figure, 1000)))
    assert document["box"] == [200, 100, 800, 900]
    assert document["landmarks"]["crown"]["x"] == 200
    assert set(document["landmarks"]) == set(LANDMARKS)
    assert document["face"] == [500, 200, 50, 60]


def test_drawing_marks_landmarks_and_leaves_the_rest():
    parts = np.zeros((16, 16))
    parts[:8] = 3
    picture = np.full((128, 128, 3), 0.5, np.float32)
    drawn = draw_figure(picture, make_figure(parts=parts))
    assert drawn.shape == picture.shape
    assert np.abs(drawn[100:, :20] - picture[100:, :20]).max() < 0.01
    assert np.abs(drawn[2, 2] - picture[2, 2]).max() > 0.05
    column, row = (make_figure()["pelvis"][:2] * 128).astype(int)
    assert drawn[row, column, 1] > drawn[row, column, 0]
