"""Cutting out: with a coarse mask as prior, drawings, several figures, warnings."""

import numpy as np
import pytest
from character3d.pipeline.color import srgb_to_lab
from character3d.pipeline.errors import PictureError
from character3d.pipeline.preprocessing import Prior, needs_prior, preprocess_picture
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


def predicting(mask):
    """A network that sees `mask` in every picture."""
    return Prior("u2netp", lambda rgb: mask)


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
    assert iou(cut(rgb, coarse(alpha)) >= 0.5, coarse(alpha) >= 0.5) > 0.9


def test_the_stage_prefers_mask_then_alpha_then_prior():
    alpha = figure()
    rgb, prior = paint(alpha, clutter()), coarse(alpha)
    options = {"size": 256, "outline": 16}
    assert preprocess_picture(rgb, prior=predicting(prior), **options).method == "u2netp"
    assert preprocess_picture(rgb, prior=predicting(prior), mask=alpha, **options).method == "mask"
    assert preprocess_picture(np.dstack([rgb, alpha]), prior=predicting(prior), **options).method == "alpha"
    assert preprocess_picture(rgb, prior=predicting(prior), method="grabcut", **options).method == "grabcut"
    assert preprocess_picture(rgb, prior=predicting(np.zeros_like(prior)), **options).method == "grabcut"


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
    framed = preprocess_picture(rgb, prior=predicting(coarse(alpha)[::2, ::2]), size=256, outline=16)
    whole = preprocess_picture(np.dstack([rgb, alpha]), size=256, outline=16)
    assert iou(framed.mask, whole.mask) > 0.94


# drawings


