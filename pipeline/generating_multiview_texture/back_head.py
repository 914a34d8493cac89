"""Decide what covers the back of the head: of which materials it is, and what of the picture it replaces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial.distance import cdist

from ..types import BoolArray, FloatArray
from .back_colors import ALONG, ROUND, Scales
from .figure_layout import FigureLayout
from .front_details import (
    STANDS_OUT,
    Materials,
    count_materials,
    find_front_details,
    find_islands,
    find_reaching,
    find_runs,
    measure_support,
)
from .masked_images import keep_large_components

_CLOSE = 9.0
"""Difference of material up to which two colors are shades of one."""
_REACH = 30.0
"""Weighted Lab distance of the covering's main shade and all its others, lights and shadows."""
_LIKE = 9.0
"""Difference of material from the main shade at which others hardly count in the color of the back."""
_SHOWN_OUTSIDE = 0.3
"""Shares at the crown and around the head, added, from which on a material counts wholly on a head of fur."""
_RARE, _SCARCE, _UNLIKE = (7.0, 4.0), (9.0, 3.0), (16.0, 1.25)
"""Differences of material from the main shade, and how much commoner than at the crown a material of such a
difference must be in the middle of the face to be the face's."""
_LEAST_FACE = 0.4
"""Share of the face's own materials in its middle from which on there is a face."""
_OF_CHEEKS, _SKIN, _FRAMED = 0.12, 0.6, 0.28
"""Shares of the cheeks from which on a material is skin's, and skin is seen; share of hair beside them."""
_BELOW_HAT, _SEEN_TWICE, _HAIRLINE = 0.1, 0.15, 0.25
"""Share of what is beside the face up to which the crown's material is a hat's; share of crown and of what is
beside the face from which on another is hair; share of a row of the head up to which it is the hat's."""
_FEATURES = 1.5
"""Radii of the face within which what is missing of the hair is the face's."""
_EYES = 0.5
"""Radii of the face over its center within which nothing is hair: eyes and brows may be of its color."""
_FUR_FACE = 1.2, 0.75
"""Radii of a face of fur within which the back is smooth, and within which it takes nothing from the face."""
_OUTLINED = 6.0
"""Contact with the silhouette, relative to its size, from which on a patch is outline: headphones, a band."""
_SHOWN, _CHIN = 0.12, 0.8
"""Share of a head's row from which on hair counts as seen in it; radii of the face from its center to where
it is covered at least: below the mouth."""
_LONGEST = 0.7
"""How far long hair is drawn below the neck, in heights of the head."""


@dataclass(frozen=True, eq=False)
class HeadBack:
    """hole: (H, W) bool, what the back does not show. source: (H, W) bool, the hair, fur or skin it shows.

    weights: (H, W) 0..1, how much each pixel counts in the source's color. smoothed: (H, W) bool, replaced
    as the hole is, but a source of color and texture all the same: a face of fur. scales: of continue_shades.
    """

    hole: BoolArray
    source: BoolArray
    weights: FloatArray
    smoothed: BoolArray
    scales: Scales


def choose_head_back(
    materials: Materials, unlined: Materials, layout: FigureLayout, mask: BoolArray, contrast: FloatArray
) -> HeadBack:
    """Find what the back of the head is of: hair, hat and hood, or what its sides show.

    unlined: the materials of the picture without its ink, where it is drawn with outlines.
    contrast: (H, W), from measure_contrast.
    """
    covering, face, likeness, hat = _split_materials(unlined, layout)
    if not face.any():
        return _smooth_fur(materials, layout, mask, contrast)
    kept = covering[unlined.labels] & layout.head & ~_select_face(layout, 1.0, _EYES)
    # Islands of the covering's color amid the face are eyes and brows.
    around = ndimage.binary_closing(layout.head & ~kept, _disk(max(1, int(0.06 * layout.head_height))))
    kept &= ~ndimage.binary_opening(around & layout.head)
    kept = keep_large_components(ndimage.binary_opening(kept), 0.05 * kept.sum())
    if not kept.any():
        return _smooth_fur(materials, layout, mask, contrast)
    hole = layout.head & (np.arange(len(mask))[:, None] <= _find_nape(kept, layout)) & ~kept
    hole = ndimage.binary_opening(hole, iterations=2)
    hole &= ~_find_ornaments(hole, layout, mask)
    if hat:
        hole[: _find_hairline(kept, layout)] = False
    hole = ndimage.binary_propagation(hole & _select_face(layout, _FEATURES), mask=hole)
    connected, _ = ndimage.label(covering[unlined.labels] & mask & ~layout.legs)
    loose = np.isin(connected, np.unique(connected[kept & (connected > 0)]))
    hole |= _hang_hair(loose, layout, mask)
    return HeadBack(hole, kept, likeness[unlined.labels], np.zeros_like(hole), ROUND)


