"""Synthesize the back view: the picture, with what only the front shows replaced by texture of the same part.

Everything is in the pixels of the front view; the back view is the mirror image of the result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..boxes import find_box
from ..progress import Progress, span_progress
from ..types import BoolArray, FloatArray
from .alignment import FrontCanvas
from .back_colors import choose_by_row, continue_rows, continue_shades
from .back_head import choose_head_back
from .figure_layout import FigureLayout
from .front_details import (
    complete_patches,
    find_front_details,
    find_islands,
    find_obstacles,
    join_along_rows,
    measure_contrast,
    measure_support,
    segment_materials,
)
from .ink import erase_ink
from .masked_images import (
    blur_masked,
    dilate_mask,
    erode_mask,
    extend_color,
    resize,
    resize_mask,
)
from .patch_synthesis import fill_with_patches, measure_supply
from .sleeves import favor_sleeves

_ANALYSIS_SIDE = 384
"""Largest side of the reduced picture in which the details are found."""
_MARGIN = 0.009
"""Rim around details that goes with them: outlines and shadow, as a share of the side."""
_TRUNK_BAND = 0.2
"""Width, as a share of the trunk's, of a narrower side that has to show a material above the legs, too: the
wider one may reach into an open jacket."""
_LEG_DETAIL, _ON_LEGS = 0.002, 0.7
"""Largest detail of the legs, as a share of the image: larger ones of which such a share is on the legs are
loincloths or patterns."""
_SOFT = 0.003
"""Width over which filled and kept texture pass into each other, as a share of the side."""
_LIKE = 0.5
"""Likeness to the head's main material from which on texture is taken."""
_RIM = 0.014
"""Rim of the silhouette that no texture is taken from: ink, rim light, background."""


_TEXTURE = 0.012
"""Width of the blur whose result counts as light, not as texture, as a share of the side."""
_CONTRAST = 0.08
"""Largest difference between texture and light."""


@dataclass(frozen=True, eq=False)
class BackCanvas:
    """The back view in the pixels of the front view.

    color: (S, S, 3) float32 sRGB. replaced: (S, S) bool, where the colors are not the picture's.
    """

    color: FloatArray
    replaced: BoolArray


@dataclass(frozen=True, eq=False)
class _Region:
    """hole, source: (S, S) bool, what is replaced and by what. base: (S, S, 3), colors without texture."""

    hole: BoolArray
    source: BoolArray
    base: FloatArray


def synthesize_back_view(
    canvas: FrontCanvas, layout: FigureLayout, rng: np.random.Generator, progress: Progress
) -> BackCanvas:
    """Synthesize the back as it would be seen from the front through the character."""
    if not layout.is_facing:
        return BackCanvas(canvas.color, np.zeros_like(canvas.mask))
    regions = _choose_regions(canvas, layout)
    progress(0.3)
    color, replaced = canvas.color, np.zeros_like(canvas.mask)
    for number, region in enumerate(regions):
        part = span_progress(
            progress, 0.3 + 0.7 * number / len(regions), 0.3 + 0.7 * (number + 1) / len(regions)
        )
        color = _fill_region(color, region, rng, part)
        replaced |= region.hole
    progress(1.0)
    return BackCanvas(color, replaced)


