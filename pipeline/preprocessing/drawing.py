"""Line drawings on paper: what their outline encloses is the subject, although it shows the paper's color."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from ..boxes import find_box
from ..types import BoolArray, FloatArray
from .framing import resize_plane
from .grabcut import evaluate_color_field, fit_color_field
from .parts import keep_large_parts
from .sheet import find_sheet, remove_rules

_SIDE = 512
_INK, _NOISES = 5.0, 6.0
"""Least lightness that ink lacks beside the paper around it, and how often it is the noise's deviation."""
_FAINT = 0.35
"""Share of the darkest ink's difference from paper below which a line is a stain or printed."""
_STROKE = 0.025
"""Strokes are narrower than this share of the longer side; wider dark areas count as paper but at edges."""
_STEP = 8
"""The paper's color is fitted to every eighth pixel."""
_SHADE, _TINT = 14.0, 7.0
"""Difference in lightness and in color up to which a pixel shows bare paper."""
_MIN_INK, _MAX_INK = 0.003, 0.25
"""Share of the paper that is ink."""
_MIN_FILLED = 0.01
"""Share of the paper that a drawing fills."""
_MIN_BARE = 0.7
"""Share of a drawing's inside that shows paper."""
_GAPS = (0.0, 0.004, 0.008, 0.015, 0.025, 0.04)
"""Half widths of the gaps in an outline that are closed, as shares of the longer side, tried in turn."""
_ENOUGH = 0.75
"""The narrowest closing is taken that fills this share of what the widest one fills."""
_LINE, _LINES = 0.008, 0.5
"""Half width of a line, as a share of the longer side, and share of what is opaque that is wider, up to which
a picture with transparency is of lines alone: of drawings up to 0.2, of painted figures from 0.88."""
_PART = 0.05
_SAME, _MET = 0.85, 0.5
"""A mask that overlaps the filled drawing so much needs no help; one that meets it less saw another thing."""


def lay_on_paper(rgb: FloatArray, alpha: FloatArray) -> FloatArray | None:
    """rgb (H, W, 3) on white paper, if only lines are opaque by alpha (H, W); None if more is."""
    opaque = alpha >= 0.5
    if not opaque.any():
        return None
    left, top, right, bottom = find_box(opaque)
    opaque = opaque[top:bottom, left:right]
    half = max(1.0, _LINE * max(opaque.shape))
    core = ndimage.distance_transform_edt(np.pad(opaque, 1)) > half
    wide = (ndimage.distance_transform_edt(~core) <= half)[1:-1, 1:-1] & opaque if core.any() else core
    if wide.sum() > _LINES * opaque.sum():
        return None
    return (rgb * alpha[..., None] + (1 - alpha[..., None])).astype(np.float32)


def fill_drawing(lab: FloatArray, prior: FloatArray | None) -> BoolArray | None:
    """Return what a drawing's outline encloses, its lines included, (H, W); None if lab is no line drawing.

    lab: (H, W, 3), L*a*b*. prior: (H, W), a coarse mask, which networks get wrong on drawings: they see the
    ink or the sheet. Where it is right the picture counts as no drawing.
    """
    shape = tuple(max(8, round(n * min(1.0, _SIDE / max(lab.shape[:2])))) for n in lab.shape[:2])
    small = resize_plane(lab, shape, Image.Resampling.BOX)
    light = _lift_strokes(small[..., 0])
    sheet = find_sheet(light)
    if sheet is None:
        return None
    ink = _find_ink(small[..., 0], light, sheet)
    if not _MIN_INK * sheet.sum() <= ink.sum() <= _MAX_INK * sheet.sum():
        return None
    distance = ndimage.distance_transform_edt(~ink)
    widest = _close(ink, distance, _GAPS[-1])
    if widest.sum() < _MIN_FILLED * sheet.sum() or not _is_bare(small, sheet, ink, widest):
        return None
    filled = _fill_outline(ink, distance, int(widest.sum()))
    if prior is not None:
        seen = resize_plane(prior, shape, Image.Resampling.BILINEAR) > 0.5
        common = int((seen & filled).sum())
        if common > _SAME * (seen | filled).sum() or common < _MET * min(seen.sum(), filled.sum()):
            return None
    return resize_plane(filled.astype(np.float32), lab.shape[:2], Image.Resampling.BICUBIC) > 0.5


def _lift_strokes(lightness: FloatArray) -> FloatArray:
    """The lightness (H, W) without dark strokes: that of the paper under a drawing, with its shadows."""
    width = 2 * round(_STROKE * max(lightness.shape)) + 1
    smooth = ndimage.gaussian_filter(lightness, 1.0)
    return ndimage.gaussian_filter(ndimage.grey_closing(smooth, (width, width)), width / 4)


def _find_ink(lightness: FloatArray, light: FloatArray, sheet: BoolArray) -> BoolArray:
    """Strokes on the sheet (H, W): not rules, stains, specks or the sheet's edge."""
    dark = light - lightness
    middle = float(np.median(dark[sheet]))
    noise = 1.48 * float(np.median(np.abs(dark[sheet] - middle)))
    ink = sheet & (dark - middle > max(_INK, _NOISES * noise))
    if not ink.any():
        return ink
    ink = remove_rules(ink & (dark > _FAINT * float(np.quantile(dark[ink], 0.9))))
    ink &= ~ndimage.binary_propagation(ink & ndimage.binary_dilation(~sheet), mask=ink)
    return ink & keep_large_parts(ndimage.binary_dilation(ink), _PART)


def _is_bare(lab: FloatArray, sheet: BoolArray, ink: BoolArray, inside: BoolArray) -> bool:
    """Whether most of a drawing's `inside`, and of the painted areas that ink touches, is bare paper."""
    samples = np.zeros_like(sheet)
    samples[::_STEP, ::_STEP] = sheet[::_STEP, ::_STEP]
    difference = np.abs(lab - evaluate_color_field(fit_color_field(lab, samples), sheet.shape))
    bare = (difference[..., 0] < _SHADE) & (np.hypot(difference[..., 1], difference[..., 2]) < _TINT)
    painted, _ = ndimage.label(sheet & ~bare & ~ink)
    touched = np.unique(painted[ndimage.binary_dilation(ink, iterations=2)])
    area = (inside & ~ink) | np.isin(painted, touched[touched > 0])
    return bool((bare & area).sum() >= _MIN_BARE * area.sum())


def _fill_outline(ink: BoolArray, distance: FloatArray, widest: int) -> BoolArray:
    """Ink and all it encloses, with gaps closed no wider than needed: wider closing also fills notches.

    distance: (H, W) from the ink. widest: number of pixels that the widest closing fills.
    """
    closings = (_close(ink, distance, gap) for gap in _GAPS)
    return keep_large_parts(next(filled for filled in closings if filled.sum() >= _ENOUGH * widest), _PART)


def _close(ink: BoolArray, distance: FloatArray, gap: float) -> BoolArray:
    """Ink and what a disc does not reach from the border without touching it; `gap`: the disc's radius."""
    radius = gap * max(ink.shape)
    labels, _ = ndimage.label(np.pad(distance > radius, 1, constant_values=True))
    reached = labels == labels[0, 0]
    if gap > 0:
        reached = ndimage.distance_transform_edt(~reached) <= radius
    return ink | ~reached[1:-1, 1:-1]
