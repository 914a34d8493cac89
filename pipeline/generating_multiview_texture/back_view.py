"""Synthesize the back view: the picture with the details replaced that only the front can have.

Everything is in the pixels of the front view; the back view is the mirror image of the result.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from ..progress import Progress, span_progress
from ..types import BoolArray, FloatArray, IntArray
from .alignment import FrontCanvas
from .back_hair import draw_hair
from .back_materials import BackMaterials, choose_back_materials
from .color_segmentation import mix_by_label, one_hot, spread_color
from .head_detection import Head
from .masked_images import blur_masked, enlarge, enlarge_mask, find_box, shrink
from .vertex_colors import Skull

_ANALYSIS_SIDE = 384
"""Approximate side of the reduced picture in which materials are chosen."""

_SHADING_REMOVED = 0.6
"""Share of the front's broad shading (bust, creases) that is removed in the middle of broad parts."""

_DETAIL_REMOVED = 0.5
"""Share of the front's fine detail that is removed there."""

_LARGEST_GRAIN = 0.006
"""Largest amplitude of the noise that is added where colors were replaced."""

_LARGEST_SHADING = 0.12
"""Largest change by removing shading, so that small dark patches are not smeared over their surroundings."""


@dataclass(frozen=True, eq=False)
class BackCanvas:
    """The back view in the pixels of the front view.

    color: (S, S, 3) float32 sRGB. replaced: (S, S) bool, where the colors are not the picture's.
    has_head: whether a head was found. skull: of a head with hair, or None.
    """

    color: FloatArray
    replaced: BoolArray
    has_head: bool
    skull: Skull | None


