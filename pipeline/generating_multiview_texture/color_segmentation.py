"""Segment the subject into a few materials by color: hair, skin, each cloth, leather, metal."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import cdist, squareform

from ..types import BoolArray, FloatArray, IntArray
from .masked_images import blur_masked, erode_mask, fill_pinholes

LIGHTNESS_WEIGHT = 0.55
"""Weight of lightness relative to hue and chroma; below 1, so that shading does not split a material."""

_MATERIAL_DISTANCE = 8.6
"""Largest weighted Lab distance between clusters of one material."""
_FAMILY_DISTANCE = 17.0
"""Largest weighted Lab distance between materials of one family."""
_SAMPLE_COUNT = 6000
_KMEANS_ROUNDS = 12


def weigh_lab(lab: FloatArray) -> FloatArray:
    """Scale down the lightness of Lab colors (..., 3), so that distances separate materials, not shading."""
    return lab * np.array([LIGHTNESS_WEIGHT, 1.0, 1.0], dtype=np.float32)


def cluster_colors(lab: FloatArray, mask: BoolArray, *, count: int = 10, merge: float = 9.0) -> FloatArray:
    """K-means centers (at most `count`, 3) of the weighted Lab colors inside `mask`.

    Initialized with farthest points, so the same picture always gives the same centers. Centers closer than
    `merge` are merged.
    """
    points = weigh_lab(lab)[mask]
    points = points[:: max(1, len(points) // _SAMPLE_COUNT)]
    centers = _pick_far_points(points, count)
    for _ in range(_KMEANS_ROUNDS):
        nearest = cdist(points, centers).argmin(axis=1)
        centers = np.stack(
            [points[nearest == k].mean(axis=0) for k in range(len(centers)) if (nearest == k).any()]
        )
    sizes = np.bincount(cdist(points, centers).argmin(axis=1), minlength=len(centers))
    return _merge_centers(centers, sizes, merge)


def _pick_far_points(points: FloatArray, count: int) -> FloatArray:
    """The median of points (N, 3), and points far from it and from each other: at most (count, 3)."""
    median = np.median(points, axis=0, keepdims=True)
    chosen = [median[0]]
    distance = np.linalg.norm(points - median, axis=1)
    for _ in range(count - 1):
        # The 98th percentile instead of the maximum: a seed on an outlier would waste a cluster.
        limit = np.quantile(distance, 0.98)
        if limit < 4.0:
            break
        index = int(np.abs(distance - limit).argmin())
        chosen.append(points[index])
        distance = np.minimum(distance, np.linalg.norm(points - points[index], axis=1))
    return np.stack(chosen)


def _merge_centers(centers: FloatArray, sizes: IntArray, merge: float) -> FloatArray:
    """Merge the closest centers (N, 3), weighted by their sizes (N,), until none are closer than `merge`."""
    centers, weights = centers.astype(np.float64), sizes.astype(np.float64)
    while len(centers) > 1:
        gaps = cdist(centers, centers) + np.eye(len(centers)) * 1e9
        i, j = np.unravel_index(int(gaps.argmin()), gaps.shape)
        if gaps[i, j] >= merge:
            break
        total = max(weights[i] + weights[j], 1e-9)
        centers[i] = (centers[i] * weights[i] + centers[j] * weights[j]) / total
        weights[i] = total
        centers, weights = np.delete(centers, j, axis=0), np.delete(weights, j)
    return centers.astype(np.float32)


def group_materials(centers: FloatArray) -> IntArray:
    """Group centers (C, 3) into materials 0..M-1, (C,): shades of one hue are one material.

    Complete linkage, so that a chain of grays does not join black and white.
    """
    if len(centers) < 2:
        return np.zeros(len(centers), dtype=np.int32)
    lightness = centers[:, :1].astype(np.float64) / LIGHTNESS_WEIGHT
    hue = centers[:, 1:].astype(np.float64)
    chroma = np.linalg.norm(hue, axis=1)
    strength = np.minimum(chroma[:, None], chroma)
    # Strong colors are one material even in deep shade (CIE94 scales by chroma too); grays are not.
    shade = np.interp(strength, (5.0, 15.0), (0.25, 0.18)) * cdist(lightness, lightness)
    gaps = np.hypot(cdist(hue, hue) / (1 + 0.035 * strength), shade)
    tree = linkage(squareform(gaps, checks=False), method="complete")
    return (fcluster(tree, _MATERIAL_DISTANCE, criterion="distance") - 1).astype(np.int32)


def label_pixels(lab: FloatArray, mask: BoolArray, centers: FloatArray, materials: IntArray) -> IntArray:
    """Material (H, W) of each pixel's nearest center, smoothed by votes; -1 outside `mask`."""
    points = weigh_lab(lab)
    distance = ((points[..., None, :] - centers) ** 2).sum(axis=-1)
    nearest = np.where(mask, materials[distance.argmin(axis=-1)], -1)
    return vote_labels(nearest, mask, int(materials.max()) + 1, 1.2)


