"""Find what only the front can show: colors amid a part that its sides do not have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial.distance import cdist

from ..color import srgb_to_lab
from ..types import BoolArray, FloatArray, IntArray
from .color_segmentation import cluster_colors, one_hot, vote_labels, weigh_lab
from .masked_images import blur_masked, erode_mask, keep_large_components

_SAME, _OTHER = 8.0, 15.0
"""Weighted Lab distances up to which two colors are one material, and from which on they are two."""
_BAND = 0.3
"""Width of each side of a part, as a share of the part's."""
_LEAST_SHARE = 0.25
"""Share of the color in one of the sides from which on they show it too."""
_SPREAD = 0.012
"""Rows over which the sides are averaged, as a share of the height: belts and hems are kept apart."""
_WIDEST = 0.2
"""Largest width of what hangs in front of the trunk, as a share of the side; more is between two cloths."""
_CONTACT = 1.2
"""Contact with the silhouette, relative to the root of its area, from which on a patch continues behind."""
_JOINED = 0.4
"""Share of the width between a row's outermost details that they fill if all of it is one."""
_AROUND, STANDS_OUT = 0.04, 30.0
"""Width of what counts as around a spot, as a share of the side, and CIE 1976 difference from it."""
_ISLAND, _PATTERN = 0.004, 0.05
"""Largest spot, as a share of the image, and share of a part from which on spots are a pattern."""
_FOUND = 0.33
"""Share of a patch that is found to be a detail from which on all of it is one."""
_MAIN = 0.7
"""Share of a row's commonest material from which on another is its sides', too."""
_SPECK = 0.00012
"""Smallest detail, as a share of the image."""


@dataclass(frozen=True, eq=False)
class Materials:
    """labels: (H, W) int32, -1 outside the mask. colors: (C, 3) weighted Lab. kinship: (C, C) 0..1."""

    labels: IntArray
    colors: FloatArray
    kinship: FloatArray


def segment_materials(color: FloatArray, mask: BoolArray) -> Materials:
    """Label the colors (H, W, 3) sRGB inside `mask`, and tell which of them are shades of one material."""
    lab = srgb_to_lab(color)
    centers = cluster_colors(lab, mask, count=14, merge=6.0)
    gaps = ((weigh_lab(lab)[..., None, :] - centers) ** 2).sum(axis=-1)
    labels = vote_labels(np.where(mask, gaps.argmin(axis=-1), -1), mask, len(centers), 0.7)
    # Lightness counts less than in the clusters: the middle of a part is lit, its sides are in shade.
    flat = centers * np.array((0.5, 1.0, 1.0))
    kinship = np.clip((_OTHER - cdist(flat, flat)) / (_OTHER - _SAME), 0, 1)
    return Materials(labels, centers, kinship.astype(np.float32))


def count_materials(materials: Materials, area: BoolArray) -> FloatArray:
    """The share (C,) of each material in an area (H, W) of the mask."""
    found = np.bincount(materials.labels[area], minlength=len(materials.colors))
    return found / max(1, int(area.sum()))


def measure_support(
    materials: Materials, region: BoolArray, mask: BoolArray, band: float = _BAND
) -> FloatArray:
    """How common each material is at the sides of each pixel's row, (H, W, C): the larger of both shares.

    band: width of a side, as a share of the row's.
    """
    side, count = len(mask), len(materials.colors)
    inner = region & erode_mask(mask, 0.006 * side)
    shown = one_hot(np.where(inner, materials.labels, -1), count) @ materials.kinship
    sums = np.pad(shown.cumsum(axis=1), ((0, 0), (1, 0), (0, 0)))
    sizes = np.pad(inner.cumsum(axis=1), ((0, 0), (1, 0)))
    start, stop = find_runs(region)
    width = np.maximum(1, ((stop - start) * band).astype(np.int32))
    rows = np.arange(side)[:, None]
    shares = []
    for first, last in ((start, start + width), (stop - width, stop)):
        total, size = sums[rows, last] - sums[rows, first], sizes[rows, last] - sizes[rows, first]
        share = total / np.maximum(size, 1)[..., None]
        shares.append(blur_masked(share, region, (_SPREAD * side, 0.5))[0])
    return np.maximum(*shares)


def find_front_details(
    materials: Materials, support: FloatArray, region: BoolArray, mask: BoolArray
) -> BoolArray:
    """Pixels of `region` whose material neither side of their row shows: buckles, logos, an open jacket.

    support: (H, W, C) of the region. Patches that reach the silhouette, as belts and pockets at the hip do,
    are not details of the front.
    """
    side = len(mask)
    best = support.max(axis=-1)
    own = np.take_along_axis(support, np.maximum(materials.labels, 0)[..., None], axis=-1)[..., 0]
    details = region & (own < np.minimum(_LEAST_SHARE, 0.5 * best))
    details = ndimage.binary_opening(details)
    details = keep_large_components(ndimage.binary_closing(details, iterations=2) & region, _SPECK * side**2)
    return details & ~find_reaching(details, mask)


