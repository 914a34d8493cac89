"""BlazePose's points as landmarks of a figure, checked against its outline."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ..figure import LANDMARKS
from ..figure.pose_landmarks import PoseLandmarks
from ..types import BoolArray, Float64Array, FloatArray

_POINTS = {"shoulder": 11, "elbow": 13, "wrist": 15, "hip": 23, "knee": 25, "ankle": 27, "toe": 31}
"""Number of the left point; the right one follows it."""
_KNUCKLES = (17, 19)
_FACE = slice(0, 11)
_FINGER_REACH = 1.6
"""Length of the hand from the wrist, in distances of the wrist from the knuckles."""
_CHIN_BELOW = 0.5
"""Distance of the chin below the mouth, in distances of the mouth from the eyes: adult 0.65, cartoon 0.35."""
_OUTSIDE = 0.03
"""Share of the height at which a point outside the outline has lost all its confidence."""
_MIN_CONFIDENCE, _SURE = 0.5, 0.8
_CROSSED = 0.5
"""Share of both thighs above which they cannot cross: each is in the way of the other."""


class PoseHints(NamedTuple):
    """landmarks: (20, 2) pixels. confidence: (20,). yaw: degrees, see Figure.

    face: center x, y and radii x, y in pixels. chin: row of the chin.
    """

    landmarks: FloatArray
    confidence: FloatArray
    yaw: float
    face: tuple[float, float, float, float]
    chin: float


def read_pose(pose: PoseLandmarks, mask: BoolArray) -> PoseHints:
    """Name BlazePose's points as landmarks; what lies outside the outline or contradicts it loses confidence.

    mask: (S, S), the subject in the picture in whose pixels `pose` is.
    """
    points = pose.points[:, :2].astype(np.float64)
    eyes, mouth = points[[2, 5]].mean(axis=0), points[[9, 10]].mean(axis=0)
    shoulders, hips = points[[11, 12]].mean(axis=0), points[[23, 24]].mean(axis=0)
    chin = mouth + _CHIN_BELOW * (mouth - eyes)
    found: dict[str, tuple[Float64Array, float]] = {}
    seen = pose.visibility * pose.presence
    for name, number in _POINTS.items():
        for offset, side in enumerate(("left", "right")):
            point = number + offset
            found[f"{side}_{name}"] = points[point], float(seen[point])
    _uncross_legs(found)
    for offset, side in enumerate(("left", "right")):
        wrist = 15 + offset
        knuckles = points[[number + offset for number in _KNUCKLES]].mean(axis=0)
        tip = points[wrist] + _FINGER_REACH * (knuckles - points[wrist])
        found[f"{side}_hand"] = tip, float(seen[wrist])
    face_seen = float(seen[_FACE].mean())
    narrow = find_narrowest(mask, chin, shoulders)
    neck = (chin + shoulders) / 2 if narrow is None else narrow
    middle = points[_FACE].mean(axis=0)
    found["neck"] = neck, min(face_seen, float(seen[[11, 12]].mean()))
    found["head"] = middle, face_seen
    crown = eyes - 1.2 * (chin - eyes)
    found["crown"] = crown, 0.3 * face_seen
    found["pelvis"] = hips, float(seen[[23, 24]].mean())
    landmarks = np.array([found[name][0] for name in LANDMARKS], dtype=np.float32)
    confidence = np.array([found[name][1] for name in LANDMARKS], dtype=np.float32)
    trust = float(np.clip((pose.confidence - _MIN_CONFIDENCE) / (_SURE - _MIN_CONFIDENCE), 0.0, 1.0))
    is_upright = eyes[1] < mouth[1] < hips[1] and shoulders[1] < hips[1]
    confidence *= trust * is_upright * _share_inside(landmarks, mask)
    across = 1.1 * max(abs(points[3, 0] - points[6, 0]), abs(points[7, 0] - points[8, 0])) / 2
    tall = 1.1 * abs(chin[1] - eyes[1])
    face = (float(middle[0]), float((eyes[1] + chin[1]) / 2 - 0.1 * tall), float(across), float(tall))
    return PoseHints(landmarks, confidence, measure_yaw(pose.world), face, float(chin[1]))


def _uncross_legs(found: dict[str, tuple[Float64Array, float]]) -> None:
    """Exchange the legs below the hips, in place, where the thighs meet in their upper halves."""
    hips, knees = (
        np.array([found[f"{side}_{name}"][0] for side in ("left", "right")]) for name in ("hip", "knee")
    )
    thighs = knees - hips
    across = np.stack([thighs[0], -thighs[1]], axis=1)
    if abs(np.linalg.det(across)) < 1e-6:
        return
    shares = np.linalg.solve(across, hips[1] - hips[0])
    if ((shares > 0) & (shares < _CROSSED)).all():
        for name in ("knee", "ankle", "toe"):
            left, right = f"left_{name}", f"right_{name}"
            found[left], found[right] = found[right], found[left]


def measure_yaw(world: FloatArray) -> float:
    """Degrees that shoulders and hips are turned to the figure's own left; 0 faces the viewer."""
    across = (world[11] - world[12]) + (world[23] - world[24])
    return float(np.degrees(np.arctan2(across[2], across[0])))


def find_narrowest(mask: BoolArray, chin: Float64Array, shoulders: Float64Array) -> Float64Array | None:
    """Return x, y of the neck: the narrowest place between chin and shoulders.

    None if there is none: long hair, a collar or a beard hides it.
    """
    top, bottom = (int(np.clip(round(row), 0, len(mask) - 1)) for row in (chin[1], shoulders[1]))
    if bottom - top < 3:
        return None
    rows = np.arange(top, bottom + 1)
    columns = np.interp(rows, (chin[1], shoulders[1]), (chin[0], shoulders[0]))
    widths = np.array(
        [_run_width(mask[row], round(column)) for row, column in zip(rows, columns, strict=True)]
    )
    smooth = ndimage.uniform_filter1d(widths.astype(np.float64), max(1, len(rows) // 8), mode="nearest")
    if not smooth.min() < 0.9 * min(smooth[0], smooth[-1]):
        return None
    narrow = np.flatnonzero(smooth <= 1.08 * smooth.min())
    return np.array((columns[narrow].mean(), rows[narrow].mean()))


def _run_width(row: BoolArray, column: int) -> int:
    """Length of the run of row (W,) that holds `column`; 0 outside."""
    if not 0 <= column < len(row) or not row[column]:
        return 0
    left = np.flatnonzero(~row[:column])
    right = np.flatnonzero(~row[column:])
    return int((right[0] if len(right) else len(row) - column) + column - (left[-1] + 1 if len(left) else 0))


def _share_inside(landmarks: FloatArray, mask: BoolArray) -> FloatArray:
    """Confidence factor (L,): 1 inside the outline, falling to 0 with the distance from it."""
    distance = ndimage.distance_transform_edt(~mask)
    height = max(1, int(np.ptp(np.flatnonzero(mask.any(axis=1)))))
    column, row = np.clip(np.round(landmarks).astype(int), 0, np.array(mask.shape[::-1]) - 1).T
    beyond = np.abs(landmarks - np.stack([column, row], axis=1)).max(axis=1)
    away = (distance[row, column] + beyond) / height
    return np.clip(1.0 - away / _OUTSIDE, 0.0, 1.0).astype(np.float32)