def _choose_regions(canvas: FrontCanvas, layout: FigureLayout) -> list[_Region]:
    """Head and trunk."""
    size = (min(_ANALYSIS_SIDE, len(canvas.mask)),) * 2
    mask, small, color = resize_mask(canvas.mask, size), layout.resize(size), resize(canvas.color, size)
    materials = segment_materials(color, mask)
    trunk = small.trunk & mask
    support = measure_support(materials, trunk, mask)
    narrow = measure_support(materials, trunk, mask, _TRUNK_BAND)
    support = np.where(small.legs[..., None], support, np.minimum(support, narrow))
    favored, closed = favor_sleeves(materials, support, small), mask | _close_rows(small.legs)
    details = find_front_details(materials, support, trunk, closed)
    details |= find_front_details(materials, favored, trunk, closed)
    details = complete_patches(details, materials, favored, trunk)
    details &= ~_find_on_legs(details, small.legs)
    details = join_along_rows(details, trunk & ~small.legs)
    contrast = measure_contrast(color, trunk | small.head)
    details |= find_islands(contrast, trunk, mask) | small.held
    details |= find_obstacles(trunk, small.hands, mask, small.head)
    chosen = choose_by_row(favored.sum(axis=1) / np.maximum(trunk.sum(axis=1), 1)[:, None])
    regions = []
    if small.head.any():
        plain = erase_ink(color, small, mask)
        unlined = materials if plain is color else segment_materials(plain, mask)
        head = choose_head_back(materials, unlined, small, mask, contrast)
        hole, source = _leave_margins(head.hole, head.source, mask)
        base = continue_shades(plain, source * head.weights, head.scales)
        regions.append((hole | head.smoothed, source & (head.weights > _LIKE), base))
        details, trunk = details & ~regions[0][0], trunk & ~head.hole
    hole, source = _leave_margins(details, trunk, mask)
    regions.append((hole, source, continue_rows(color, materials, source, hole, chosen)))
    size = (len(canvas.mask),) * 2
    return [
        _Region(
            resize_mask(hole, size) & canvas.mask,
            resize_mask(source, size) & canvas.mask,
            resize(base, size),
        )
        for hole, source, base in regions
    ]


def _find_on_legs(details: BoolArray, legs: BoolArray) -> BoolArray:
    """The large details (H, W) that hang on the legs; a belly may reach over them, too."""
    patches, count = ndimage.label(details)
    sizes, below = (np.bincount(item, minlength=count + 1) for item in (patches.ravel(), patches[legs]))
    dropped = (below > _ON_LEGS * sizes) & (below > _LEG_DETAIL * details.size)
    dropped[0] = False
    return dropped[patches]


def _leave_margins(hole: BoolArray, source: BoolArray, mask: BoolArray) -> tuple[BoolArray, BoolArray]:
    """Grow the hole by the margin; keep the source away from it and, where thick enough, from the rim."""
    side = len(mask)
    clear = source & ~dilate_mask(hole, 2 * _MARGIN * side)
    inner = clear & erode_mask(mask, _RIM * side)
    best = next((item for item in (inner, clear) if item.any()), source)
    return dilate_mask(hole, _MARGIN * side) & mask, best


def _fill_region(
    color: FloatArray, region: _Region, rng: np.random.Generator, progress: Progress
) -> FloatArray:
    """Fill one hole of the picture (S, S, 3); its border is soft."""
    hole, source = region.hole, region.source
    if not hole.any():
        return color
    side, window = len(color), _frame(hole | source)
    color, hole, source, base = color.copy(), hole[window], source[window], region.base[window]
    part = color[window]
    guess = np.where(hole[..., None], base, part)
    made = fill_with_patches(part, guess, hole, source, rng, progress, scale=side / 768)
    light, _ = blur_masked(made, hole, _TEXTURE * side)
    contrast = _CONTRAST * measure_supply(hole, source, side / 768)
    filled = np.clip(base + np.clip(made - light, -contrast, contrast), 0, 1)
    share = ndimage.gaussian_filter(hole.astype(np.float32), _SOFT * side)[..., None]
    color[window] = part * (1 - share) + np.where(hole[..., None], filled, extend_color(filled, hole)) * share
    return color


def _close_rows(region: BoolArray) -> BoolArray:
    """With all between the first and the last pixel of each row: no outline between the legs."""
    return np.logical_and(
        np.maximum.accumulate(region, axis=1), np.maximum.accumulate(region[:, ::-1], axis=1)[:, ::-1]
    )


def _frame(region: BoolArray) -> tuple[slice, slice]:
    left, top, right, bottom = find_box(region)
    return slice(top, bottom), slice(left, right)
