"""Decide what hair covers at the back of the head, and where its texture comes from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial.distance import cdist

from ..types import BoolArray, FloatArray
from .figure_layout import FigureLayout
from .front_details import Materials, find_reaching, find_runs
from .masked_images import keep_large_components

_CLOSE = 9.0
"""Weighted Lab distance up to which two colors are shades of one."""
_REACH = 30.0
"""The same of the covering's main shade and all its others, lights and shadows."""
_FEATURE_DISTANCE = 9.0
"""The same within the face, so that eyes and lips of a bald or furry head do not count as its shades."""
_LEAST_FACE = 0.08
"""Share of other materials in the middle of the face from which on the face is not of the crown's."""
_OUTLINED = 6.0
"""Contact with the silhouette, relative to its size, from which on a patch is outline: headphones, a band."""
_SHOWN = 0.12
"""Share of a head's row from which on hair counts as seen in it."""
_LONGEST = 0.7
"""How far long hair is drawn below the neck, in heights of the head."""


@dataclass(frozen=True, eq=False)
class HeadBack:
    """hole: (H, W) bool, what the back does not show. source: (H, W) bool, the hair, fur or skin it shows."""

    hole: BoolArray
    source: BoolArray


def choose_head_back(materials: Materials, layout: FigureLayout, mask: BoolArray) -> HeadBack:
    """Find what the crown is of: hair, hat, hood, fur or skin. The rest is hole, down to the nape."""
    covering = _find_covering(materials, layout)
    seen = covering[materials.labels] & layout.head
    gaps = np.linalg.norm(materials.colors - _main_color(materials, seen), axis=1)
    features = _select_face(layout, 1.0) & (gaps > _FEATURE_DISTANCE)[materials.labels]
    features |= _select_face(layout, 1.4) & (gaps > 1.5 * _FEATURE_DISTANCE)[materials.labels]
    # Islands of the crown's color amid the features are none of it.
    features = ndimage.binary_closing(features, _disk(max(1, int(0.06 * layout.head_height))))
    seen = keep_large_components(ndimage.binary_opening(seen & ~features), 0.05 * seen.sum())
    if not seen.any():
        return HeadBack(np.zeros_like(mask), layout.head)
    hole = layout.head & (np.arange(len(mask))[:, None] <= _find_nape(seen, layout)) & ~seen
    hole = ndimage.binary_opening(hole, iterations=2)
    hole &= ~_find_ornaments(hole, layout, mask)
    connected, _ = ndimage.label(covering[materials.labels] & mask & ~layout.legs)
    loose = np.isin(connected, np.unique(connected[seen & (connected > 0)]))
    return HeadBack(hole | _hang_hair(loose, layout, mask), seen)


def _find_covering(materials: Materials, layout: FigureLayout) -> BoolArray:
    """Whether each material (C,) belongs to what the head's upper outline is of, rather than to the face."""
    count = len(materials.colors)
    gaps = cdist(materials.colors, materials.colors)
    middle, crown = (
        np.bincount(materials.labels[area], minlength=count) / max(1, area.sum())
        for area in (_select_face(layout, 0.85), _select_crown(layout))
    )
    close = gaps < _CLOSE
    main = int((close @ crown * (crown > 0)).argmax())
    main = int((crown * close[main]).argmax())
    others = np.where(close[main], 0.0, middle)
    covering = gaps[main] < _REACH
    if others.max() < _LEAST_FACE:
        return covering
    # Shades of hair may come close to skin: each counts as what it is closer to.
    face = int(others.argmax())
    return covering & (gaps[main] < gaps[face])


def _main_color(materials: Materials, region: BoolArray) -> FloatArray:
    """Color (3,) of the commonest material of a region."""
    return materials.colors[np.bincount(materials.labels[region] if region.any() else [0]).argmax()]


def _find_nape(seen: BoolArray, layout: FigureLayout) -> FloatArray:
    """The row (W,) down to which the back is covered: as the sides, but at least over the ears; rounded."""
    left, top, right, _ = layout.head_box
    share = seen.sum(axis=1) / np.maximum(layout.head.sum(axis=1), 1)
    rows = np.flatnonzero(share >= _SHOWN)
    lowest = rows[-1] if len(rows) else top
    across = np.clip((np.arange(seen.shape[1]) - (left + right) / 2) / ((right - left) / 2), -1, 1)
    height = layout.head_height
    return np.clip(lowest, top + 0.78 * height, top + 0.95 * height) + 0.05 * height * (1 - across**2)


def _select_face(layout: FigureLayout, scale: float) -> BoolArray:
    """The face's ellipse, scaled."""
    x, y, across, tall = (*_guess_face(layout)[:2], *(scale * radius for radius in _guess_face(layout)[2:]))
    rows, columns = np.mgrid[: layout.head.shape[0], : layout.head.shape[1]]
    area = layout.head & (((columns - x) / across) ** 2 + ((rows - y) / tall) ** 2 < 1)
    return area if area.any() else layout.head


def _select_crown(layout: FigureLayout) -> BoolArray:
    """A band inside the head's upper outline, down to the middle of the face."""
    rows = np.arange(len(layout.head))[:, None]
    depth = ndimage.distance_transform_edt(layout.head) / layout.head_height
    area = layout.head & (depth > 0.02) & (depth < 0.18)
    area &= (rows > layout.head_box[1]) & (rows < _guess_face(layout)[1])
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
