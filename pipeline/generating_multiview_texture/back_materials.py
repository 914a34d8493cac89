"""Decide which material the back shows at each pixel, and where the front's colors cannot be reused."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..color import srgb_to_lab
from ..progress import Progress
from ..types import BoolArray, FloatArray, IntArray
from .color_segmentation import (
    assign_nearest_similar_material,
    cluster_colors,
    drop_enclosed_patches,
    group_families,
    group_materials,
    label_pixels,
    mix_by_label,
    one_hot,
    spread_color,
    weigh_lab,
)
from .head_detection import Head, HeadColors, classify_head, detect_head, find_ears, find_hairline
from .masked_images import blur_masked, dilate_mask, find_box, keep_large_components

_PATCH_AREAS = (0.0006, 0.0035)
"""Sizes, as shares of the image, up to which enclosed patches are dropped, one pass each.

Buttons and buckles go first, so that a belt is whole before its own size is judged.
"""

_FACE_AREA = 0.02
"""Largest area of a face in a hood, in squared heights of the subject."""
_OUTLIER_DISTANCE = 11.0
"""Weighted Lab distance from its region's smooth color beyond which a pixel is detail of the front only."""


@dataclass(frozen=True, eq=False)
class BackMaterials:
    """The materials of front and back, in the pixels of the front view.

    front, back: (H, W) int32 material, -1 outside the subject. count: number of materials.
    hole: (H, W) bool, where the back needs new colors. crown: (H, W) bool, visible hair or hat.
    face: (H, W) bool, what hair covers behind. head: None if no head was found.
    """

    front: IntArray
    back: IntArray
    count: int
    hole: BoolArray
    crown: BoolArray
    face: BoolArray
    head: Head | None


def choose_back_materials(color: FloatArray, mask: BoolArray, progress: Progress) -> BackMaterials:
    """Choose the back's materials from the front view (H, W, 3) sRGB of the subject inside `mask`."""
    lab = srgb_to_lab(color)
    centers = cluster_colors(lab, mask)
    materials = group_materials(centers)
    count = int(materials.max()) + 1
    front = label_pixels(lab, mask, centers, materials)
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
    outliers = _find_outliers(lab, mask & ~crown, front, count)
    changed = dilate_mask(mask & ((back != front) | face), 3.5)
    hole = (changed | dilate_mask(keep_large_components(outliers, 4), 1.5)) & mask
    back = assign_nearest_similar_material(back, hole & ~face, mask, families)
    progress(1.0)
    return BackMaterials(front, back, count, hole, crown & ~face, face, head)


def _measure_tones(lab: FloatArray, mask: BoolArray, labels: IntArray, count: int) -> FloatArray:
    """Mean weighted color (count, 3) of each material."""
    points, inside = weigh_lab(lab)[mask], labels[mask]
    sums = [np.bincount(inside, points[:, axis], minlength=count) for axis in range(3)]
    return np.stack(sums, axis=1) / np.maximum(np.bincount(inside, minlength=count), 1)[:, None]


def _drop_patches(
    mask: BoolArray, labels: IntArray, families: IntArray, skin: tuple[int, ...], head: Head | None
) -> IntArray:
    """Drop what only the front shows: buckles, prints, buttons, and the face of a head without a neck."""
    # What looks like skin amid cloth is mostly lit leather: it stays only if it is mostly rim.
    contacts = np.full(int(families.max()) + 1, 0.8)
    contacts[families[list(skin)]] = 2.5
    bands = mask if head is None else mask & ~head.mask
    for area in _PATCH_AREAS:
        labels = drop_enclosed_patches(labels, mask, families, contacts, area=area * mask.size, bands=bands)
    if head is not None:
        return labels
    # No neck was found: the face may be in a hood, and is larger than any buckle.
    _, top, _, bottom = find_box(mask)
    upper = mask & (np.arange(len(mask))[:, None] < top + 0.4 * (bottom - top))
    limit = _FACE_AREA * (bottom - top) ** 2
    nowhere = np.zeros_like(mask)
    dropped = drop_enclosed_patches(labels, mask, families, contacts, area=limit, bands=nowhere)
    return np.where(upper, dropped, labels)


def _level_bands(labels: IntArray, mask: BoolArray, materials: list[int], where: BoolArray) -> IntArray:
    """Close the gaps of a material along rows: bands go around the body, what hangs in front does not."""
    side = len(mask)
    votes = one_hot(labels, int(labels.max()) + 1)
    blurred, _ = blur_masked(votes, mask, (0.004 * side, 0.025 * side))
    reach = int(0.06 * side)
    for label in range(votes.shape[-1]):
        left, right = _measure_gaps(labels == label, mask)
        # A material that is on one side only must not spread across its border, nor skin over cloth.
        closes = (left + right <= reach) & mask & (label in materials)
        blurred[..., label] *= closes | (labels == label)
    best = blurred.argmax(axis=-1)
    return np.where(where & (blurred.max(axis=-1) > 0), best, labels).astype(np.int32)


def _measure_gaps(found: BoolArray, mask: BoolArray) -> tuple[IntArray, IntArray]:
    """Distances (H, W) from each pixel to the nearest `found` one on the left, and on the right.

    Only pixels in the same run of `mask` count; otherwise the distance is larger than any other.
    """
    far = 4 * mask.shape[1]
    columns = np.broadcast_to(np.arange(mask.shape[1]), mask.shape)

    def look_left(column: IntArray, hit: BoolArray, gap: BoolArray) -> IntArray:
        # A hit counts only if no gap comes after it.
        last_hit = np.maximum.accumulate(np.where(hit, column, -far), axis=1)
        last_gap = np.maximum.accumulate(np.where(gap, column, -far), axis=1)
        return np.where(last_hit > last_gap, column - last_hit, far)

    right = look_left(columns, found[:, ::-1], ~mask[:, ::-1])[:, ::-1]
    return look_left(columns, found, ~mask), right


