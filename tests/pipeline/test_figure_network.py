"""The body network: what it reads in figures drawn by code, mirrored ones, and in no figure at all."""

import numpy as np
import pytest
import torch
from character3d.pipeline.figure import LANDMARKS, PARTS, mirrored_names
from character3d.pipeline.figure.body_network import SIDE, encode_outline
from character3d.pipeline.figure.network import load_network, read_body

SIZE = 200


def draw_person(size=SIZE, lean=0.0):
    """A standing person in A-pose: head, trunk, arms and legs as capsules; (size, size) 0 or 1."""
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    mask = np.zeros((size, size), bool)
    limbs = [
        *(((0.5 + lean, 0.2), (0.5 + lean, 0.22), 0.07), ((0.5, 0.3), (0.5, 0.52), 0.085)),
        *(((0.43, 0.33), (0.27, 0.56), 0.03), ((0.57, 0.33), (0.73, 0.56), 0.03)),
        *(((0.46, 0.52), (0.44, 0.88), 0.04), ((0.54, 0.52), (0.56, 0.88), 0.04)),
    ]
    for a, b, radius in limbs:
        along = np.subtract(b, a)
        t = np.clip(((x - a[0]) * along[0] + (y - a[1]) * along[1]) / (along @ along), 0, 1)
        mask |= np.hypot(x - a[0] - t * along[0], y - a[1] - t * along[1]) < radius
    return mask.astype(np.float32)


@pytest.fixture(scope="module")
def person():
    return read_body(draw_person())


def place(reading, name):
    return reading.landmarks[LANDMARKS.index(name)]


def test_shapes_and_types(person):
    inside = draw_person() > 0.5
    assert person.landmarks.shape == (20, 3) and person.landmarks.dtype == np.float32
    assert person.confidence.shape == (20,) and ((person.confidence >= 0) & (person.confidence <= 1)).all()
    assert person.parts.shape == (SIZE, SIZE) and person.parts.dtype == np.uint8
    assert np.array_equal(person.parts > 0, inside) and person.parts.max() < len(PARTS)
    for layer in (person.front, person.back, person.doubt):
        assert layer.dtype == np.float32 and np.array_equal(np.isfinite(layer), inside)
    assert (person.front >= person.back)[inside].all() and (person.doubt[inside] > 0).all()