def vote_labels(labels: IntArray, mask: BoolArray, count: int, sigma: float) -> IntArray:
    """Give every pixel of `mask` the label with the largest weight in its Gaussian neighborhood."""
    votes = np.eye(count + 1, dtype=np.float32)[labels][..., :count]
    blurred, _ = blur_masked(votes, mask, sigma)
    return np.where(mask, blurred.argmax(axis=-1), -1).astype(np.int32)


def group_families(tones: FloatArray) -> IntArray:
    """Group materials by their mean weighted colors (M, 3) into families 0..: (M,).

    Leather and its dark seams, for example, are one family.
    """
    if len(tones) < 2:
        return np.zeros(len(tones), dtype=np.int32)
    return (fcluster(linkage(tones, method="complete"), _FAMILY_DISTANCE, criterion="distance") - 1).astype(
        np.int32
    )


def drop_enclosed_patches(
    labels: IntArray,
    mask: BoolArray,
    families: IntArray,
    contacts: FloatArray,
    *,
    area: float,
    bands: BoolArray,
) -> IntArray:
    """Replace patches under `area` pixels that do not reach the silhouette by the materials around them.

    A strap or a cuff reaches the silhouette and continues behind; a buckle or a button does not. Where
    `bands` is set, patches wider than high stay too: belts whose ends the arms hide. families: (M,) family of
    each material; a patch is a connected part of one family. contacts: (F,) how much contact with the
    silhouette, relative to its size, keeps a patch of each family.
    """
    solid = fill_pinholes(mask)
    rim = mask & ~erode_mask(solid, 3.0)
    family_of_pixel = np.where(mask, families[labels], -1)
    small = np.zeros_like(mask)
    for family in range(int(families.max()) + 1):
        patches, number = ndimage.label(family_of_pixel == family)
        if number == 0:
            continue
        sizes = np.bincount(patches.ravel(), minlength=number + 1)
        reaching = np.bincount(patches[rim], minlength=number + 1)
        # Both ends of a strap are in the rim; a patch of shade that only touches it does not count.
        enclosed = reaching < contacts[family] * np.sqrt(sizes)
        drop = (sizes < area) & enclosed & ~_find_bands(patches, number, bands)
        drop[0] = False
        small |= drop[patches]
    if not small.any() or (small == mask).all():
        return labels
    # Distances along rows count less than across: a buckle becomes belt, not trousers.
    rows, columns = ndimage.distance_transform_edt(
        ~(mask & ~small), sampling=(2.5, 1.0), return_distances=False, return_indices=True
    )
    return np.where(small, labels[rows, columns], labels)


def assign_nearest_similar_material(
    labels: IntArray, where: BoolArray, mask: BoolArray, families: IntArray
) -> IntArray:
    """Give the pixels `where` the commonest nearby material of their own family (M,)."""
    votes, _ = blur_masked(one_hot(labels, len(families)), mask, 0.025 * len(mask))
    similar = families[np.maximum(labels, 0)][..., None] == families
    return np.where(where & mask, (votes * similar).argmax(axis=-1), labels).astype(np.int32)


def _find_bands(patches: IntArray, number: int, allowed: BoolArray) -> BoolArray:
    """Which of the patches 0..number, (number + 1,) bool, are wide, and wider than high, where `allowed`."""
    found = np.zeros(number + 1, dtype=bool)
    for index, (rows, columns) in enumerate(ndimage.find_objects(patches), start=1):
        wide, high = columns.stop - columns.start, rows.stop - rows.start
        middle = allowed[(rows.start + rows.stop - 1) // 2, (columns.start + columns.stop - 1) // 2]
        found[index] = middle and wide >= 1.5 * high and wide >= 0.05 * patches.shape[0]
    return found


def one_hot(labels: IntArray, count: int) -> FloatArray:
    """Encode labels (H, W), -1 for none, as indicators (H, W, count)."""
    return np.eye(count + 1, dtype=np.float32)[labels][..., :count]


def spread_color(
    color: FloatArray, region: BoolArray, reaches: tuple[float, ...] = (0.06, 0.016)
) -> FloatArray:
    """Smooth the colors (H, W, C) of `region` and extend them over the whole image.

    Far from the region its mean color remains. reaches: Gaussian widths, shares of the height, widest first.
    """
    if not region.any():
        return np.zeros_like(color)
    base = np.broadcast_to(color[region].mean(axis=0), color.shape)
    for reach in reaches:
        near, share = blur_masked(color, region, reach * len(region))
        trust = share / (share + 0.02)
        base = near * trust + base * (1 - trust)
    return base


def mix_by_label(bases: list[FloatArray], shares: FloatArray) -> FloatArray:
    """Sum of images (H, W, C), one per label, weighted by shares (H, W, label)."""
    total = np.zeros_like(bases[0])
    for index, base in enumerate(bases):
        total = total + base * shares[..., index : index + 1]
    return total
