"""Imagines what is behind: the picture with its front-only detail replaced.

Everything here stays in the pixels of the front view; the back view is the mirror image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..progress import Progress
from ..types import BoolArray, FloatArray, IntArray
from .alignment import FrontCanvas
from .canvas import (
    blur_masked,
    dilate_mask,
    enlarge,
    enlarge_mask,
    erode_mask,
    find_box,
    keep_large_components,
    srgb_to_lab,
)
from .exemplar import fill_detail
from .head import Head, HeadColors, classify_head, detect_head, find_ears, find_hairline
from .labels import cluster_colors, drop_enclosed_patches, group_materials, label_pixels, weigh_lab

_ANALYSIS_SIDE = 384
_PATCH_AREAS = (0.0006, 0.0035)
"""Buttons and buckles first, so that a belt is whole again before the size of the belt is judged."""

_DETAIL_KEPT = 0.75
"""Share of the front's fine detail that stays where nothing was replaced."""


@dataclass(frozen=True, eq=False)
class BackCanvas:
    """color: (S, S, 3) float32 sRGB in front-view pixels. replaced: (S, S) bool, synthesised there.

    head: (S, S) bool, hair over the head where a face was hidden. has_head: a head was found.
    """

    color: FloatArray
    replaced: BoolArray
    hair: BoolArray
    has_head: bool


@dataclass(frozen=True, eq=False)
class _Plan:
    """Labels of the front, labels wanted behind, and where the front's pixels cannot serve."""

    front: IntArray
    back: IntArray
    hole: BoolArray
    hair: BoolArray
    count: int
    has_head: bool


