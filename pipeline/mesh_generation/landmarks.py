"""Find the head, neck, crotch and feet of a standing figure from its outline."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ..types import BoolArray, FloatArray
from .silhouette import Silhouette

_NEAR_AXIS = 0.12
_MIN_HEAD = 0.03
_HEAD_SEARCH = 0.55
_FACE_LENGTH = 1.4
"""Distance from the center of the head to the chin, in radii of the head."""
_DEFAULT_CROTCH = 0.47
_DEFAULT_NECK = 0.84


class Head(NamedTuple):
    """centre, chin, neck: rows. column: of the neck's center. Radii and all else in cells."""

    centre: float
    chin: float
    neck: float
    column: float
    radius: float
    neck_radius: float


class Foot(NamedTuple):
    """columns: first and one past the last column. ankle: height of the ankle above the ground."""

    columns: tuple[int, int]
    ankle: float
    width: float


class Landmarks(NamedTuple):
    """axis: column of the body's midline. crotch, neck: heights above the ground, in cells."""

    axis: float
    head: Head | None
    crotch: float
    neck: float
    feet: tuple[Foot, ...]
    torso_radius: float


def find_landmarks(silhouette: Silhouette) -> Landmarks:
    """Find the landmarks of a silhouette; what it does not show gets average human proportions."""
    inside, height, ground = silhouette.inside, silhouette.height, silhouette.ground
    radius = ndimage.distance_transform_edt(inside)
    axis = _find_axis(inside, ground, height)
    head = _find_head(radius, inside, axis, ground - height, height)
    below = radius[int(head.neck) :] if head else radius[int(ground - _DEFAULT_NECK * height) :]
    neck = ground - head.neck if head else _DEFAULT_NECK * height
    return Landmarks(
        axis,
        head,
        _find_crotch(inside, axis, ground, height),
        neck,
        _find_feet(inside, ground, height),
        float(below.max()),
    )


def _find_axis(inside: BoolArray, ground: float, height: float) -> float:
    """Return the trunk's midline: the median column of the cells at 45 % to 75 % of the height."""
    top, bottom = (max(0, int(ground - share * height)) for share in (0.75, 0.45))
    columns = np.nonzero(inside[top : bottom + 1])[1]
    return float(np.median(columns)) if len(columns) else inside.shape[1] / 2


def _find_head(radius: FloatArray, inside: BoolArray, axis: float, top: float, height: float) -> Head | None:
    """Find the first bulge from the top that narrows to a neck and widens again."""
    low, high = (int(np.clip(axis + sign * _NEAR_AXIS * height, 0, radius.shape[1])) for sign in (-1, 1))
    first, last = max(0, int(top)), int(top + _HEAD_SEARCH * height) + 1
    high = max(high, low + 1)
    profile = ndimage.gaussian_filter1d(radius[first:last, low:high].max(axis=1), 1.5)
    best = None
    for row in range(2, len(profile) - 2):
        peak, valley = float(profile[:row].max()), max(float(profile[row]), 0.5)
        rise = float(profile[row:].max())
        is_valley = profile[row] <= profile[row - 1] and profile[row] < profile[row + 1]
        if is_valley and peak > _MIN_HEAD * height and valley < 0.86 * peak and rise > 1.12 * valley:
            depth = min(peak, rise) / valley
            if best is None or depth > 1.15 * best[0]:
                best = (depth, row)
    if best is None:
        return None
    row = best[1]
    centre = int(np.argmax(profile[:row]))
    fall = profile[centre:row] < profile[row] + 0.2 * (profile[centre] - profile[row])
    narrow = centre + int(np.argmax(fall)) if fall.any() else row
    # A long face narrows to the neck's width above its chin, and a thick neck is narrowest there too.
    size, thick = float(profile[centre]), float(profile[row] / profile[centre])
    lowest = row + 0.6 * size * float(np.clip((thick - 0.55) / 0.3, 0.0, 1.0))
    chin = min(max(narrow + 0.15 * size, centre + _FACE_LENGTH * size), lowest)
    line = radius[first + row, low:high]
    column = low + int(np.argmax(line))
    return Head(
        first + centre, first + chin, first + row, column, float(profile[centre]), float(profile[row])
    )


def _find_crotch(inside: BoolArray, axis: float, ground: float, height: float) -> float:
    """Return the height of the gap between the legs, or the human average if there is none."""
    reach = max(1, int(0.06 * height))
    columns = inside[: int(ground), max(0, int(axis) - reach) : int(axis) + reach]
    # Background cells that are reachable from below within their column.
    gap = np.cumsum(columns[::-1], axis=0) == 0
    found = float(gap.sum(axis=0).max()) if gap.size else 0.0
    return found if 0.15 * height < found < 0.65 * height else _DEFAULT_CROTCH * height


def _find_feet(inside: BoolArray, ground: float, height: float) -> tuple[Foot, ...]:
    start = int(ground - 0.05 * height)
    labels, count = ndimage.label(inside[start : int(ground) + 1])
    feet: list[Foot] = []
    for rows, columns in ndimage.find_objects(labels):
        stands = rows.stop + start >= ground - 0.03 * height
        width = columns.stop - columns.start
        if stands and 0.02 * height < width < 0.3 * height:
            middle = (columns.start + columns.stop) // 2
            split = count == 1 and width > 0.13 * height
            spans = (
                [(columns.start, middle), (middle, columns.stop)]
                if split
                else [(columns.start, columns.stop)]
            )
            feet.extend(_measure_foot(inside, span, ground, height) for span in spans)
    return tuple(feet) if len(feet) <= 4 else ()


def _measure_foot(inside: BoolArray, span: tuple[int, int], ground: float, height: float) -> Foot:
    rows = inside[int(ground - 0.11 * height) : int(ground) + 1, span[0] : span[1]]
    widths = ndimage.gaussian_filter1d(rows.sum(axis=1).astype(float), 1.5)[::-1]
    low = int(0.045 * height)
    ankle = low + int(np.argmin(widths[low : max(low + 1, int(0.09 * height))]))
    return Foot(span, float(ankle), float(widths[: max(2, ankle)].max()))
