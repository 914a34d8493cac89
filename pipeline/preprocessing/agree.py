"""Bring further pictures of a character to the scale of its front, and leave out what shows something else.

Pictures of one character in one pose have nearly the same colors at the same heights, and share a palette.
Both are measured, and a picture is left out only where neither is so. From above neither is to be expected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from types import MappingProxyType

import numpy as np
from scipy import ndimage

from ..color import srgb_to_lab
from ..figure import Figure
from ..types import BoolArray, FloatArray, FramedPicture, PictureSet
from .framing import cut_square
from .turn import measure_turn

_AROUND = 0.04
"""Least margin beside a subject that is wider than tall, as a share of its width."""
_BANDS, _REACH, _SKIP = 48, 3, 3.0
"""Bands of height whose colors are compared, how many of them parts may be higher or lower, and what it costs
to skip one, as a color difference."""
_MOST_APART, _LEAST_SHARED = 22.0, 0.6
"""Mean color difference (CIE 1976) of the bands up to which pictures agree, and share of the palette from
which they do. Of ten characters no picture of one was beyond both, and 3 of 80 pairs of two were not."""
_CELLS, _SPREAD = 16, 1.0
"""Cells along each axis of Lab in which the palette is counted, and width of the blur over them."""
_ASIDE = 1.0
"""From this turn on a side view points to the other side than its name says."""
_OTHER = {"left": "right", "right": "left"}
_SIGNS = {"left": -1.0, "right": 1.0}


def bring_together(
    front: FramedPicture,
    sides: Mapping[str, FramedPicture],
    figures: Mapping[str, Figure] = MappingProxyType({}),
) -> PictureSet:
    """Scale each of `sides`, by name, until it is as tall as the front; it lies in the middle of a square.

    The square is larger than the front's where the subject does not fit into it. figures: of the left and the
    right, as far as they were read: a left that shows the right side is taken for that, and the reverse.
    Pictures that show another character or another pose are left out; the notes say so. One from above is
    passed on as it is.
    """
    scaled = dict[str, FramedPicture]()
    named, notes = _name_sides(sides, figures)
    for name, picture in named.items():
        if name == "top":
            scaled[name] = picture
            continue
        apart, shared = compare_pictures(front, picture)
        if apart > _MOST_APART and shared < _LEAST_SHARED:
            notes.append(_describe_misfit(name, apart, shared))
            continue
        scaled[name] = _scale_to(front, picture)
    return PictureSet(scaled, tuple(notes))


def _describe_misfit(name: str, apart: float, shared: float) -> str:
    return (
        f"{name} shows another character or another pose, and was left out: at the same height its colors "
        f"differ by {apart:.0f} from the front's, at most {_MOST_APART:.0f} were expected, and "
        f"{shared:.0%} of them are the same, at least {_LEAST_SHARED:.0%} were"
    )


def compare_pictures(front: FramedPicture, other: FramedPicture) -> tuple[float, float]:
    """Mean color difference (CIE 1976) of the same heights, and share of the colors that both have, 0..1."""
    one, two = (srgb_to_lab(picture.rgba[..., :3]) for picture in (front, other))
    bands = (_average_bands(lab, picture.mask) for lab, picture in ((one, front), (two, other)))
    palettes = (_count_colors(lab[picture.mask]) for lab, picture in ((one, front), (two, other)))
    return _match_bands(*bands), float(np.minimum(*palettes).sum())


def _name_sides(
    sides: Mapping[str, FramedPicture], figures: Mapping[str, Figure]
) -> tuple[dict[str, FramedPicture], list[str]]:
    """The pictures by the side that they show: left and right change places where all of them say so."""
    turned = [
        name
        for name, sign in _SIGNS.items()
        if name in figures and sign * measure_turn(figures[name]) < -_ASIDE
    ]
    given = [name for name in _OTHER if name in sides]
    if not turned or turned != given:
        return dict(sides), []
    notes = [f"{name} shows the character's {_OTHER[name]} side, and is used for that" for name in turned]
    return {_OTHER.get(name, name): picture for name, picture in sides.items()}, notes


def _average_bands(lab: FloatArray, mask: BoolArray) -> FloatArray:
    """Median color (_BANDS, 3) of each band of the subject's height."""
    rows = np.flatnonzero(mask.any(axis=1))
    edges = np.linspace(rows[0], rows[-1] + 1, _BANDS + 1).astype(int)
    colors = np.zeros((_BANDS, 3), np.float32)
    for number, (top, bottom) in enumerate(pairwise(edges)):
        band = lab[top:bottom][mask[top:bottom]]
        colors[number] = np.median(band, axis=0) if len(band) else colors[number - 1]
    return colors


def _match_bands(one: FloatArray, two: FloatArray) -> float:
    """Mean difference along the best monotone match of bands (dynamic time warping, Sakoe and Chiba 1978)."""
    apart = np.linalg.norm(one[:, None] - two[None], axis=2)
    total = np.full((_BANDS + 1, _BANDS + 1), np.inf)
    total[0, 0] = 0.0
    for i in range(1, _BANDS + 1):
        for j in range(max(1, i - _REACH), min(_BANDS, i + _REACH) + 1):
            before = min(total[i - 1, j - 1], total[i - 1, j] + _SKIP, total[i, j - 1] + _SKIP)
            total[i, j] = apart[i - 1, j - 1] + before
    return float(total[-1, -1]) / _BANDS


def _count_colors(lab: FloatArray) -> FloatArray:
    """Shares of the colors (N, 3) in cells of Lab, a little blurred."""
    place = lab * (_CELLS / 100, _CELLS / 160, _CELLS / 160) + (0, _CELLS / 2, _CELLS / 2)
    counts = np.zeros((_CELLS,) * 3)
    np.add.at(counts, tuple(np.clip(place, 0, _CELLS - 1).astype(int).T), 1.0)
    return np.asarray(ndimage.gaussian_filter(counts, _SPREAD) / max(len(lab), 1))


def _scale_to(front: FramedPicture, picture: FramedPicture) -> FramedPicture:
    (_, above, _, below), (left, top, right, bottom) = front.box, picture.box
    scale = (bottom - top) / (below - above)
    size = max(len(front.rgba), round((1 + 2 * _AROUND) * (right - left) / scale))
    side = size * scale
    square = (left + right - side) / 2, (top + bottom - side) / 2, side
    return replace(picture, rgba=cut_square(picture.rgba[..., :3], picture.rgba[..., 3], square, size))
