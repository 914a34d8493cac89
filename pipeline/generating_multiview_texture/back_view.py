"""Synthesize the back view: the picture, with what only the front shows replaced by texture of the same part.

Everything is in the pixels of the front view; the back view is the mirror image of the result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..progress import Progress, span_progress
from ..types import BoolArray, FloatArray
from .alignment import FrontCanvas
from .back_head import choose_head_back
from .figure_layout import FigureLayout
from .front_details import find_front_details, find_obstacles, segment_materials
from .masked_images import (
    blur_masked,
    dilate_mask,
    enlarge_mask,
    erode_mask,
    extend_color,
    find_box,
    keep_large_components,
    shrink,
)
from .patch_synthesis import fill_with_patches

_ANALYSIS_SIDE = 384
"""Approximate side of the reduced picture in which the details are found."""
_MARGIN = 0.009
"""Rim around details that goes with them: outlines and shadow, as a share of the side."""
_LEG_DETAIL = 0.002
"""Largest detail of the legs, as a share of the image: larger ones are loincloths or patterns."""
_RIM = 0.014
"""Rim of the silhouette that no texture is taken from: ink, rim light, background."""


@dataclass(frozen=True, eq=False)
class BackCanvas:
    """The back view in the pixels of the front view.

    color: (S, S, 3) float32 sRGB. replaced: (S, S) bool, where the colors are not the picture's.
    """

    color: FloatArray
    replaced: BoolArray


def synthesize_back_view(
    canvas: FrontCanvas, layout: FigureLayout, rng: np.random.Generator, progress: Progress
) -> BackCanvas:
    """Synthesize the back as it would be seen from the front through the character."""
    if not layout.is_facing:
        return BackCanvas(canvas.color, np.zeros_like(canvas.mask))
    regions = _choose_regions(canvas, layout)
    progress(0.3)
    color, replaced = canvas.color, np.zeros_like(canvas.mask)
    for number, (hole, source) in enumerate(regions):
        part = span_progress(
            progress, 0.3 + 0.7 * number / len(regions), 0.3 + 0.7 * (number + 1) / len(regions)
        )
        color = _fill_region(color, hole, source, canvas.mask, rng, part)
        replaced |= hole
    progress(1.0)
    return BackCanvas(color, replaced)


def _choose_regions(canvas: FrontCanvas, layout: FigureLayout) -> list[tuple[BoolArray, BoolArray]]:
    """Hole and source (S, S) of the trunk and of the head, in this order."""
    step = max(1, len(canvas.mask) // _ANALYSIS_SIDE)
    mask, small = _reduce_mask(canvas.mask, step), layout.reduce(step)
    materials = segment_materials(shrink(canvas.color, step), mask)
    trunk = small.trunk & mask
    details = find_front_details(materials, trunk, mask)
    details &= ~keep_large_components(details & small.legs, _LEG_DETAIL * mask.size)
    details |= find_obstacles(trunk, mask, small.head)
    regions = [(details, trunk)]
    if small.head.any():
        head = choose_head_back(materials, small, mask)
        regions = [(details & ~head.hole, trunk & ~head.hole), (head.hole, head.source)]
    grown = [_leave_margins(hole, source, mask) for hole, source in regions]
    size = canvas.mask.shape
    return [
        (enlarge_mask(hole, size) & canvas.mask, enlarge_mask(source, size) & canvas.mask)
        for hole, source in grown
    ]


def _leave_margins(hole: BoolArray, source: BoolArray, mask: BoolArray) -> tuple[BoolArray, BoolArray]:
    """Grow the hole by the margin; keep the source away from it and, where it is thick, from the rim."""
    side = len(mask)
    grown = dilate_mask(hole, _MARGIN * side) & mask
    source = source & ~dilate_mask(hole, 2 * _MARGIN * side)
    inner = source & erode_mask(mask, _RIM * side)
    return grown, inner if inner.any() else source


def _reduce_mask(mask: BoolArray, step: int) -> BoolArray:
    return shrink(mask[..., None].astype(np.float32), step)[..., 0] >= 0.5


def _fill_region(
    color: FloatArray,
    hole: BoolArray,
    source: BoolArray,
    mask: BoolArray,
    rng: np.random.Generator,
    progress: Progress,
) -> FloatArray:
    """Fill one hole of the picture (S, S, 3) from its source; their border is soft."""
    if not hole.any() or not source.any():
        return color
    window = _frame(hole | source)
    color, hole, source = color.copy(), hole[window], source[window]
    part = color[window]
    guess = np.where(hole[..., None], _guess_color(part, source), part)
    filled = fill_with_patches(guess, hole, source & ~hole, rng, progress)
    share = ndimage.gaussian_filter(hole.astype(np.float32), 0.0015 * len(mask))[..., None]
    color[window] = part * (1 - share) + np.where(hole[..., None], filled, extend_color(filled, hole)) * share
    return color


def _frame(region: BoolArray) -> tuple[slice, slice]:
    left, top, right, bottom = find_box(region)
    return slice(top, bottom), slice(left, right)


def _guess_color(color: FloatArray, source: BoolArray) -> FloatArray:
    """Continue the colors of `source` smoothly, along rows rather than across: belts and hems go on."""
    guess = np.broadcast_to(color[source].mean(axis=0), color.shape)
    side = max(color.shape[:2])
    for down, across in ((0.2, 0.3), (0.05, 0.2), (0.015, 0.15), (0.006, 0.06)):
        near, share = blur_masked(color, source, (down * side, across * side))
        trust = share / (share + 0.02)
        guess = near * trust + guess * (1 - trust)
    return guess