def drawing(gap=0):
    """A figure's outline, drawn with a pen on paper that is lit from one side; `gap`: of its trunk."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    head = np.hypot(x - 128, y - 70) - 36
    trunk = np.maximum(np.abs(x - 128) - 44, np.abs(y - 155) - 55)
    legs = np.maximum(np.abs(np.abs(x - 128) - 27) - 15, np.abs(y - 250) - 42)
    parts = np.stack([head, trunk, legs])
    inside = (parts < 2).any(axis=0)
    ink = np.clip(2.5 - np.abs(parts).min(axis=0), 0, 1)
    ink[140 : 140 + gap, 60:100] = 0
    paper = (0.6 + 0.25 * x / WIDTH)[..., None] * np.float32((1, 0.98, 0.93))
    noise = np.random.default_rng(0).normal(0, 0.01, paper.shape)
    rgb = ink[..., None] * np.float32((0.2, 0.15, 0.5)) + (1 - ink[..., None]) * (paper + noise)
    return np.clip(rgb, 0, 1).astype(np.float32), inside, ink


@pytest.mark.parametrize("gap", [0, 5])
def test_a_drawing_is_filled_inside_its_outline(gap):
    rgb, inside, ink = drawing(gap)
    whole = preprocess_picture(np.dstack([rgb, inside]), size=256, outline=16).mask
    for prior in (None, predicting(ink.astype(np.float32)), predicting(np.full_like(ink, 0.9))):
        framed = preprocess_picture(rgb, prior=prior, size=256, outline=16)
        assert framed.method == "drawing"
        assert iou(framed.mask, whole) > 0.95


def test_lines_on_nothing_are_filled_as_on_paper():
    _, inside, ink = drawing()
    lines = np.dstack([np.full((HEIGHT, WIDTH, 3), 0.1, np.float32), ink.astype(np.float32)])
    whole = preprocess_picture(np.dstack([lines[..., :3], inside]), size=256, outline=16)
    assert whole.method == "alpha"
    for picture, mask in ((lines, None), (lines[..., :3], lines[..., 3])):
        framed = preprocess_picture(picture, mask=mask, size=256, outline=16)
        assert framed.method == "drawing"
        assert iou(framed.mask, whole.mask) > 0.95
    assert preprocess_picture(lines, method="alpha", size=256, outline=16).mask.sum() < 0.5 * whole.mask.sum()


def test_a_drawing_on_a_ruled_sheet_that_lies_on_a_table():
    """Pencil lines on a fifth of a sheet that has rules, a shadow across it and a table around it."""
    _, inside, ink = drawing()
    height, width = 640, 480
    y, x = np.mgrid[0:height, 0:width]
    ink, inside = (np.pad(plane[::2, ::2], ((260, 220), (180, 172))) for plane in (ink, np.float32(inside)))
    sheet = (np.abs(y - 320) < 295) & (np.abs(x - 240) < 205)
    light = 0.9 - 0.2 / (1 + np.exp((x - y / 2) / 12)) - 0.08 * (y % 20 == 0) - 0.4 * ink
    noise = np.random.default_rng(1).normal(0, 0.01, (height, width))
    shade = np.where(sheet, light, 0.3) + noise
    rgb = shade[..., None] * np.where(
        sheet[..., None], np.float32((1, 0.98, 0.94)), np.float32((1, 0.7, 0.4))
    )
    prior = predicting(sheet.astype(np.float32))
    framed = preprocess_picture(rgb.clip(0, 1).astype(np.float32), prior=prior, size=256, outline=16)
    assert framed.method == "drawing"
    whole = preprocess_picture(np.dstack([rgb.clip(0, 1), inside]), size=256, outline=16).mask
    assert iou(framed.mask, whole) > 0.93


def test_a_painted_figure_is_no_drawing():
    alpha = figure()
    rgb = paint(alpha, np.ones((HEIGHT, WIDTH, 3)))
    assert preprocess_picture(rgb, size=256, outline=16).method == "grabcut"
    with pytest.raises(PictureError, match="no line drawing"):
        preprocess_picture(rgb, method="drawing")


def test_a_mask_that_fits_the_filled_drawing_is_used():
    rgb, inside, _ = drawing()
    prior = ndimage.gaussian_filter(inside.astype(np.float32), 2)
    assert preprocess_picture(rgb, prior=predicting(prior), size=256, outline=16).method == "u2netp"


# several figures


def group(scales=(1.0, 1.0, 1.0), gap=30, colors=((0.8, 0.3, 0.2),) * 3):
    """RGBA of figures of different sizes side by side on one line."""
    figures = [ndimage.zoom(figure()[20:300, 60:210], scale, order=1).clip(0, 1) for scale in scales]
    height = max(len(one) for one in figures) + 40
    width = sum(one.shape[1] + gap for one in figures) + 40
    rgba, x = np.zeros((height, width, 4), np.float32), 20
    for one, color in zip(figures, colors, strict=True):
        place = rgba[height - 20 - len(one) : height - 20, x : x + one.shape[1]]
        place[..., :3] = np.where(one[..., None] > 0, np.float32(color), place[..., :3])
        place[..., 3] = np.maximum(place[..., 3], one)
        x += one.shape[1] + gap
    return rgba


def process(rgba, **options):
    return preprocess_picture(rgba, size=256, outline=16, **options)


def test_one_figure_is_not_split():
    framed = process(group((1.0,), colors=((0.8, 0.3, 0.2),)))
    assert framed.metrics["figures"] == 1
    assert framed.warnings == ()


def test_the_largest_of_several_figures_is_used():
    framed = process(group((0.7, 1.0, 0.6)))
    assert framed.metrics["figures"] == 3
    assert framed.warnings == (
        "3 figures found, number 1 was used: crop the picture, or pass figure=0 to 2, counted from the left, "
        "for another one",
    )
    alone = process(group((1.0,), colors=((0.8, 0.3, 0.2),)))
    assert iou(framed.mask, alone.mask) > 0.97


def test_a_figure_is_chosen_by_its_number():
    rgba = group((0.7, 1.0, 0.6), colors=((1, 0, 0), (0, 1, 0), (0, 0, 1)))
    for index in range(3):
        framed = process(rgba, figure=index)
        assert framed.rgba[framed.mask][:, index].mean() > 0.9
        assert framed.warnings == ()
    with pytest.raises(PictureError, match="figure is 3, but 3 figures were found"):
        process(rgba, figure=3)


def test_of_equal_strangers_the_one_in_the_middle_is_used():
    framed = process(group(colors=((1, 0, 0), (0, 1, 0), (0, 0, 1))))
    assert framed.rgba[framed.mask][:, 1].mean() > 0.9


def test_a_sheet_begins_with_the_front():
    framed = process(group())
    assert framed.warnings[0].startswith("3 views of one character found, number 0 was used")


def test_small_parts_stay_with_their_figure():
    rgba = group((1.0,), colors=((0.8, 0.3, 0.2),))
    rgba[30:60, 5:15] = 1.0  # something that hovers beside it
    assert process(rgba).metrics["figures"] == 1


def test_figures_that_only_touch_are_split():
    assert process(group(gap=-6)).metrics["figures"] == 3


def test_one_of_several_is_seen_again_alone():
    """The network sees a hole in each of three, and none in the only one of a picture."""
    alpha = group()[..., 3]
    picture = paint(alpha, np.ones((*alpha.shape, 3)))

    def look(rgb):
        seen = coarse(np.float32(rgb[..., 2] < 0.6))
        if rgb.shape == picture.shape:
            seen[140:200] = 0
        return seen

    alone = process(group((1.0,), colors=((1, 1, 1),))).mask
    assert iou(process(picture, prior=Prior("u2netp", look)).mask, alone) > 0.95


# warnings


@pytest.mark.parametrize(
    ("crop", "words"),
    [
        (np.s_[:200], "the feet are outside the picture"),
        (np.s_[60:], "the top of the head is outside the picture"),
        (np.s_[:, 128:], "cut off at the picture's left"),
        (np.s_[:, :128], "cut off at the picture's right"),
        (np.s_[::3, ::3], "use a larger picture"),
    ],
)
def test_warnings_say_what_to_do(crop, words):
    alpha = figure()
    framed = process(np.dstack([paint(alpha, np.ones((HEIGHT, WIDTH, 3))), alpha])[crop])
    assert words in framed.warnings[0]
    assert ": use a" in framed.warnings[0] or ": use one" in framed.warnings[0]


def test_a_picture_cropped_to_its_figure_is_good():
    alpha = figure()
    alpha[:, :75] = 0  # without the staff
    rows, columns = (np.flatnonzero((alpha >= 0.5).any(axis=axis)) for axis in (1, 0))
    rgba = np.dstack([paint(alpha, np.ones((HEIGHT, WIDTH, 3))), alpha])
    assert process(rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]).warnings == ()


def test_soles_on_the_lower_side_of_the_picture_are_good():
    """Rounded at the heel and the toe, as drawn shoes are; cut above them, the feet are missing."""
    y, x = np.mgrid[:400, :300]
    legs = (np.abs(np.abs(x - 150) - 40) < 18) & (y > 150) & (y < 390)
    shoes = np.hypot((np.abs(x - 150) - 46) / 30, (y - 388) / 12) < 1
    alpha = np.float32(
        (np.hypot(x - 150, y - 60) < 40) | ((np.abs(x - 150) < 60) & (y > 90) & (y < 200)) | legs | shoes
    )
    rgba = np.dstack([np.full((400, 300, 3), 0.4, np.float32), alpha])
    assert process(rgba).warnings == ()
    assert "feet are outside" in process(rgba[:360]).warnings[0]