def _smooth_fur(
    materials: Materials, layout: FigureLayout, mask: BoolArray, contrast: FloatArray
) -> HeadBack:
    """The back of a head whose face is of the same as the rest: each row of what its sides show."""
    shares = measure_support(materials, layout.head, mask)
    features = find_front_details(materials, shares, layout.head, mask)
    features |= find_islands(contrast, layout.head, mask)
    own = np.take_along_axis(shares, np.maximum(materials.labels, 0)[..., None], axis=-1)[..., 0]
    crown, rim = (count_materials(materials, area) for area in (_select_crown(layout), _select_rim(layout)))
    shown = np.minimum(1.0, materials.kinship @ (crown + rim) / _SHOWN_OUTSIDE)
    weights = (own / np.maximum(shares.max(axis=-1), 1e-6)) ** 2 * shown[materials.labels]
    around, inner = np.zeros_like(mask), np.zeros_like(mask)
    if layout.face is not None:
        around, inner = (_select_both_sides(layout, scale) for scale in _FUR_FACE)
        sharp = contrast > STANDS_OUT
        brows = sharp & ~ndimage.binary_opening(sharp, _disk(2)) & _select_both_sides(layout, _FEATURES)
        around |= ndimage.binary_dilation(brows, iterations=2) & layout.head
    lines = ndimage.binary_dilation(contrast > 0.5 * STANDS_OUT) & around
    return HeadBack(features, layout.head & ~features & ~inner & ~lines, weights, around, ALONG)


def _select_both_sides(layout: FigureLayout, scale: float) -> BoolArray:
    """The face's ellipse, scaled, and its mirror image in the middle of the head."""
    left, _, right, _ = layout.head_box
    face = _select_face(layout, scale)
    mirrored = np.clip(np.round(left + right - np.arange(face.shape[1])), 0, face.shape[1] - 1).astype(int)
    return face | (face[:, mirrored] & layout.head)


def _split_materials(
    materials: Materials, layout: FigureLayout
) -> tuple[BoolArray, BoolArray, FloatArray, bool]:
    """Which materials (C,) the head's outline is of, and which are the face's, if those are others.

    Also the likeness 0..1 of each to the outline's main material, and whether that is hair below a hat.
    """
    gaps = cdist(materials.colors, materials.colors)
    middle, crown, rim, beside = (
        count_materials(materials, area)
        for area in (
            _select_face(layout, 0.85),
            _select_crown(layout),
            _select_rim(layout),
            _select_beside(layout),
        )
    )
    unlike = _compare_materials(materials.colors)
    close = unlike < _CLOSE
    main = _find_commonest(crown + 0.5 * rim, close)
    hair = np.minimum(close @ crown, close @ beside) * (middle < crown)
    hat = (close @ beside)[main] < _BELOW_HAT and hair.max() > _SEEN_TWICE
    if hat:  # what goes on behind the face is what is seen both over it and beside it
        main = int(hair.argmax())
    unlike = unlike[main]
    likeness = np.exp(-((unlike / _LIKE) ** 2))
    face = np.zeros(len(gaps), dtype=bool)
    for difference, commoner in (_RARE, _SCARCE, _UNLIKE):
        face |= (unlike > difference) & (middle > commoner * crown) & (middle > 0.02)
    if middle[face].sum() < _LEAST_FACE:
        face = _find_framed_skin(materials, layout, unlike)
    # Shades of hair may come close to skin: each counts as what it is closer to.
    skin = int(np.where(face, middle, 0).argmax())
    covering = (gaps[main] < _REACH) & (gaps[main] < gaps[skin])
    return covering, face & ~covering, likeness, bool(hat)