def imagine_back(canvas: FrontCanvas, rng: np.random.Generator, progress: Progress) -> BackCanvas:
    """Return what the character's back shows, laid out as seen through the character from the front."""
    side = len(canvas.mask)
    step = max(1, side // _ANALYSIS_SIDE)
    small = canvas.color[::step, ::step]
    mask = canvas.mask[::step, ::step]
    plan = _plan_back(small, mask)
    progress(0.15)
    shares_front, shares_back = (
        _soften(_one_hot(item, plan.count), mask, 0.8) for item in (plan.front, plan.back)
    )
    usable = mask & ~plan.hole
    bases = [_spread_base(small, usable & (plan.front == k)) for k in range(plan.count)]
    base_front = _mix(bases, shares_front)
    base_back = _mix(bases, shares_back)
    progress(0.3)
    up = (side, side)
    hole = enlarge_mask(plan.hole, up) & canvas.mask
    source = enlarge_mask(erode_mask(usable, 2.0), up) & canvas.mask
    detail = canvas.color - enlarge(base_front, up)
    guide = enlarge(_build_guide(base_back, mask), up)
    filled = fill_detail(detail, guide, hole, source, rng, progress)
    kept = np.where(hole[..., None], 1.0, _DETAIL_KEPT).astype(np.float32)
    color = np.clip(enlarge(base_back, up) + filled * kept, 0.0, 1.0)
    return BackCanvas(color, hole, enlarge_mask(plan.hair, up) & canvas.mask, plan.has_head)


def _plan_back(small: FloatArray, mask: BoolArray) -> _Plan:
    lab = srgb_to_lab(small)
    centres = cluster_colors(lab, mask)
    materials = group_materials(centres)
    count = int(materials.max()) + 1
    front = label_pixels(lab, mask, centres, materials)
    head = detect_head(mask)
    bands = mask if head is None else mask & ~head.mask
    back = front
    for area in _PATCH_AREAS:
        back = drop_enclosed_patches(back, mask, count, area=area * mask.size, bands=bands)
    hair = np.zeros_like(mask)
    if head is not None:
        colors = classify_head(head, lab, front, count)
        back, hair = _cover_face(head, colors, front, back)
        back = _close_garment(head, colors, mask, back, count)
    hole = mask & ((back != front) | _find_outliers(lab, mask, front, count))
    hole = dilate_mask(keep_large_components(hole, 4), 1.5) & mask
    return _Plan(front, back, hole, hair, count, head is not None)


def _cover_face(
    head: Head, colors: HeadColors, front: IntArray, back: IntArray
) -> tuple[IntArray, BoolArray]:
    """Give the head hair (or hat) down to the nape, except ears; none for the bald."""
    none = np.zeros_like(head.mask)
    if colors.is_bald:
        return back, none
    crown = np.isin(front, colors.crown) & head.mask
    rows, columns = np.mgrid[: front.shape[0], : front.shape[1]]
    across = np.clip((columns - head.centre) / max(head.half_width, 1.0), -1, 1)
    edge = find_hairline(head, front, colors) + 0.07 * head.height * (1 - across**2)
    nape = head.mask & (rows <= edge)
    face = nape & ~crown & ~find_ears(head, front, colors)
    source = crown & np.isin(front, _common_values(front[crown]))
    if not source.any():
        return back, none
    return _take_nearest(back, face, source, front), face


def _common_values(values: IntArray) -> IntArray:
    found, counts = np.unique(values, return_counts=True)
    return found[counts >= 0.15 * counts.sum()]


def _close_garment(head: Head, colors: HeadColors, mask: BoolArray, labels: IntArray, count: int) -> IntArray:
    """Close the upper garment over the chest: behind there is no neckline and no opening."""
    _, top, _, bottom = find_box(mask)
    height = bottom - top
    cloth = _find_garment(head, colors, mask, labels, count, height)
    opening = np.zeros_like(mask)
    for row in range(head.neck, min(head.neck + int(0.35 * height), len(mask))):
        run = _run_at(mask[row], int(head.centre))
        worn = np.flatnonzero(cloth[row] & run)
        if len(worn) >= 2 and len(worn) >= 0.3 * (worn[-1] - worn[0] + 1):
            opening[row, worn[0] : worn[-1] + 1] = True
    opening &= mask & ~cloth
    return _take_nearest(labels, opening, cloth, labels)


def _find_garment(
    head: Head, colors: HeadColors, mask: BoolArray, labels: IntArray, count: int, height: int
) -> BoolArray:
    """Pixels of the material that dominates the chest, skin apart."""
    chest = np.zeros_like(mask)
    rows = slice(head.neck + int(0.05 * height), head.neck + int(0.2 * height))
    columns = slice(
        max(0, int(head.centre - 1.2 * head.half_width)), int(head.centre + 1.2 * head.half_width) + 1
    )
    chest[rows, columns] = mask[rows, columns]
    shares = np.bincount(labels[chest], minlength=count) / max(1, chest.sum())
    if not colors.is_bald:
        shares[list(colors.face)] = 0
    if shares.max() < 0.2:
        return np.zeros_like(mask)
    cloth = (labels == shares.argmax()) & mask
    return keep_large_components(cloth, 0.1 * cloth.sum())


def _run_at(row: BoolArray, column: int) -> BoolArray:
    """The run of set pixels around `column`, as a mask of the row."""
    run = np.zeros_like(row)
    if 0 <= column < len(row) and row[column]:
        gaps = np.flatnonzero(~row)
        at = int(np.searchsorted(gaps, column))
        first = gaps[at - 1] + 1 if at else 0
        run[first : gaps[at] if at < len(gaps) else len(row)] = True
    return run


def _take_nearest(labels: IntArray, where: BoolArray, source: BoolArray, values: IntArray) -> IntArray:
    if not where.any() or not source.any():
        return labels
    rows, columns = ndimage.distance_transform_edt(~source, return_distances=False, return_indices=True)
    return np.where(where, values[rows, columns], labels)


def _find_outliers(lab: FloatArray, mask: BoolArray, labels: IntArray, count: int) -> BoolArray:
    """Fine detail that is no variation of its region: seams, laces, rivets, drawn outlines."""
    points = weigh_lab(lab)
    local = _mix([_spread_base(points, mask & (labels == k)) for k in range(count)], _one_hot(labels, count))
    return mask & (np.linalg.norm(points - local, axis=-1) > 13.0)


def _one_hot(labels: IntArray, count: int) -> FloatArray:
    return np.eye(count + 1, dtype=np.float32)[labels][..., :count]


def _soften(shares: FloatArray, mask: BoolArray, sigma: float) -> FloatArray:
    blurred, _ = blur_masked(shares, mask, sigma)
    return blurred / np.maximum(blurred.sum(axis=-1, keepdims=True), 1e-6)


def _spread_base(color: FloatArray, region: BoolArray) -> FloatArray:
    """Smooth colour of `region`, carried on outside of it: near ones first, else the mean."""
    if not region.any():
        return np.zeros_like(color)
    side = len(region)
    base = np.broadcast_to(color[region].mean(axis=0), color.shape)
    for sigma in (0.06 * side, 0.016 * side):
        near, share = blur_masked(color, region, sigma)
        trust = share / (share + 0.02)
        base = near * trust + base * (1 - trust)
    return base


def _mix(bases: list[FloatArray], shares: FloatArray) -> FloatArray:
    total = np.zeros_like(bases[0])
    for index, base in enumerate(bases):
        total = total + base * shares[..., index : index + 1]
    return total


def _build_guide(base: FloatArray, mask: BoolArray) -> FloatArray:
    """(H, W, 5): the colour wanted, and weakly the place, so that detail comes from nearby."""
    rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]].astype(np.float32) / len(mask)
    return np.concatenate([3.0 * base, 1.5 * rows[..., None], 0.7 * columns[..., None]], axis=-1)