def _cover_face(
    head: Head, colors: HeadColors, front: IntArray, back: IntArray
) -> tuple[IntArray, BoolArray, BoolArray]:
    """Give the back of the head hair (or a hat) down to the nape, except for ears and bald heads.

    Returns the materials (H, W), the visible hair (H, W) and the face (H, W) that hair is to cover.
    """
    none = np.zeros_like(head.mask)
    if colors.is_bald:
        return _clear_bald_head(head, front, back), none, none
    crown = np.isin(front, colors.crown) & head.mask
    crown = keep_large_components(crown, 0.1 * crown.sum())
    rows, columns = np.mgrid[: front.shape[0], : front.shape[1]]
    across = np.clip((columns - head.center) / max(head.half_width, 1.0), -1, 1)
    # The lower edge is rounded and ends in tips rather than in a straight cut.
    tips = np.abs((columns - head.center) / max(0.22 * head.half_width, 1.0) % 2 - 1)
    low = find_hairline(head, front, colors)
    edge = low + head.height * (0.05 * (1 - across**2) + 0.045 * (tips - 0.5))
    nape = head.mask & (rows <= edge)
    face = nape & ~crown & ~find_ears(head, front, colors)
    source = crown & np.isin(front, _common_values(front[crown]))
    if not source.any():
        return back, none, none
    return _take_nearest(back, face, source, front), crown, face


def _clear_bald_head(head: Head, front: IntArray, back: IntArray) -> IntArray:
    """Replace the face of a bald or masked head by the head's main material."""
    rows = np.arange(len(front))[:, None]
    across = np.abs(np.arange(front.shape[1]) - head.center)[None, :]
    face_rows = (rows > head.top + 0.3 * head.height) & (rows < head.top + 0.9 * head.height)
    face = head.mask & face_rows & (across < 1.05 * head.half_width)
    main = np.bincount(front[head.mask]).argmax()
    return np.where(face, main, back).astype(np.int32)


def _common_values(values: IntArray) -> IntArray:
    """The values that make up at least 15 % of an array."""
    found, counts = np.unique(values, return_counts=True)
    return found[counts >= 0.15 * counts.sum()]


def _close_garment(
    head: Head, skin: tuple[int, ...], mask: BoolArray, labels: IntArray, count: int
) -> IntArray:
    """Extend the upper garment over its neckline and front opening, which the back does not have."""
    _, top, _, bottom = find_box(mask)
    height = bottom - top
    cloth = _find_garment(head, skin, mask, labels, count, height)
    opening = np.zeros_like(mask)
    for row in range(head.neck, min(head.neck + int(0.35 * height), len(mask))):
        run = _run_at(mask[row], int(head.center))
        worn = np.flatnonzero(cloth[row] & run)
        if len(worn) >= 2 and len(worn) >= 0.3 * (worn[-1] - worn[0] + 1):
            opening[row, worn[0] : worn[-1] + 1] = True
    size = max(3, int(0.03 * height))
    opening = ndimage.binary_closing(opening, np.ones((size, 1), dtype=bool)) & mask & ~cloth
    return _take_nearest(labels, opening, cloth, labels)


def _find_garment(
    head: Head, skin: tuple[int, ...], mask: BoolArray, labels: IntArray, count: int, height: int
) -> BoolArray:
    """Pixels of the commonest material on the chest, apart from skin; none if there is no such material."""
    chest = np.zeros_like(mask)
    rows = slice(head.neck + int(0.05 * height), head.neck + int(0.2 * height))
    columns = slice(
        max(0, int(head.center - 1.2 * head.half_width)), int(head.center + 1.2 * head.half_width) + 1
    )
    chest[rows, columns] = mask[rows, columns]
    shares = np.bincount(labels[chest], minlength=count) / max(1, chest.sum())
    shares[list(skin)] = 0
    if shares.max() < 0.2:
        return np.zeros_like(mask)
    cloth = (labels == shares.argmax()) & mask
    # Morphological opening: a thin outline of the same color must not lead out along the arm.
    cloth = ndimage.binary_opening(cloth, iterations=2)
    return keep_large_components(cloth, 0.1 * cloth.sum())


def _run_at(row: BoolArray, column: int) -> BoolArray:
    """The run of set pixels around `column` as a mask (W,) of the row (W,)."""
    run = np.zeros_like(row)
    if 0 <= column < len(row) and row[column]:
        gaps = np.flatnonzero(~row)
        at = int(np.searchsorted(gaps, column))
        first = gaps[at - 1] + 1 if at else 0
        run[first : gaps[at] if at < len(gaps) else len(row)] = True
    return run


def _take_nearest(labels: IntArray, where: BoolArray, source: BoolArray, values: IntArray) -> IntArray:
    """Set the labels `where` to the values of the nearest pixels of `source`."""
    if not where.any() or not source.any():
        return labels
    rows, columns = ndimage.distance_transform_edt(~source, return_distances=False, return_indices=True)
    return np.where(where, values[rows, columns], labels)


def _find_outliers(lab: FloatArray, mask: BoolArray, labels: IntArray, count: int) -> BoolArray:
    """Pixels whose color deviates from their region's: seams, laces, rivets, drawn outlines."""
    points = weigh_lab(lab)
    local = mix_by_label(
        [spread_color(points, mask & (labels == k)) for k in range(count)], one_hot(labels, count)
    )
    return mask & (np.linalg.norm(points - local, axis=-1) > _OUTLIER_DISTANCE)
