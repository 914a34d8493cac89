"""Line drawings on paper: what their outline encloses is the subject, although it shows the paper's color."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from ..types import BoolArray, FloatArray
from .framing import resize_plane
from .grabcut import evaluate_color_field, fit_color_field
from .parts import keep_large_parts

_SIDE = 512
_STEP = 5
"""The paper's color is fitted to every fifth pixel."""
_INK = 9.0
"""Least difference of ink from paper in L*a*b*; more where the paper is uneven."""
_MIN_PAPER_LIGHTNESS = 40.0
_MIN_INK, _MAX_INK = 0.003, 0.25
"""Share of the picture that is ink."""
_MIN_BARE = 0.5
"""Share of a drawing's inside that shows paper."""
_GAPS = (0.0, 0.004, 0.008, 0.015, 0.025, 0.04)
"""Half widths of the gaps in an outline that are closed, as shares of the longer side, tried in turn."""
_ENOUGH = 0.75
"""The narrowest closing is taken that fills this share of what the widest one fills."""
_PART = 0.05
_SAME = 0.85
"""A mask that overlaps the filled drawing like this needs no help."""


def fill_drawing(lab: FloatArray, prior: FloatArray | None) -> BoolArray | None:
    """Return what a drawing's outline encloses, its lines included, (H, W); None if lab is no line drawing.

    lab: (H, W, 3), L*a*b*. prior: (H, W), a coarse mask, which networks get wrong on drawings: they see the
    ink or the sheet. Where it is right the picture counts as no drawing.
    """
    shape = tuple(max(8, round(n * min(1.0, _SIDE / max(lab.shape[:2])))) for n in lab.shape[:2])
    ink = _find_ink(resize_plane(lab, shape, Image.Resampling.BOX))
    if ink is None:
        return None
    filled = _fill_outline(ink)
    if (filled & ~ink).sum() < _MIN_BARE * filled.sum():
        return None
    if prior is not None:
        seen = resize_plane(prior, shape, Image.Resampling.BILINEAR) > 0.5
        if _overlap(seen, filled) > _SAME:
            return None
    return resize_plane(filled.astype(np.float32), lab.shape[:2], Image.Resampling.BICUBIC) > 0.5


def _find_ink(lab: FloatArray) -> BoolArray | None:
    """Pixels darker than the paper or of another color; None if there is no evenly colored paper."""
    samples = np.zeros(lab.shape[:2], dtype=bool)
    samples[::_STEP, ::_STEP] = True
    paper = evaluate_color_field(fit_color_field(lab, samples), lab.shape[:2])
    difference = np.linalg.norm(lab - paper, axis=-1)
    difference[lab[..., 0] > paper[..., 0] + 0.5 * difference] = 0.0  # gloss is no ink
    ink = difference > max(_INK, 6.0 * float(np.median(difference)))
    if paper[..., 0].mean() < _MIN_PAPER_LIGHTNESS or not _MIN_INK <= ink.mean() <= _MAX_INK:
        return None
    return ink & keep_large_parts(ndimage.binary_dilation(ink), _PART)


def _fill_outline(ink: BoolArray) -> BoolArray:
    """Ink and all it encloses, with gaps closed no wider than needed: wider closing also fills notches."""
    longer = max(ink.shape)
    distance = ndimage.distance_transform_edt(~ink)
    closings = [ink | ~_flood(distance, gap * longer) for gap in _GAPS]
    enough = _ENOUGH * max(int(filled.sum()) for filled in closings)
    return keep_large_parts(next(filled for filled in closings if filled.sum() >= enough), _PART)


def _flood(distance: FloatArray, gap: float) -> BoolArray:
    """What a disc of radius `gap` reaches from the picture's border without touching ink."""
    padded = np.pad(distance > gap, 1, constant_values=True)
    labels, _ = ndimage.label(padded)
    reached = labels == labels[0, 0]
    if gap > 0:
        reached = ndimage.distance_transform_edt(~reached) <= gap
    return reached[1:-1, 1:-1]


def _overlap(one: BoolArray, two: BoolArray) -> float:
    return float((one & two).sum() / max((one | two).sum(), 1))
