"""Decides which material belongs where behind, and where the front's pixels cannot serve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..color import srgb_to_lab
from ..progress import Progress
from ..types import BoolArray, FloatArray, IntArray
from .color_segmentation import (
    cluster_colors,
    drop_enclosed_patches,
    group_families,
    group_materials,
    label_pixels,
    mix_by_label,
    one_hot,
    settle_kin,
    spread_color,
    weigh_lab,
)
from .head_detection import Head, HeadColors, classify_head, detect_head, find_ears, find_hairline
from .masked_images import blur_masked, dilate_mask, find_box, keep_large_components

_PATCH_AREAS = (0.0006, 0.0035)
"""Buttons and buckles first, so that a belt is whole again before the size of the belt is judged."""

_FACE_AREA = 0.02


@dataclass(frozen=True, eq=False)
class BackPlan:
    """front, back: (H, W) int32 material before and behind, -1 outside. count: of materials.

    hole: (H, W) bool, where new colour is needed. crown: seen hair or hat. face: to be covered by it.
    head: None if none was found.
    """

    front: IntArray
    back: IntArray
    count: int
    hole: BoolArray
    crown: BoolArray
    face: BoolArray
    head: Head | None


def plan_back(color: FloatArray, mask: BoolArray, progress: Progress) -> BackPlan:
    """Plan the back of the subject (H, W, 3) inside `mask`, in the pixels of the front view."""
    lab = srgb_to_lab(color)
    centres = cluster_colors(lab, mask)
    materials = group_materials(centres)
    count = int(materials.max()) + 1
    front = label_pixels(lab, mask, centres, materials)
    progress(0.3)
    head = detect_head(mask)
    colors = None if head is None else classify_head(head, lab, front, count)
    if colors is not None and colors.skin:
        front = np.where(np.isin(front, colors.skin), colors.skin[0], front)
    families = group_families(_measure_tones(lab, mask, front, count))
    skin = () if colors is None or colors.is_bald else colors.face
    back = _drop_patches(mask, front, families, skin, head)
    progress(0.5)
    crown = face = np.zeros_like(mask)
    if head is not None and colors is not None:
        back, crown, face = _cover_face(head, colors, front, back)
        back = _close_garment(head, skin, mask, back, count)
    body = mask if head is None else mask & ~head.mask
    back = _level_bands(back, mask, [k for k in range(count) if k not in skin], body)
    progress(0.7)
    odd = _find_outliers(lab, mask & ~crown, front, count)
    changed = dilate_mask(mask & ((back != front) | face), 3.5)
    hole = (changed | dilate_mask(keep_large_components(odd, 4), 1.5)) & mask
    back = settle_kin(back, hole & ~face, mask, families)
    progress(1.0)
    return BackPlan(front, back, count, hole, crown & ~face, face, head)


def _measure_tones(lab: FloatArray, mask: BoolArray, labels: IntArray, count: int) -> FloatArray:
    """Mean weighed colour (count, 3) of each material."""
    points, inside = weigh_lab(lab)[mask], labels[mask]
    sums = [np.bincount(inside, points[:, axis], minlength=count) for axis in range(3)]
    return np.stack(sums, axis=1) / np.maximum(np.bincount(inside, minlength=count), 1)[:, None]


def _drop_patches(
    mask: BoolArray, labels: IntArray, families: IntArray, skin: tuple[int, ...], head: Head | None
) -> IntArray:
    """Take away what only the front has: buckles, prints, buttons; and a face without hair around."""
    # What looks like skin on cloth is mostly lit leather: it stays only where it is mostly rim.
    holds = np.full(int(families.max()) + 1, 0.8)
    holds[families[list(skin)]] = 2.5
    bands = mask if head is None else mask & ~head.mask
    for area in _PATCH_AREAS:
        labels = drop_enclosed_patches(labels, mask, families, holds, area=area * mask.size, bands=bands)
    if head is not None:
        return labels
    # No neck was found: a face may look out of a hood, and is larger than any buckle.
    _, top, _, bottom = find_box(mask)
    upper = mask & (np.arange(len(mask))[:, None] < top + 0.4 * (bottom - top))
    limit = _FACE_AREA * (bottom - top) ** 2
    nowhere = np.zeros_like(mask)
    dropped = drop_enclosed_patches(labels, mask, families, holds, area=limit, bands=nowhere)
    return np.where(upper, dropped, labels)


def _level_bands(labels: IntArray, mask: BoolArray, materials: list[int], where: BoolArray) -> IntArray:
    """Close what interrupts a material along its row: bands go around, what hangs before them does not."""
    side = len(mask)
    votes = one_hot(labels, int(labels.max()) + 1)
    blurred, _ = blur_masked(votes, mask, (0.004 * side, 0.025 * side))
    reach = int(0.06 * side)
    for label in range(votes.shape[-1]):
        left, right = _measure_gaps(labels == label, mask)
        # A material that is met on one side only must not creep over its border, nor skin over cloth.
        closes = (left + right <= reach) & mask & (label in materials)
        blurred[..., label] *= closes | (labels == label)
    best = blurred.argmax(axis=-1)
    return np.where(where & (blurred.max(axis=-1) > 0), best, labels).astype(np.int32)


def _measure_gaps(found: BoolArray, mask: BoolArray) -> tuple[IntArray, IntArray]:
    """Columns from each pixel to the nearest found one on its left and right within its run of `mask`."""
    far = 4 * mask.shape[1]
    columns = np.broadcast_to(np.arange(mask.shape[1]), mask.shape)

    def look_left(place: IntArray, hit: BoolArray, gap: BoolArray) -> IntArray:
        # A gap after the last hit hides it: the later of the two decides.
        last_hit = np.maximum.accumulate(np.where(hit, place, -far), axis=1)
        last_gap = np.maximum.accumulate(np.where(gap, place, -far), axis=1)
        return np.where(last_hit > last_gap, place - last_hit, far)

    right = look_left(columns, found[:, ::-1], ~mask[:, ::-1])[:, ::-1]
    return look_left(columns, found, ~mask), right


def _cover_face(
    head: Head, colors: HeadColors, front: IntArray, back: IntArray
) -> tuple[IntArray, BoolArray, BoolArray]:
    """Give the head hair (or hat) down to the nape, except ears; none for the bald.

    Returns the materials, the hair that is seen and the face that it is to cover.
    """
    none = np.zeros_like(head.mask)
    if colors.is_bald:
        return _clear_bald_head(head, front, back), none, none
    crown = np.isin(front, colors.crown) & head.mask
    crown = keep_large_components(crown, 0.1 * crown.sum())
    rows, columns = np.mgrid[: front.shape[0], : front.shape[1]]
    across = np.clip((columns - head.centre) / max(head.half_width, 1.0), -1, 1)
    # Rounded, and ending in tips rather than in a cut.
    tips = np.abs((columns - head.centre) / max(0.22 * head.half_width, 1.0) % 2 - 1)
    low = find_hairline(head, front, colors)
    edge = low + head.height * (0.05 * (1 - across**2) + 0.045 * (tips - 0.5))
    nape = head.mask & (rows <= edge)
    face = nape & ~crown & ~find_ears(head, front, colors)
    source = crown & np.isin(front, _common_values(front[crown]))
    if not source.any():
        return back, none, none
    return _take_nearest(back, face, source, front), crown, face


def _clear_bald_head(head: Head, front: IntArray, back: IntArray) -> IntArray:
    """Behind, a bald or masked head is of its crown's material where the face is."""
    rows = np.arange(len(front))[:, None]
    across = np.abs(np.arange(front.shape[1]) - head.centre)[None, :]
    face_rows = (rows > head.top + 0.3 * head.height) & (rows < head.top + 0.9 * head.height)
    face = head.mask & face_rows & (across < 1.05 * head.half_width)
    main = np.bincount(front[head.mask]).argmax()
    return np.where(face, main, back).astype(np.int32)


