"""Finds the head in a front silhouette and tells its hair (or hat) from its face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..types import BoolArray, FloatArray, IntArray
from .color_segmentation import weigh_lab
from .masked_images import erode_mask, find_box

_NECK_RATIO = 1.12
"""A neck is narrower than head and shoulders by at least this factor."""

_SAME_MATERIAL = 13.0
"""Weighed Lab distance under which crown and face are one material: bald, or a mask."""

_SKIN_SHADE = 11.0


@dataclass(frozen=True, eq=False)
class Head:
    """Rows top..neck (the narrowest row) around column `centre`, in pixels.

    half_width: of the skull without ears or loose hair. mask: (H, W) bool.
    """

    top: int
    neck: int
    centre: float
    half_width: float
    mask: BoolArray

    @property
    def height(self) -> int:
        """Rows from the crown to the neck."""
        return self.neck - self.top


@dataclass(frozen=True, eq=False)
class HeadColors:
    """Labels seen on a head; `crown` is hair, hat or hood, `face` is skin. They share no label.

    skin: those of `face` that are shades of its main colour. is_bald: crown and face are one
    material, and all of it is in `face`.
    """

    crown: tuple[int, ...]
    face: tuple[int, ...]
    skin: tuple[int, ...]
    is_bald: bool


def detect_head(mask: BoolArray) -> Head | None:
    """Find the head of an upright figure by the neck in its width profile; None without a neck."""
    _, top, _, bottom = find_box(mask)
    height = bottom - top
    starts, stops = _trace_central_run(mask, top, top + int(0.6 * height))
    widths = ndimage.uniform_filter1d((stops - starts).astype(np.float32), max(1, height // 100))
    neck = _find_neck(widths, height)
    if neck is None:
        return None
    rows = slice(0, neck)
    half_width = float(np.median(widths[rows][int(0.25 * neck) :])) / 2
    centre = float(np.median((starts[rows] + stops[rows])[int(0.25 * neck) :])) / 2
    region = np.zeros_like(mask)
    region[top : top + neck] = mask[top : top + neck]
    columns = np.abs(np.arange(mask.shape[1]) - centre) < 1.6 * float(widths[rows].max()) / 2
    return Head(top, top + neck, centre, half_width, region & columns)


def _trace_central_run(mask: BoolArray, top: int, bottom: int) -> tuple[IntArray, IntArray]:
    """First and one-past-last column, per row, of the run that the row above leads to."""
    start, stop = 0, 0
    starts, stops = [], []
    for row in range(top, bottom):
        edges = np.flatnonzero(np.diff(mask[row].astype(np.int8), prepend=0, append=0))
        runs = edges.reshape(-1, 2)
        if len(runs):
            shared = np.minimum(runs[:, 1], stop) - np.maximum(runs[:, 0], start)
            # Loose strands may come first; the widest run takes over as soon as it appears.
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
    """Sort the labels on the head into crown and face by the colours at its upper rim and middle."""
    points = weigh_lab(lab)
    crown_area, face_area = _crown_area(head), _face_area(head)
    crown = _dominant_color(points, labels, crown_area)
    face = _dominant_color(points, labels, face_area)
    colors = {
        int(label): np.median(points[head.mask & (labels == label)], axis=0)
        for label in np.flatnonzero(np.bincount(labels[head.mask], minlength=count))
    }
    is_bald = bool(np.linalg.norm(crown - face) < _SAME_MATERIAL)
    hair = tuple(
        label
        for label, color in colors.items()
        if not is_bald and np.linalg.norm(color - crown) < np.linalg.norm(color - face)
    )
    rest = tuple(label for label in colors if label not in hair)
    # Lightness counts half as much as it does for cloth: a face has deep shadows.
    skin = tuple(k for k in rest if np.linalg.norm((colors[k] - face) * (0.55, 1.0, 1.0)) < _SKIN_SHADE)
    return HeadColors(hair, rest, skin, is_bald)


def _crown_area(head: Head) -> BoolArray:
    rows = np.arange(len(head.mask))[:, None]
    distance = ndimage.distance_transform_edt(head.mask)
    band = (distance > 0.02 * head.height) & (distance < 0.16 * head.height)
    area = band & (rows < head.top + 0.4 * head.height)
    return area if area.any() else head.mask


def _face_area(head: Head) -> BoolArray:
    rows, columns = np.mgrid[: head.mask.shape[0], : head.mask.shape[1]]
    y = (rows - (head.top + 0.68 * head.height)) / (0.18 * head.height)
    x = (columns - head.centre) / (0.5 * head.half_width)
    area = (x * x + y * y < 1) & head.mask
    return area if area.any() else head.mask


def _dominant_color(points: FloatArray, labels: IntArray, area: BoolArray) -> FloatArray:
    winner = int(np.bincount(labels[area]).argmax())
    return np.median(points[area & (labels == winner)], axis=0)


def find_hairline(head: Head, labels: IntArray, colors: HeadColors) -> int:
    """Row down to which hair covers the back of the head: as low as at the sides, at least the ears."""
    hair = np.isin(labels, colors.crown) & head.mask
    share = hair.sum(axis=1) / np.maximum(head.mask.sum(axis=1), 1)
    rows = np.flatnonzero(share >= 0.12)
    lowest = int(rows[-1]) if len(rows) else head.top
    low, high = head.top + 0.74 * head.height, head.top + 0.92 * head.height
    return int(np.clip(lowest, low, high))


def find_ears(head: Head, labels: IntArray, colors: HeadColors) -> BoolArray:
    """Skin of the head that stands out beside the skull and reaches the silhouette."""
    columns = np.abs(np.arange(head.mask.shape[1]) - head.centre)[None, :]
    outside = head.mask & (columns > 0.97 * head.half_width) & np.isin(labels, colors.face)
    patches, number = ndimage.label(outside)
    rim = head.mask & ~erode_mask(head.mask, 2.0)
    is_ear = np.bincount(patches[rim], minlength=number + 1) > 0
    # Mostly skin: the inside of a hood may reach the silhouette, too.
    skin = np.isin(labels, colors.skin)
    is_ear &= 2 * np.bincount(patches[skin], minlength=number + 1) > np.bincount(patches.ravel())
    is_ear[0] = False
    return is_ear[patches]
