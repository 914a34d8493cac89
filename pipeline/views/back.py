"""Imagines what is behind: the picture with its front-only detail replaced.

Everything here stays in the pixels of the front view; the back view is the mirror image.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from ..progress import Progress, span_progress
from ..types import BoolArray, FloatArray
from .alignment import FrontCanvas
from .canvas import blur_masked, enlarge, enlarge_mask, erode_mask, find_box, shrink
from .exemplar import fill_detail
from .hair import draw_hair
from .head import Head
from .labels import mix_by_label, one_hot, spread_color
from .plan import BackPlan, plan_back

_ANALYSIS_SIDE = 384
_FLATTENED = 0.6
"""Share of the front's modelling (bust, creases) that is taken away in the middle of broad parts."""

_QUIETED = 0.5
"""Share of the front's fine detail that is taken away there."""

_GRAIN = 0.008
_CLOTH_DETAIL = 0.06
"""Copied detail of cloth stays under this: it is to be a weave, not a second buckle."""


@dataclass(frozen=True, eq=False)
class BackCanvas:
    """color: (S, S, 3) float32 sRGB in front-view pixels. replaced: (S, S) bool, synthesised there.

    has_head: a head was found.
    """

    color: FloatArray
    replaced: BoolArray
    has_head: bool


def imagine_back(canvas: FrontCanvas, rng: np.random.Generator, progress: Progress) -> BackCanvas:
    """Return what the character's back shows, laid out as seen through the character from the front."""
    step = max(1, len(canvas.mask) // _ANALYSIS_SIDE)
    columns = _bound_columns(canvas.mask, 8 * step)
    narrow = FrontCanvas(canvas.color[:, columns], canvas.mask[:, columns], canvas.overlap)
    small = shrink(narrow.color, step)
    mask = shrink(narrow.mask[..., None].astype(np.float32), step)[..., 0] >= 0.5
    plan = plan_back(small, mask, span_progress(progress, 0.0, 0.3))
    painted = _fill_materials(narrow, small, mask, plan, rng, span_progress(progress, 0.3, 0.9))
    if plan.face.any():
        painted = _cover_with_hair(narrow, painted, plan, step)
    color, replaced = canvas.color.copy(), np.zeros_like(canvas.mask)
    color[:, columns] = painted
    replaced[:, columns] = enlarge_mask(plan.hole, narrow.mask.shape) & narrow.mask
    progress(1.0)
    return BackCanvas(color, replaced, plan.head is not None)


def _bound_columns(mask: BoolArray, block: int) -> slice:
    """The columns of the subject with a margin, in whole blocks: the rest is not worth the time."""
    left, _, right, _ = find_box(mask)
    return slice(max(0, left // block - 1) * block, min(mask.shape[1], (right // block + 2) * block))


def _fill_materials(
    canvas: FrontCanvas,
    small: FloatArray,
    mask: BoolArray,
    plan: BackPlan,
    rng: np.random.Generator,
    progress: Progress,
) -> FloatArray:
    """Paint the planned materials: their smooth colour, and detail kept or copied from the picture."""
    size = canvas.mask.shape
    usable = mask & ~plan.hole
    bases = []
    for material in range(plan.count):
        bases.append(spread_color(small, usable & (plan.front == material)))
        progress(0.25 * (material + 1) / plan.count)
    base_front = mix_by_label(bases, _soften(one_hot(plan.front, plan.count), mask))
    base_back = mix_by_label(bases, _soften(one_hot(plan.back, plan.count), mask))
    middle = _find_middle(mask, plan)
    flat = _flatten_modelling(base_back, mask, plan, middle)
    hole = enlarge_mask(plan.hole, size) & canvas.mask
    source = enlarge_mask(erode_mask(usable, 2.0), size) & canvas.mask
    progress(0.4)
    detail = canvas.color - enlarge(base_front, size)
    guide = enlarge(_build_guide(base_back, mask), size)
    filled = fill_detail(detail, guide, hole, source, rng, span_progress(progress, 0.4, 0.9))
    cloth = hole & ~enlarge_mask(plan.face, size)
    around = _continue_light(detail, enlarge_mask(usable, size) & canvas.mask)
    copied = np.clip(0.6 * (filled - around), -_CLOTH_DETAIL, _CLOTH_DETAIL)
    filled[cloth] = (around + copied + _make_grain(detail, source, rng))[cloth]
    kept = 1 - np.where(hole[..., None], 0.0, _QUIETED * enlarge(middle, size))
    return np.clip(enlarge(flat, size) + filled * kept, 0.0, 1.0)


def _continue_light(detail: FloatArray, known: BoolArray) -> FloatArray:
    """The known detail's smooth part, fading into the holes, so that their borders do not show."""
    smooth, share = blur_masked(detail, known, 0.012 * len(detail))
    return smooth * share / (share + 0.15)


def _make_grain(detail: FloatArray, source: BoolArray, rng: np.random.Generator) -> FloatArray:
    """Soft noise (H, W, 1) as strong as the picture's own unevenness, so that fills are not plastic."""
    strength = float(np.median(np.abs(detail[source]))) if source.any() else 0.0
    height, width = detail.shape[:2]
    grain = np.zeros((height, width), dtype=np.float32)
    for sigma in (1.0, 4.0):
        noise = ndimage.gaussian_filter(rng.standard_normal((height, width), dtype=np.float32), sigma)
        grain += noise / max(float(noise.std()), 1e-6)
    return min(0.5 * strength, _GRAIN) * grain[..., None]


def _find_middle(mask: BoolArray, plan: BackPlan) -> FloatArray:
    """(H, W, 1): 1 in the middle of broad parts, 0 at the silhouette and on the hair."""
    side = len(mask)
    depth = ndimage.distance_transform_edt(mask) / (0.05 * side)
    share = np.clip(depth - 0.2, 0, 1) * ~(plan.crown | plan.face)
    return ndimage.gaussian_filter(share, 0.006 * side)[..., None].astype(np.float32)


def _flatten_modelling(base: FloatArray, mask: BoolArray, plan: BackPlan, middle: FloatArray) -> FloatArray:
    """Take front-only modelling out of broad parts; the rim keeps its light."""
    wide = [spread_color(base, mask & (plan.back == k), (0.2, 0.05)) for k in range(plan.count)]
    broad = mix_by_label(wide, _soften(one_hot(plan.back, plan.count), mask))
    return base + (broad - base) * _FLATTENED * middle


def _cover_with_hair(canvas: FrontCanvas, color: FloatArray, plan: BackPlan, step: int) -> FloatArray:
    """Draw the crown's strands down over the face; one drawing for the whole head, so without joins."""
    head = _scale_head(plan.head, canvas.mask, step)
    size = canvas.mask.shape
    crown = enlarge_mask(plan.crown, size) & canvas.mask
    covered = enlarge_mask(ndimage.binary_closing(plan.crown | plan.face, iterations=3), size) & head.mask
    haired = draw_hair(canvas.color, head, crown, covered)
    share = ndimage.gaussian_filter(covered.astype(np.float32), 0.003 * size[0])[..., None]
    return color * (1 - share) + haired * share


def _scale_head(head: Head, mask: BoolArray, step: int) -> Head:
    return replace(
        head,
        top=head.top * step,
        neck=head.neck * step,
        centre=(head.centre + 0.5) * step - 0.5,
        half_width=head.half_width * step,
        mask=enlarge_mask(head.mask, mask.shape) & mask,
    )


def _soften(shares: FloatArray, mask: BoolArray) -> FloatArray:
    blurred, _ = blur_masked(shares, mask, 0.8)
    return blurred / np.maximum(blurred.sum(axis=-1, keepdims=True), 1e-6)


def _build_guide(base: FloatArray, mask: BoolArray) -> FloatArray:
    """(H, W, 5): the colour wanted, and weakly the place, so that detail comes from nearby."""
    rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]].astype(np.float32) / len(mask)
    return np.concatenate([3.0 * base, 1.5 * rows[..., None], 0.7 * columns[..., None]], axis=-1)
