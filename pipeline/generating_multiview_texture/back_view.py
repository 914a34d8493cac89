"""Imagines what is behind: the picture with its front-only detail replaced.

Everything here stays in the pixels of the front view; the back view is the mirror image.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from ..progress import Progress, span_progress
from ..types import BoolArray, FloatArray, IntArray
from .alignment import FrontCanvas
from .back_hair import draw_hair
from .back_materials import BackPlan, plan_back
from .color_segmentation import mix_by_label, one_hot, spread_color
from .head_detection import Head
from .masked_images import blur_masked, enlarge, enlarge_mask, find_box, shrink
from .vertex_colors import Skull

_ANALYSIS_SIDE = 384
_FLATTENED = 0.6
"""Share of the front's modelling (bust, creases) that is taken away in the middle of broad parts."""

_QUIETED = 0.5
"""Share of the front's fine detail that is taken away there."""

_GRAIN = 0.006
"""Most unevenness given to what was replaced."""


@dataclass(frozen=True, eq=False)
class BackCanvas:
    """color: (S, S, 3) float32 sRGB in front-view pixels. replaced: (S, S) bool, synthesised there.

    has_head: a head was found.
    skull: where ears stand out from a haired head, or None.
    """

    color: FloatArray
    replaced: BoolArray
    has_head: bool
    skull: Skull | None


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
    skull = _find_skull(plan, step, columns.start) if plan.face.any() else None
    return BackCanvas(color, replaced, plan.head is not None, skull)


def _find_skull(plan: BackPlan, step: int, first_column: int) -> Skull | None:
    head = plan.head
    if head is None:
        return None
    lowest = np.flatnonzero(plan.face.any(axis=1))[-1]
    centre = (head.centre + 0.5) * step - 0.5 + first_column
    return Skull(head.top * step, int(lowest) * step, centre, head.half_width * step)


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
    """Paint the planned materials: their smooth colour, and the picture's detail where it may stay."""
    size = canvas.mask.shape
    usable = mask & ~plan.hole
    bases = []
    for material in range(plan.count):
        bases.append(spread_color(small, usable & (plan.front == material)))
        progress(0.4 * (material + 1) / plan.count)
    middle = _find_middle(mask, plan)
    behind = [_flatten_modelling(base, usable & (plan.back == k), middle) for k, base in enumerate(bases)]
    progress(0.6)
    painted = _mix_sharply(behind, plan.back, mask, size)
    progress(0.8)
    detail = canvas.color - _mix_sharply(bases, plan.front, mask, size)
    hole = enlarge_mask(plan.hole, size) & canvas.mask
    known = canvas.mask & ~hole
    kept = detail * (1 - _QUIETED * enlarge(middle, size))
    made_up = _continue_light(kept, known) + _make_grain(detail, known, rng)
    return np.clip(painted + np.where(hole[..., None], made_up, kept), 0.0, 1.0)


def _mix_sharply(
    bases: list[FloatArray], labels: IntArray, mask: BoolArray, size: tuple[int, int]
) -> FloatArray:
    """Full-size mix of the materials' colours, with crisp smooth borders from the small labels."""
    shares, _ = blur_masked(one_hot(labels, len(bases)), mask, 0.8)
    shares = enlarge(shares, size) ** 5
    shares /= np.maximum(shares.sum(axis=-1, keepdims=True), 1e-9)
    return mix_by_label([enlarge(base, size) for base in bases], shares)


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


def _flatten_modelling(base: FloatArray, region: BoolArray, middle: FloatArray) -> FloatArray:
    """Take front-only modelling out of a material's colour in broad parts; the rim keeps its light."""
    broad = spread_color(base, region, (0.2, 0.05))
    # Clipped: light may be evened out, a small dark patch may not be smeared over its neighbours.
    return base + np.clip(broad - base, -0.12, 0.12) * _FLATTENED * middle


def _cover_with_hair(canvas: FrontCanvas, color: FloatArray, plan: BackPlan, step: int) -> FloatArray:
    """Draw the crown's strands down over the face; one drawing for the whole head, so without joins."""
    if plan.head is None:
        return color
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