def _find_commonest(shares: FloatArray, close: BoolArray) -> int:
    """The commonest of the materials that with those close to them are the commonest; shares: (C,)."""
    main = int((close @ shares * (shares > 0)).argmax())
    return int((shares * close[main]).argmax())


def _find_framed_skin(materials: Materials, layout: FigureLayout, unlike: FloatArray) -> BoolArray:
    """The cheeks' materials (C,) where long hair, which is like the crown, frames them; else none.

    Pale skin is near to pale hair, and goggles or a band on the hair may be of its color.
    """
    rows = np.arange(len(layout.head))[:, None]
    cheeks = _select_face(layout, 0.85) & ~_select_face(layout, 0.4) & (rows > _guess_face(layout)[1])
    shares = count_materials(materials, cheeks)
    skin = (unlike > _RARE[0]) & (shares > _OF_CHEEKS)
    framed = count_materials(materials, _select_beside(layout))[unlike < _CLOSE].sum() > _FRAMED
    return skin & (framed and shares[skin].sum() > _SKIN)


def _compare_materials(colors: FloatArray) -> FloatArray:
    """Differences (C, C) of weighted Lab colors that shade and light alone do not make.

    Lightness counts 0.6 times as much as in the weights; strong colors may differ more, as in CIE94.
    """
    chroma = np.linalg.norm(colors[:, 1:], axis=1)
    hue = cdist(colors[:, 1:], colors[:, 1:]) / (1 + 0.035 * np.minimum(chroma[:, None], chroma))
    return np.asarray(np.hypot(hue, 0.6 * cdist(colors[:, :1], colors[:, :1])))


def _find_nape(seen: BoolArray, layout: FigureLayout) -> FloatArray:
    """The row (W,) down to which the back is covered: as the sides, but at least over the ears; rounded."""
    left, top, right, _ = layout.head_box
    rows = np.flatnonzero(_measure_rows(seen, layout) >= _SHOWN)
    lowest = rows[-1] if len(rows) else top
    across = np.clip((np.arange(seen.shape[1]) - (left + right) / 2) / ((right - left) / 2), -1, 1)
    height = layout.head_height
    _, y, _, tall = _guess_face(layout)
    highest = max(top + 0.78 * height, min(y + _CHIN * tall, top + 0.95 * height))
    return np.clip(lowest, highest, top + 0.95 * height) + 0.05 * height * (1 - across**2)


def _find_hairline(seen: BoolArray, layout: FigureLayout) -> int:
    """The row above the face below which hair comes out of a hat."""
    _, y, _, tall = _guess_face(layout)
    shown = _measure_rows(seen, layout)
    most = max(0, int(y - tall)) + int(shown[max(0, int(y - tall)) : int(y)].argmax())
    return int(np.flatnonzero(shown[:most] < _HAIRLINE).max(initial=0))


def _measure_rows(seen: BoolArray, layout: FigureLayout) -> FloatArray:
    """The share (H,) of each row of the head that is seen."""
    share: FloatArray = seen.sum(axis=1) / np.maximum(layout.head.sum(axis=1), 1)
    return share


def _select_face(layout: FigureLayout, scale: float, above: float = 1.0) -> BoolArray:
    """The face's ellipse, scaled, without what is more than `above` of its radius over its center."""
    x, y, across, tall = _guess_face(layout)
    rows, columns = np.mgrid[: layout.head.shape[0], : layout.head.shape[1]]
    down = (rows - y) / (scale * tall)
    area = layout.head & (((columns - x) / (scale * across)) ** 2 + down**2 < 1) & (down > -above)
    return area if area.any() else layout.head