def synthesize_back_view(canvas: FrontCanvas, rng: np.random.Generator, progress: Progress) -> BackCanvas:
    """Synthesize the back as it would be seen from the front through the character."""
    step = max(1, len(canvas.mask) // _ANALYSIS_SIDE)
    columns = _bound_columns(canvas.mask, 8 * step)
    narrow = FrontCanvas(canvas.color[:, columns], canvas.mask[:, columns], canvas.overlap)
    small = shrink(narrow.color, step)
    mask = shrink(narrow.mask[..., None].astype(np.float32), step)[..., 0] >= 0.5
    materials = choose_back_materials(small, mask, span_progress(progress, 0.0, 0.3))
    painted = _fill_materials(narrow, small, mask, materials, rng, span_progress(progress, 0.3, 0.9))
    if materials.face.any():
        painted = _cover_with_hair(narrow, painted, materials, step)
    color, replaced = canvas.color.copy(), np.zeros_like(canvas.mask)
    color[:, columns] = painted
    replaced[:, columns] = enlarge_mask(materials.hole, narrow.mask.shape) & narrow.mask
    progress(1.0)
    skull = _find_skull(materials, step, columns.start) if materials.face.any() else None
    return BackCanvas(color, replaced, materials.head is not None, skull)


def _find_skull(materials: BackMaterials, step: int, first_column: int) -> Skull | None:
    """The skull in full-size pixels; the materials are `step` times smaller and start at `first_column`."""
    head = materials.head
    if head is None:
        return None
    lowest = np.flatnonzero(materials.face.any(axis=1))[-1]
    center = (head.center + 0.5) * step - 0.5 + first_column
    return Skull(head.top * step, int(lowest) * step, center, head.half_width * step)


def _bound_columns(mask: BoolArray, block: int) -> slice:
    """The columns of the subject and a margin, in whole blocks; the rest need not be processed."""
    left, _, right, _ = find_box(mask)
    return slice(max(0, left // block - 1) * block, min(mask.shape[1], (right // block + 2) * block))


def _fill_materials(
    canvas: FrontCanvas,
    small: FloatArray,
    mask: BoolArray,
    materials: BackMaterials,
    rng: np.random.Generator,
    progress: Progress,
) -> FloatArray:
    """Paint the back's materials, (H, W, 3): smooth colors, plus the picture's detail outside the hole.

    small, mask: (h, w, 3) and (h, w), the reduced picture in which the materials were chosen.
    """
    size = canvas.mask.shape
    usable = mask & ~materials.hole
    bases = []
    for material in range(materials.count):
        bases.append(spread_color(small, usable & (materials.front == material)))
        progress(0.4 * (material + 1) / materials.count)
    middle = _find_middle(mask, materials)
    behind = [_remove_shading(base, usable & (materials.back == k), middle) for k, base in enumerate(bases)]
    progress(0.6)
    painted = _mix_sharply(behind, materials.back, mask, size)
    progress(0.8)
    detail = canvas.color - _mix_sharply(bases, materials.front, mask, size)
    hole = enlarge_mask(materials.hole, size) & canvas.mask
    known = canvas.mask & ~hole
    kept = detail * (1 - _DETAIL_REMOVED * enlarge(middle, size))
    invented = _extend_detail(kept, known) + _make_grain(detail, known, rng)
    return np.clip(painted + np.where(hole[..., None], invented, kept), 0.0, 1.0)


def _mix_sharply(
    bases: list[FloatArray], labels: IntArray, mask: BoolArray, size: tuple[int, int]
) -> FloatArray:
    """Mix the materials' colors at full size, with sharp but smooth borders between the small labels."""
    shares, _ = blur_masked(one_hot(labels, len(bases)), mask, 0.8)
    shares = enlarge(shares, size) ** 5
    shares /= np.maximum(shares.sum(axis=-1, keepdims=True), 1e-9)
    return mix_by_label([enlarge(base, size) for base in bases], shares)


def _extend_detail(detail: FloatArray, known: BoolArray) -> FloatArray:
    """Extend the smooth part of the known detail into holes, fading out, which hides their borders."""
    smooth, share = blur_masked(detail, known, 0.012 * len(detail))
    return smooth * share / (share + 0.15)


def _make_grain(detail: FloatArray, source: BoolArray, rng: np.random.Generator) -> FloatArray:
    """Soft noise (H, W, 1) as strong as the picture's detail, so that filled areas do not look plastic."""
    strength = float(np.median(np.abs(detail[source]))) if source.any() else 0.0
    height, width = detail.shape[:2]
    grain = np.zeros((height, width), dtype=np.float32)
    for sigma in (1.0, 4.0):
        noise = ndimage.gaussian_filter(rng.standard_normal((height, width), dtype=np.float32), sigma)
        grain += noise / max(float(noise.std()), 1e-6)
    return min(0.5 * strength, _LARGEST_GRAIN) * grain[..., None]


def _find_middle(mask: BoolArray, materials: BackMaterials) -> FloatArray:
    """Weights (H, W, 1): 1 in the middle of broad parts, 0 at the silhouette and in hair."""
    side = len(mask)
    depth = ndimage.distance_transform_edt(mask) / (0.05 * side)
    share = np.clip(depth - 0.2, 0, 1) * ~(materials.crown | materials.face)
    return ndimage.gaussian_filter(share, 0.006 * side)[..., None].astype(np.float32)


def _remove_shading(base: FloatArray, region: BoolArray, middle: FloatArray) -> FloatArray:
    """Reduce the shading of a material (H, W, 3) in the middle of broad parts."""
    broad = spread_color(base, region, (0.2, 0.05))
    change = np.clip(broad - base, -_LARGEST_SHADING, _LARGEST_SHADING)
    return base + change * _SHADING_REMOVED * middle


def _cover_with_hair(
    canvas: FrontCanvas, color: FloatArray, materials: BackMaterials, step: int
) -> FloatArray:
    """Paint hair over the face; the whole head is painted at once, so there are no seams."""
    if materials.head is None:
        return color
    head = _scale_head(materials.head, canvas.mask, step)
    size = canvas.mask.shape
    crown = enlarge_mask(materials.crown, size) & canvas.mask
    covered = (
        enlarge_mask(ndimage.binary_closing(materials.crown | materials.face, iterations=3), size) & head.mask
    )
    haired = draw_hair(canvas.color, head, crown, covered)
    share = ndimage.gaussian_filter(covered.astype(np.float32), 0.003 * size[0])[..., None]
    return color * (1 - share) + haired * share


def _scale_head(head: Head, mask: BoolArray, step: int) -> Head:
    """The head in a picture that is `step` times larger."""
    return replace(
        head,
        top=head.top * step,
        neck=head.neck * step,
        center=(head.center + 0.5) * step - 0.5,
        half_width=head.half_width * step,
        mask=enlarge_mask(head.mask, mask.shape) & mask,
    )
