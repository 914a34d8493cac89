"""Cutting out with a coarse mask as prior."""

import numpy as np
import pytest
from character3d.pipeline.color import srgb_to_lab
from character3d.pipeline.preprocessing import needs_prior, preprocess_picture
from character3d.pipeline.preprocessing.prior_cut import cut_by_prior
from scipy import ndimage

HEIGHT, WIDTH = 320, 256


def iou(one, two):
    return (one & two).sum() / (one | two).sum()


def figure():
    """Alpha of a figure with legs apart, an arm akimbo that encloses background, and a thin staff."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    head = np.hypot(x - 128, y - 60) - 30
    trunk = np.maximum(np.abs(x - 128) - 34, np.abs(y - 145) - 58)
    legs = np.maximum(np.abs(np.abs(x - 128) - 22) - 12, np.abs(y - 245) - 50)
    arm = np.abs(np.hypot(x - 166, y - 145) - 30) - 7
    staff = np.maximum(np.abs(x - 70) - 2.0, np.abs(y - 180) - 110)
    hand = np.maximum(np.abs(x - 84) - 16, np.abs(y - 150) - 8)
    return np.clip(0.5 - np.minimum.reduce([head, trunk, legs, arm, staff, hand]), 0, 1).astype(np.float32)


def coarse(alpha):
    """What a network of low resolution makes of it: soft, thin parts doubted, gaps half filled."""
    return np.clip(ndimage.gaussian_filter(alpha, 3.5) * 1.25, 0, 1).astype(np.float32)


def clutter(seed=0):
    """Boxes of any color, as on a shelf."""
    rng = np.random.default_rng(seed)
    boxes = np.kron(rng.uniform(0, 1, (HEIGHT // 16, WIDTH // 8, 3)), np.ones((16, 8, 1)))
    return (0.9 * boxes + rng.normal(0, 0.02, boxes.shape)).clip(0, 1)


def paint(alpha, background, color=(0.75, 0.35, 0.2)):
    return (alpha[..., None] * np.float32(color) + (1 - alpha[..., None]) * background).astype(np.float32)


def cut(rgb, prior):
    return cut_by_prior(rgb, srgb_to_lab(rgb), prior)


def test_a_figure_in_front_of_clutter():
    alpha = figure()
    found = cut(paint(alpha, clutter()), coarse(alpha))
    assert iou(found >= 0.5, alpha >= 0.5) > 0.97
    assert iou(coarse(alpha) >= 0.5, alpha >= 0.5) < 0.93


def test_what_the_mask_fills_or_misses_is_seen_by_its_colors():
    alpha = figure()
    prior = coarse(alpha)
    prior[120:170, 162:172] = np.maximum(prior[120:170, 162:172], 0.7)  # background inside the arm
    found = cut(paint(alpha, np.full((HEIGHT, WIDTH, 3), 0.6)), prior)
    assert found[145, 167] < 0.05
    assert found[100:280, 70].min() > 0.9  # the staff


def test_white_on_white_is_kept():
    alpha = figure()
    white = np.ones((HEIGHT, WIDTH, 3))
    rgb = paint(alpha, white)
    rgb[100:190, 90:166] = 1.0
    found = cut(rgb, coarse(alpha))
    assert found[105:185, 100:155].min() > 0.95
    assert found[:, :50].max() == 0


def test_a_cast_shadow_is_left_out():
    alpha = figure()
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    shadow = np.clip(1.3 - np.hypot((x - 150) / 60, (y - 296) / 9), 0, 1)
    floor = 0.7 * (1 - 0.5 * shadow[..., None]) * np.ones(3)
    prior = np.maximum(coarse(alpha), 0.6 * np.float32(shadow > 0.7) * (np.hypot(x - 150, y - 296) < 40))
    found = cut(paint(alpha, floor), prior.astype(np.float32))
    assert iou(found >= 0.5, alpha >= 0.5) > 0.97


def test_one_color_on_both_sides_leaves_the_mask():
    alpha = figure()
    rgb = np.full((HEIGHT, WIDTH, 3), 0.5, np.float32)
    assert iou(cut(rgb, coarse(alpha)) >= 0.5, coarse(alpha) >= 0.5) > 0.93


def test_the_stage_prefers_mask_then_alpha_then_prior():
    alpha = figure()
    rgb, prior = paint(alpha, clutter()), coarse(alpha)
    options = {"size": 256, "outline": 16}
    assert preprocess_picture(rgb, prior=prior, **options).method == "u2netp"
    assert preprocess_picture(rgb, prior=prior, mask=alpha, **options).method == "mask"
    assert preprocess_picture(np.dstack([rgb, alpha]), prior=prior, **options).method == "alpha"
    assert preprocess_picture(rgb, prior=prior, method="grabcut", **options).method == "grabcut"
    assert preprocess_picture(rgb, prior=np.zeros_like(prior), **options).method == "grabcut"


@pytest.mark.parametrize(
    ("method", "has_mask", "has_alpha", "needed"),
    [
        ("auto", False, False, True),
        ("auto", True, False, False),
        ("auto", False, True, False),
        ("u2netp", True, True, True),
        ("grabcut", False, False, False),
        ("alpha", False, True, False),
    ],
)
def test_a_prior_is_needed_only_where_it_is_used(method, has_mask, has_alpha, needed):
    alpha = figure()
    rgb = paint(alpha, clutter())
    picture = np.dstack([rgb, alpha]) if has_alpha else rgb
    assert needs_prior(picture, alpha if has_mask else None, method) is needed


def test_a_small_prior_is_enough():
    alpha = figure()
    rgb = paint(alpha, clutter())
    framed = preprocess_picture(rgb, prior=coarse(alpha)[::2, ::2], size=256, outline=16)
    whole = preprocess_picture(np.dstack([rgb, alpha]), size=256, outline=16)
    assert iou(framed.mask, whole.mask) > 0.94