def _select_rim(layout: FigureLayout) -> BoolArray:
    """A band inside the head's outline, down to the neck."""
    rows = np.arange(len(layout.head))[:, None]
    depth = ndimage.distance_transform_edt(layout.head) / layout.head_height
    area = layout.head & (depth > 0.02) & (depth < 0.18)
    area &= (rows > layout.head_box[1]) & (rows < layout.head_box[3])
    return area if area.any() else layout.head


def _select_beside(layout: FigureLayout) -> BoolArray:
    """The part of that band beside the face."""
    _, y, _, tall = _guess_face(layout)
    return _select_rim(layout) & (np.abs(np.arange(len(layout.head))[:, None] - y) < 0.5 * tall)


def _select_crown(layout: FigureLayout) -> BoolArray:
    """The part of that band down to the middle of the face."""
    area = _select_rim(layout) & (np.arange(len(layout.head))[:, None] < _guess_face(layout)[1])
    return area if area.any() else layout.head


def _guess_face(layout: FigureLayout) -> tuple[float, float, float, float]:
    """Center and radii of the face; the lower middle of the head where none was read within it."""
    left, top, right, bottom = layout.head_box
    width, height = right - left, bottom - top
    if layout.face is not None:
        x, y, across, tall = layout.face
        is_inside = abs(x - (left + right) / 2) < 0.3 * width and 0.4 < (y - top) / height < 0.85
        if is_inside and across > 0.15 * width and tall > 0.12 * height:
            return layout.face
    return (left + right) / 2, top + 0.62 * height, 0.28 * width, 0.22 * height


def _find_ornaments(hole: BoolArray, layout: FigureLayout, mask: BoolArray) -> BoolArray:
    """Ears, horns, bows and headphones: what stands out beside or above the skull and is no face."""
    left, top, right, _ = layout.head_box
    columns = np.abs(np.arange(mask.shape[1]) - (left + right) / 2)[None, :] / ((right - left) / 2)
    above = np.arange(len(mask))[:, None] < top - 0.02 * layout.head_height
    outer = ndimage.binary_opening(hole & ((columns > 0.72) | above) & ~_select_face(layout, 1.3))
    beyond = ndimage.binary_propagation(outer & mask & ((columns > 1.06) | above), mask=outer)
    return beyond | find_reaching(hole & ~_select_face(layout, 1.3), mask, _OUTLINED)


def _hang_hair(looks: BoolArray, layout: FigureLayout, mask: BoolArray) -> BoolArray:
    """What long hair covers below the nape: rows in which it frames the neck on both sides, rounded below."""
    left, _, right, bottom = layout.head_box
    center, half = (left + right) / 2, (right - left) / 2
    drape = np.zeros_like(mask)
    columns = np.arange(mask.shape[1])
    near = np.abs(columns - center) < 1.2 * half
    starts, stops = find_runs(mask)
    column = int(center)
    first, last = (int(bottom + share * layout.head_height) for share in (-0.2, _LONGEST))
    for row in range(first, last):
        if row >= len(mask) or not mask[row, column]:
            break
        run = near & (columns >= starts[row, column]) & (columns < stops[row, column])
        found = np.flatnonzero(looks[row] & run)
        framed = len(found) and found[0] < center - 0.3 * half and found[-1] > center + 0.3 * half
        if not framed or len(found) < 0.3 * run.sum():
            break
        drape[row, found[0] : found[-1] + 1] = True
    if not drape.any():
        return drape
    lowest = np.flatnonzero(drape.any(axis=1))[-1] - 0.25 * half * ((columns - center) / half) ** 2
    drape &= np.arange(len(mask))[:, None] <= lowest
    return ndimage.binary_opening(drape, _disk(max(1, int(0.1 * half)))) & mask & ~looks


def _disk(radius: int) -> BoolArray:
    rows, columns = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return rows**2 + columns**2 <= radius**2
