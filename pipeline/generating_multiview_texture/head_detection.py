"""Find the head in a front silhouette and tell its hair (or hat) from its face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..types import BoolArray, FloatArray, IntArray
from .color_segmentation import weigh_lab
from .masked_images import erode_mask, find_box

_NECK_RATIO = 1.12
"""Head and shoulders are wider than the neck by at least this factor."""

_BALD_DISTANCE = 13.0
"""Weighted Lab distance below which crown and face are of one material: a bald or masked head."""

_SKIN_DISTANCE = 11.0
"""Weighted Lab distance below which a material is a shade of the face's main color."""


@dataclass(frozen=True, eq=False)
class Head:
    """A head in pixels: rows from `top` to `neck`, which is the narrowest row, around column `center`.

    half_width: of the skull, without ears or loose hair. mask: (H, W) bool.
    """

    top: int
    neck: int
    center: float
    half_width: float
    mask: BoolArray

    @property
    def height(self) -> int:
        """Rows from the crown to the neck."""
        return self.neck - self.top


@dataclass(frozen=True, eq=False)
class HeadColors:
    """The material labels of a head: `crown` is hair, hat or hood, `face` is the rest, mostly skin.

    skin: those of `face` that are shades of its main color. is_bald: crown and face are of one material,
    and `crown` is empty.
    """

    crown: tuple[int, ...]
    face: tuple[int, ...]
    skin: tuple[int, ...]
    is_bald: bool


def detect_head(mask: BoolArray) -> Head | None:
    """Find the head of an upright figure by the neck in its width profile; None if there is no neck."""
    _, top, _, bottom = find_box(mask)
    height = bottom - top
    starts, stops = _trace_central_run(mask, top, top + int(0.6 * height))
    widths = ndimage.uniform_filter1d((stops - starts).astype(np.float32), max(1, height // 100))
    neck = _find_neck(widths, height)
    if neck is None:
        return None
    rows = slice(0, neck)
    half_width = float(np.median(widths[rows][int(0.25 * neck) :])) / 2
    center = float(np.median((starts[rows] + stops[rows])[int(0.25 * neck) :])) / 2
    region = np.zeros_like(mask)
    region[top : top + neck] = mask[top : top + neck]
    columns = np.abs(np.arange(mask.shape[1]) - center) < 1.6 * float(widths[rows].max()) / 2
    return Head(top, top + neck, center, half_width, region & columns)


def _trace_central_run(mask: BoolArray, top: int, bottom: int) -> tuple[IntArray, IntArray]:
    """First column and last + 1 of the run in each row that continues the run in the row above."""
    start, stop = 0, 0
    starts, stops = [], []
    for row in range(top, bottom):
        edges = np.flatnonzero(np.diff(mask[row].astype(np.int8), prepend=0, append=0))
        runs = edges.reshape(-1, 2)
        if len(runs):
            shared = np.minimum(runs[:, 1], stop) - np.maximum(runs[:, 0], start)
            # The first rows may be loose strands of hair; a wider run takes over as soon as it appears.
            score = np.maximum(shared, 0) * 2 + (runs[:, 1] - runs[:, 0])
            start, stop = runs[int(score.argmax())]
        starts.append(start)
        stops.append(stop)
    return np.array(starts, dtype=np.int32), np.array(stops, dtype=np.int32)


def _find_neck(widths: FloatArray, height: int) -> int | None:
    best, best_score = None, _NECK_RATIO
    below_span = max(2, int(0.14 * height))
    for row in range(max(1, int(0.07 * height)), min(int(0.55 * height), len(widths) - below_span)):
        above = float(widths[:row].max())
        below = float(widths[row : row + below_span].max())
        score = min(above, below) / max(float(widths[row]), 1.0)
        if score > best_score and above > 0.07 * height:
            best, best_score = row, score
    return best


def classify_head(head: Head, lab: FloatArray, labels: IntArray, count: int) -> HeadColors:
    """Assign the head's materials to crown and face by the colors at its upper rim and in its middle."""
    points = weigh_lab(lab)
    crown = _find_dominant_color(points, labels, _select_crown_area(head))
    face = _find_dominant_color(points, labels, _select_face_area(head))
    colors = {
        int(label): np.median(points[head.mask & (labels == label)], axis=0)
        for label in np.flatnonzero(np.bincount(labels[head.mask], minlength=count))
    }
    is_bald = bool(np.linalg.norm(crown - face) < _BALD_DISTANCE)
    hair = tuple(
        label
        for label, color in colors.items()
        if not is_bald and np.linalg.norm(color - crown) < np.linalg.norm(color - face)
    )
    rest = tuple(label for label in colors if label not in hair)
    # Lightness is reduced further than for cloth, because faces have deep shadows.
    skin = tuple(k for k in rest if np.linalg.norm((colors[k] - face) * (0.55, 1.0, 1.0)) < _SKIN_DISTANCE)
    return HeadColors(hair, rest, skin, is_bald)


def _select_crown_area(head: Head) -> BoolArray:
    """A band inside the upper outline of the head."""
    rows = np.arange(len(head.mask))[:, None]
    distance = ndimage.distance_transform_edt(head.mask)
    band = (distance > 0.02 * head.height) & (distance < 0.16 * head.height)
    area = band & (rows < head.top + 0.4 * head.height)
    return area if area.any() else head.mask


def _select_face_area(head: Head) -> BoolArray:
    """An ellipse in the middle of the face."""
    rows, columns = np.mgrid[: head.mask.shape[0], : head.mask.shape[1]]
    y = (rows - (head.top + 0.68 * head.height)) / (0.18 * head.height)
    x = (columns - head.center) / (0.5 * head.half_width)
    area = (x * x + y * y < 1) & head.mask
    return area if area.any() else head.mask


def _find_dominant_color(points: FloatArray, labels: IntArray, area: BoolArray) -> FloatArray:
    """Median color (C,) of the commonest label in an area."""
    winner = int(np.bincount(labels[area]).argmax())
    return np.median(points[area & (labels == winner)], axis=0)


def find_hairline(head: Head, labels: IntArray, colors: HeadColors) -> int:
    """The row down to which hair covers the back of the head: as at the sides, but at least over the ears."""
    hair = np.isin(labels, colors.crown) & head.mask
    share = hair.sum(axis=1) / np.maximum(head.mask.sum(axis=1), 1)
    rows = np.flatnonzero(share >= 0.12)
    lowest = int(rows[-1]) if len(rows) else head.top
    low, high = head.top + 0.74 * head.height, head.top + 0.92 * head.height
    return int(np.clip(lowest, low, high))


def find_ears(head: Head, labels: IntArray, colors: HeadColors) -> BoolArray:
    """Patches of skin beside the skull that reach the silhouette, (H, W) bool."""
    columns = np.abs(np.arange(head.mask.shape[1]) - head.center)[None, :]
    outside = head.mask & (columns > 0.97 * head.half_width) & np.isin(labels, colors.face)
    patches, number = ndimage.label(outside)
    rim = head.mask & ~erode_mask(head.mask, 2.0)
    is_ear = np.bincount(patches[rim], minlength=number + 1) > 0
    # An ear is mostly skin; the inside of a hood may reach the silhouette too.
    skin = np.isin(labels, colors.skin)
    is_ear &= 2 * np.bincount(patches[skin], minlength=number + 1) > np.bincount(patches.ravel())
    is_ear[0] = False
    return is_ear[patches]
