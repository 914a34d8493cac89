"""Pictures of further sides: brought to the front's scale, and left out where they show something else."""

import numpy as np
import pytest
from character3d.pipeline.figure import LANDMARKS, Figure
from character3d.pipeline.preprocessing.agree import bring_together, compare_pictures
from character3d.pipeline.types import FramedPicture

HAIR, SKIN, SHIRT, TROUSERS = (0.35, 0.2, 0.1), (0.9, 0.7, 0.6), (0.1, 0.3, 0.8), (0.3, 0.3, 0.3)
OTHERS = (0.9, 0.9, 0.2), (0.2, 0.6, 0.2), (0.8, 0.1, 0.1), (0.9, 0.9, 0.9)


def stripes(colors, width=90, top=40, bottom=472, size=512, edges=(0.12, 0.28, 0.6)):
    """A figure of colors from above to below; edges: where they meet, as shares of its height."""
    rgba = np.zeros((size, size, 4), np.float32)
    height = bottom - top
    borders = [top, *(round(top + share * height) for share in edges), bottom]
    left = (size - width) // 2
    for color, first, last in zip(colors, borders[:-1], borders[1:], strict=True):
        rgba[first:last, left : left + width] = (*color, 1.0)
    return FramedPicture(rgba)


FRONT = stripes((HAIR, SKIN, SHIRT, TROUSERS), width=140)


def box(picture):
    rows, columns = (np.flatnonzero(picture.mask.any(axis=axis)) for axis in (1, 0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


@pytest.mark.parametrize("top", [40, 150], ids=["as tall", "half as tall"])
def test_a_side_becomes_as_tall_as_the_front(top):
    left = stripes((HAIR, SKIN, SHIRT, TROUSERS), width=70, top=top, bottom=360)
    found = bring_together(FRONT, {"left": left})
    first, upper, last, lower = box(found.sides["left"])
    assert abs((lower - upper) - 432) <= 1 and abs((last - first) - 70 * 432 / (360 - top)) <= 2
    assert found.sides["left"].rgba.shape == FRONT.rgba.shape
    assert found.notes == ()


def test_a_side_that_is_wider_than_tall_gets_a_larger_square():
    wide = stripes((HAIR, SKIN, SHIRT, TROUSERS), width=460, top=200, bottom=312)
    found = bring_together(FRONT, {"left": wide}).sides["left"]
    first, upper, last, lower = box(found)
    assert len(found.rgba) > 1500 and abs((lower - upper) - 432) <= 2
    assert first > 20 and len(found.rgba) - last > 20


@pytest.mark.parametrize("name", ["left", "back", "right"])
def test_another_character_is_left_out_and_named_with_figures(name):
    found = bring_together(FRONT, {name: stripes(OTHERS)})
    assert found.sides == {}
    (note,) = found.notes
    assert note.startswith(f"{name} shows another character") and "at most 22 were expected" in note


def test_one_from_above_is_not_compared():
    found = bring_together(FRONT, {"top": stripes(OTHERS)})
    assert list(found.sides) == ["top"] and found.notes == ()


def test_parts_a_little_higher_or_lower_agree():
    lower = stripes((HAIR, SKIN, SHIRT, TROUSERS), edges=(0.15, 0.32, 0.64))
    apart, shared = compare_pictures(FRONT, lower)
    assert apart < 6 and shared > 0.8
    assert list(bring_together(FRONT, {"back": lower}).sides) == ["back"]


def turned(toes):
    """A figure whose feet point to the image's left (negative) or right by `toes` of its height each."""
    landmarks = np.full((len(LANDMARKS), 3), 0.5, np.float32)
    for side in ("left", "right"):
        landmarks[LANDMARKS.index(f"{side}_toe"), 0] += toes
    parts, edges = np.zeros((4, 4), np.uint8), (0.4, 0.1, 0.6, 0.9)
    confidence = np.ones(len(LANDMARKS), np.float32)
    return Figure("side", landmarks, confidence, edges, edges, parts, yaw=float(np.sign(toes) * 60))


LEFT = stripes((HAIR, SKIN, SHIRT, TROUSERS), width=70)


def test_a_left_that_shows_the_right_side_is_the_right():
    found = bring_together(FRONT, {"left": LEFT}, {"left": turned(0.1)})
    assert list(found.sides) == ["right"]
    assert found.notes == ("left shows the character's right side, and is used for that",)


def test_sides_that_were_exchanged_change_places():
    sides = {"left": LEFT, "back": FRONT, "right": stripes((HAIR, SKIN, SHIRT, TROUSERS), width=80)}
    found = bring_together(FRONT, sides, {"left": turned(0.1), "right": turned(-0.1)})
    assert len(found.notes) == 2
    widths = {name: np.ptp(np.flatnonzero(side.mask.any(axis=0))) + 1 for name, side in found.sides.items()}
    assert widths == {"left": 80, "right": 70, "back": 140}


def test_sides_that_point_where_they_should_or_the_same_way_stay():
    sides = {"left": LEFT, "right": LEFT}
    for figures in (
        {"left": turned(-0.1), "right": turned(0.1)},
        {"left": turned(0.1), "right": turned(0.1)},
    ):
        assert bring_together(FRONT, sides, figures).notes == ()