def test_person_in_a_pose(person):
    assert person.confidence.min() > 0.3
    for name, at in {
        "head": (0.5, 0.21),
        "left_wrist": (0.71, 0.53),
        "right_wrist": (0.29, 0.53),
        "left_ankle": (0.56, 0.87),
        "right_knee": (0.45, 0.7),
    }.items():
        assert np.hypot(*(place(person, name)[:2] - at)) < 0.06, name
    assert 0.24 < place(person, "neck")[1] < 0.32
    trunk = (person.front - person.back)[int(0.4 * SIZE), SIZE // 2]
    assert 0.06 < trunk < 0.3
    assert PARTS[person.parts[int(0.7 * SIZE), int(0.56 * SIZE)]] == "left_leg"


def test_a_mirrored_outline_is_read_as_the_mirror_image():
    mask = draw_person(lean=0.03)
    reading, mirrored = read_body(mask), read_body(mask[:, ::-1].copy())
    back = mirrored.landmarks[mirrored_names(LANDMARKS)] * (-1, 1, 1) + (1, 0, 0)
    assert np.allclose(reading.landmarks, back, atol=1e-3)
    assert np.allclose(reading.front, mirrored.front[:, ::-1], atol=1e-3, equal_nan=True)
    swapped = np.array(mirrored_names(PARTS))[mirrored.parts[:, ::-1]]
    assert (reading.parts != swapped).mean() < 1e-3


def test_size_and_place_in_the_picture_do_not_matter(person):
    small = np.zeros((SIZE, SIZE), np.float32)
    small[20:120, 60:160] = draw_person(100)
    reading = read_body(small)
    moved = person.landmarks * 0.5 + (60 / SIZE, 20 / SIZE, 0)
    assert np.abs(reading.landmarks - moved).max() < 0.012
    both = np.isfinite(reading.front)
    full = person.front[::2, ::2][both[20:120, 60:160]] * 0.5
    assert np.nanmean(np.abs(reading.front[both] - full)) < 0.004


def test_hints_are_checked_against_the_outline(person):
    right = person.landmarks[:, :2].copy()
    hinted = read_body(draw_person(), right, np.ones(20))
    assert np.abs(hinted.landmarks - person.landmarks).max() < 0.08
    wrong = right.copy()
    wrong[LANDMARKS.index("left_ankle")] = (0.1, 0.1)
    reading = read_body(draw_person(), wrong)
    assert np.hypot(*(place(reading, "left_ankle")[:2] - right[LANDMARKS.index("left_ankle")])) < 0.08
    nothing = read_body(draw_person(), np.full((20, 2), np.nan), np.ones(20))
    assert np.array_equal(nothing.landmarks, person.landmarks)


def paint_toy(chin):
    """An egg with stubs for arms and feet, its head of another color down to the row `chin`: mask, colors."""
    y, x = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE
    egg = np.hypot((x - 0.5) / 0.24, (y - 0.5) / 0.36) < 1
    feet = sum(np.hypot((x - 0.5 - side) / 0.07, (y - 0.86) / 0.04) < 1 for side in (-0.1, 0.1))
    arms = sum(np.hypot((x - 0.5 - side) / 0.07, (y - 0.58) / 0.11) < 1 for side in (-0.25, 0.25))
    colors = np.where((egg & (y < chin))[..., None], (0.5, 0.3, 0.2), (0.3, 0.6, 0.9))
    colors[(feet + arms > 0) & ~egg] = (0.5, 0.3, 0.2)
    for eye in (0.4, 0.6):
        colors[np.hypot(x - eye, y - chin + 0.16) < 0.02] = 0.05
    return (egg | (feet + arms > 0)).astype(np.float32), colors


def test_colors_tell_where_a_head_ends_that_the_outline_does_not_show():
    for chin in (0.45, 0.6):
        mask, colors = paint_toy(chin)
        assert abs(place(read_body(mask, colors=colors), "neck")[1] - chin) < 0.05


def test_brightness_and_contrast_of_a_picture_do_not_matter():
    mask, colors = paint_toy(0.45)
    colors[:, : SIZE // 2] *= 0.8
    bright, dull = (read_body(mask, colors=scaled) for scaled in (colors, 0.15 + 0.5 * colors))
    assert np.allclose(bright.landmarks, dull.landmarks, atol=1e-3)
    assert np.allclose(bright.front, dull.front, atol=1e-3, equal_nan=True)


def test_a_mirrored_picture_is_read_as_the_mirror_image():
    mask, colors = paint_toy(0.45)
    colors[:, : SIZE // 2] *= 0.8
    reading = read_body(mask, colors=colors)
    mirrored = read_body(mask[:, ::-1].copy(), colors=colors[:, ::-1].copy())
    back = mirrored.landmarks[mirrored_names(LANDMARKS)] * (-1, 1, 1) + (1, 0, 0)
    assert np.allclose(reading.landmarks, back, atol=1e-3)


@pytest.mark.parametrize("kind", ["empty", "full", "noise", "dot", "line"])
def test_what_is_no_figure_does_not_stop_it(kind):
    mask = np.zeros((90, 90), np.float32)
    if kind == "full":
        mask[:] = 1
    elif kind == "noise":
        mask[:] = np.random.default_rng(0).random(mask.shape)
    elif kind == "dot":
        mask[3, 80] = 1
    elif kind == "line":
        mask[40] = 1
    reading = read_body(mask)
    assert np.isfinite(reading.landmarks).all() and np.isfinite(reading.confidence).all()
    assert np.array_equal(np.isfinite(reading.front), mask > 0.5)
    if kind == "empty":
        assert not reading.confidence.any() and not reading.parts.any()


def test_distances_are_positive_inside_only():
    mask = np.zeros((SIDE, SIDE), np.float32)
    mask[30:90, 40:80] = 1
    inside, distance = encode_outline(mask)
    assert np.array_equal(inside, mask) and np.array_equal(distance > 0, mask > 0)
    assert np.isfinite(encode_outline(np.ones_like(mask))).all()


def test_the_device_that_is_asked_for_is_used():
    load_network.cache_clear()
    reading = read_body(draw_person(), device=torch.device("cpu"))
    assert next(load_network("cpu").parameters()).device.type == "cpu" and reading.front.dtype == np.float32