def complete_patches(
    details: BoolArray, materials: Materials, support: FloatArray, region: BoolArray
) -> BoolArray:
    """The details (H, W) and the rest of each patch of one material in `region` that they are a third of.

    Without the rows whose sides are of that material: a white belly may end in white feet. support: (H, W, C)
    of the region.
    """
    whole = details.copy()
    own = np.take_along_axis(support, np.maximum(materials.labels, 0)[..., None], axis=-1)[..., 0]
    open_rows = region & (own < _MAIN * support.max(axis=-1))
    for material in np.unique(materials.labels[details]):
        patches, count = ndimage.label(region & (materials.labels == material))
        sizes, known = (
            np.bincount(item, minlength=count + 1) for item in (patches.ravel(), patches[details])
        )
        is_detail = known > _FOUND * sizes
        is_detail[0] = False
        whole |= is_detail[patches] & open_rows
    return whole


def measure_contrast(color: FloatArray, region: BoolArray) -> FloatArray:
    """CIE 1976 difference (H, W) of each pixel of (H, W, 3) sRGB to what of `region` is around it."""
    width = _AROUND * len(region)
    lab = srgb_to_lab(color)
    around, _ = blur_masked(lab, region, (width, width))
    return np.where(region, np.linalg.norm(lab - around, axis=-1), 0)


def find_islands(contrast: FloatArray, region: BoolArray, mask: BoolArray) -> BoolArray:
    """Small spots (H, W) of `region` that differ from all around them: eyes, buttons, a print.

    None if there are many: then they are a pattern.
    """
    side = len(mask)
    spots = region & (contrast > STANDS_OUT)
    spots = ndimage.binary_closing(ndimage.binary_opening(spots)) & region
    small = spots & ~keep_large_components(spots, _ISLAND * side**2)
    small = keep_large_components(small, _SPECK * side**2)
    small &= ~find_reaching(small, mask, 0.0)
    return small if small.sum() < _PATTERN * region.sum() else np.zeros_like(small)


def join_along_rows(details: BoolArray, region: BoolArray) -> BoolArray:
    """Close what lies between a row's details if they fill much of it: letters are one print."""
    starts, stops = find_runs(region)
    rows, side = np.arange(len(region))[:, None], region.shape[1]
    columns = np.broadcast_to(np.arange(side), region.shape)
    last = np.maximum.accumulate(np.where(details, columns, -1), axis=1)[rows, stops - 1]
    first = np.minimum.accumulate(np.where(details, columns, side)[:, ::-1], axis=1)[:, ::-1][rows, starts]
    total = np.pad(details.cumsum(axis=1), ((0, 0), (1, 0)))
    found = total[rows, stops] - total[rows, starts]
    joined = region & (columns >= first) & (columns <= last) & (found > _JOINED * (last - first + 1))
    return details | ndimage.binary_opening(joined, np.ones((3, 3), dtype=bool))


def find_reaching(details: BoolArray, mask: BoolArray, contact: float = _CONTACT) -> BoolArray:
    """The components of `details` that reach the silhouette over a good part of their length."""
    patches, count = ndimage.label(details)
    rim = mask & ~erode_mask(mask, 0.008 * len(mask))
    sizes = np.bincount(patches.ravel(), minlength=count + 1)
    reaching = np.bincount(patches[rim], minlength=count + 1) > contact * np.sqrt(sizes)
    reaching[0] = False
    return reaching[patches]


def find_runs(region: BoolArray) -> tuple[IntArray, IntArray]:
    """First column and last + 1 (H, W) of the run of `region` that each pixel lies in; empty outside."""
    side = region.shape[1]
    columns = np.broadcast_to(np.arange(side), region.shape)
    starts = np.maximum.accumulate(np.where(region, -1, columns), axis=1) + 1
    stops = np.minimum.accumulate(np.where(region, side, columns)[:, ::-1], axis=1)[:, ::-1]
    return np.where(region, starts, 0), np.where(region, stops, 0)


def find_obstacles(trunk: BoolArray, hands: BoolArray, mask: BoolArray, head: BoolArray) -> BoolArray:
    """Hands, arms and props in front of the trunk: pixels that have trunk on both sides in their run."""
    starts, stops = find_runs(mask)
    columns = np.broadcast_to(np.arange(mask.shape[1]), mask.shape)
    side = mask.shape[1]
    left = np.maximum.accumulate(np.where(trunk, columns, -1), axis=1)
    right = np.minimum.accumulate(np.where(trunk, columns, side)[:, ::-1], axis=1)[:, ::-1]
    between = mask & ~trunk & ~head & (left >= starts) & (right < stops)
    between &= hands | (right - left < _WIDEST * side)
    between = ndimage.binary_opening(between, np.ones((5, 5), dtype=bool))
    return keep_large_components(between, _SPECK * len(mask) ** 2)