def _common_values(values: IntArray) -> IntArray:
    found, counts = np.unique(values, return_counts=True)
    return found[counts >= 0.15 * counts.sum()]


def _close_garment(
    head: Head, skin: tuple[int, ...], mask: BoolArray, labels: IntArray, count: int
) -> IntArray:
    """Close the upper garment over the chest: behind there is no neckline and no opening."""
    _, top, _, bottom = find_box(mask)
    height = bottom - top
    cloth = _find_garment(head, skin, mask, labels, count, height)
    opening = np.zeros_like(mask)
    for row in range(head.neck, min(head.neck + int(0.35 * height), len(mask))):
        run = _run_at(mask[row], int(head.centre))
        worn = np.flatnonzero(cloth[row] & run)
        if len(worn) >= 2 and len(worn) >= 0.3 * (worn[-1] - worn[0] + 1):
            opening[row, worn[0] : worn[-1] + 1] = True
    size = max(3, int(0.03 * height))
    opening = ndimage.binary_closing(opening, np.ones((size, 1), dtype=bool)) & mask & ~cloth
    return _take_nearest(labels, opening, cloth, labels)


def _find_garment(
    head: Head, skin: tuple[int, ...], mask: BoolArray, labels: IntArray, count: int, height: int
) -> BoolArray:
    """Pixels of the material that dominates the chest, skin apart."""
    chest = np.zeros_like(mask)
    rows = slice(head.neck + int(0.05 * height), head.neck + int(0.2 * height))
    columns = slice(
        max(0, int(head.centre - 1.2 * head.half_width)), int(head.centre + 1.2 * head.half_width) + 1
    )
    chest[rows, columns] = mask[rows, columns]
    shares = np.bincount(labels[chest], minlength=count) / max(1, chest.sum())
    shares[list(skin)] = 0
    if shares.max() < 0.2:
        return np.zeros_like(mask)
    cloth = (labels == shares.argmax()) & mask
    # Opened: a thin drawn outline of the same colour must not lead out along the arm.
    cloth = ndimage.binary_opening(cloth, iterations=2)
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
    local = mix_by_label(
        [spread_color(points, mask & (labels == k)) for k in range(count)], one_hot(labels, count)
    )
    return mask & (np.linalg.norm(points - local, axis=-1) > 11.0)
