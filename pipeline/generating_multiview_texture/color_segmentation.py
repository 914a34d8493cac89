"""Splits the subject into a few regions of like colour: hair, skin, each cloth, leather, metal."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import cdist, squareform

from ..types import BoolArray, FloatArray, IntArray
from .masked_images import blur_masked, erode_mask, fill_pinholes

LIGHTNESS_WEIGHT = 0.55
"""Lightness counts less than hue and chroma, so that shading does not split a material."""

_SAME_HUE = 8.6
_SUBTLE = 17.0
_SAMPLES = 6000
_ROUNDS = 12


def weigh_lab(lab: FloatArray) -> FloatArray:
    """Lab with lightness scaled down: Euclidean distance here tells materials apart, not shading."""
    return lab * np.array([LIGHTNESS_WEIGHT, 1.0, 1.0], dtype=np.float32)


def cluster_colors(lab: FloatArray, mask: BoolArray, *, count: int = 10, merge: float = 9.0) -> FloatArray:
    """K-means centres (at most `count`, C) of the weighed Lab colours inside `mask`.

    Seeded by farthest points, so the same picture always gives the same centres; centres closer
    than `merge` become one.
    """
    points = weigh_lab(lab)[mask]
    points = points[:: max(1, len(points) // _SAMPLES)]
    centres = _pick_far_points(points, count)
    for _ in range(_ROUNDS):
        nearest = cdist(points, centres).argmin(axis=1)
        centres = np.stack(
            [points[nearest == k].mean(axis=0) for k in range(len(centres)) if (nearest == k).any()]
        )
    sizes = np.bincount(cdist(points, centres).argmin(axis=1), minlength=len(centres))
    return _merge_centres(centres, sizes, merge)


def _pick_far_points(points: FloatArray, count: int) -> FloatArray:
    smooth = np.median(points, axis=0, keepdims=True)
    chosen = [smooth[0]]
    distance = np.linalg.norm(points - smooth, axis=1)
    for _ in range(count - 1):
        # The 98th percentile, not the maximum: a seed on an outlier would waste a cluster.
        limit = np.quantile(distance, 0.98)
        if limit < 4.0:
            break
        index = int(np.abs(distance - limit).argmin())
        chosen.append(points[index])
        distance = np.minimum(distance, np.linalg.norm(points - points[index], axis=1))
    return np.stack(chosen)


def _merge_centres(centres: FloatArray, sizes: IntArray, merge: float) -> FloatArray:
    centres, weights = centres.astype(np.float64), sizes.astype(np.float64)
    while len(centres) > 1:
        gaps = cdist(centres, centres) + np.eye(len(centres)) * 1e9
        i, j = np.unravel_index(int(gaps.argmin()), gaps.shape)
        if gaps[i, j] >= merge:
            break
        total = max(weights[i] + weights[j], 1e-9)
        centres[i] = (centres[i] * weights[i] + centres[j] * weights[j]) / total
        weights[i] = total
        centres, weights = np.delete(centres, j, axis=0), np.delete(weights, j)
    return centres.astype(np.float32)


def group_materials(centres: FloatArray) -> IntArray:
    """Material (0..M-1) of each centre (C, 3): shades of one hue are one material.

    Complete linkage, so that a chain of greys does not tie black to white.
    """
    if len(centres) < 2:
        return np.zeros(len(centres), dtype=np.int32)
    lightness = centres[:, :1].astype(np.float64) / LIGHTNESS_WEIGHT
    hue = centres[:, 1:].astype(np.float64)
    chroma = np.linalg.norm(hue, axis=1)
    strength = np.minimum(chroma[:, None], chroma)
    # Strong colours stay one material through deep shade (CIE94 scales by chroma); greys do not.
    shade = np.interp(strength, (5.0, 15.0), (0.25, 0.18)) * cdist(lightness, lightness)
    gaps = np.hypot(cdist(hue, hue) / (1 + 0.035 * strength), shade)
    tree = linkage(squareform(gaps, checks=False), method="complete")
    return (fcluster(tree, _SAME_HUE, criterion="distance") - 1).astype(np.int32)


def label_pixels(lab: FloatArray, mask: BoolArray, centres: FloatArray, materials: IntArray) -> IntArray:
    """Material (H, W) of the nearest centre, -1 outside `mask`, single pixels voted away."""
    points = weigh_lab(lab)
    distance = ((points[..., None, :] - centres) ** 2).sum(axis=-1)
    nearest = np.where(mask, materials[distance.argmin(axis=-1)], -1)
    return vote_labels(nearest, mask, int(materials.max()) + 1, 1.2)


def vote_labels(labels: IntArray, mask: BoolArray, count: int, sigma: float) -> IntArray:
    """Give every pixel of `mask` the label that weighs most in its Gaussian neighbourhood."""
    votes = np.eye(count + 1, dtype=np.float32)[labels][..., :count]
    blurred, _ = blur_masked(votes, mask, sigma)
    return np.where(mask, blurred.argmax(axis=-1), -1).astype(np.int32)


def group_families(tones: FloatArray) -> IntArray:
    """Family (0..) of each material by its mean weighed colour (M, 3): leather and its dark seams are one."""
    if len(tones) < 2:
        return np.zeros(len(tones), dtype=np.int32)
    return (fcluster(linkage(tones, method="complete"), _SUBTLE, criterion="distance") - 1).astype(np.int32)


def drop_enclosed_patches(
    labels: IntArray, mask: BoolArray, families: IntArray, holds: FloatArray, *, area: float, bands: BoolArray
) -> IntArray:
    """Dissolve patches under `area` pixels that do not reach the silhouette's rim.

    A strap or a cuff reaches the silhouette and goes on behind; a buckle or a button does not.
    Where `bands` is set a wide flat patch stays too: a belt whose ends the arms hide.
    families: (M,) of each material; a patch is of one family. holds: (F,) how firmly a patch of a
    family has to reach the rim to stay.
    """
    solid = fill_pinholes(mask)
    rim = mask & ~erode_mask(solid, 3.0)
    kin = np.where(mask, families[labels], -1)
    small = np.zeros_like(mask)
    for family in range(int(families.max()) + 1):
        patches, number = ndimage.label(kin == family)
        if number == 0:
            continue
        sizes = np.bincount(patches.ravel(), minlength=number + 1)
        reaching = np.bincount(patches[rim], minlength=number + 1)
        # Both ends of a strap lie in the rim; a shade that only grazes it does not count.
        loose = reaching < holds[family] * np.sqrt(sizes)
        drop = (sizes < area) & loose & ~_find_bands(patches, number, bands)
        drop[0] = False
        small |= drop[patches]
    if not small.any() or (small == mask).all():
        return labels
    # Along the row rather than across: a buckle becomes belt, not trousers.
    rows, columns = ndimage.distance_transform_edt(
        ~(mask & ~small), sampling=(2.5, 1.0), return_distances=False, return_indices=True
    )
    return np.where(small, labels[rows, columns], labels)


def settle_kin(labels: IntArray, where: BoolArray, mask: BoolArray, families: IntArray) -> IntArray:
    """Give the pixels of `where` the commonest nearby material of their own family."""
    votes, _ = blur_masked(one_hot(labels, len(families)), mask, 0.025 * len(mask))
    kin = families[np.maximum(labels, 0)][..., None] == families
    return np.where(where & mask, (votes * kin).argmax(axis=-1), labels).astype(np.int32)


def _find_bands(patches: IntArray, number: int, allowed: BoolArray) -> BoolArray:
    """Which of the patches 0..number are wider than high, and not narrow."""
    found = np.zeros(number + 1, dtype=bool)
    for index, (rows, columns) in enumerate(ndimage.find_objects(patches), start=1):
        wide, high = columns.stop - columns.start, rows.stop - rows.start
        middle = allowed[(rows.start + rows.stop - 1) // 2, (columns.start + columns.stop - 1) // 2]
        found[index] = middle and wide >= 1.5 * high and wide >= 0.05 * patches.shape[0]
    return found


def one_hot(labels: IntArray, count: int) -> FloatArray:
    """Labels (H, W) as (H, W, count) indicators; -1 is none."""
    return np.eye(count + 1, dtype=np.float32)[labels][..., :count]


def spread_color(
    color: FloatArray, region: BoolArray, reaches: tuple[float, ...] = (0.06, 0.016)
) -> FloatArray:
    """Smooth colour (H, W, C) of `region`, carried on outside of it: near ones first, else the mean.

    reaches: Gaussian widths as shares of the height, wide ones first.
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
    """Sum of (H, W, C) images weighed by (H, W, label) shares."""
    total = np.zeros_like(bases[0])
    for index, base in enumerate(bases):
        total = total + base * shares[..., index : index + 1]
    return total
