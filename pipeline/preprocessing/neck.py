"""Where the neck of a figure lies, from all that was read of it."""

from __future__ import annotations

import numpy as np

from ..figure import LANDMARKS
from ..figure.face import Face
from ..figure.network import BodyReading
from ..types import BoolArray, Float64Array, FloatArray
from .face_hints import CHEST, MOUTH, NECK, place_below
from .pose_hints import PoseHints, find_narrowest

_SURE, _SURE_ABOVE_MOUTH = 0.6, 0.82
"""Confidence from which BlazePose's neck counts, or the outline's where BlazePose has none; the same of an
outline's neck that lies above the mouth of the face: faces in helmets are read too large."""
_SHOULDERS, _SHOULDERS_SEEN = 0.75, 0.3
"""Where shoulders are guessed, in heights of the face below its center; confidence below which they are."""
_HINT_WEIGHT, _NEAR, _TOWARDS_HEAD = 0.6, 0.1, 0.35
"""Without a face: weight of BlazePose's neck beside the outline's, if they are as near as this share of the
height; where the chin is looked for, from the neck to the middle of the head."""
_NUMBER = LANDMARKS.index("neck")
_BOTH_SHOULDERS = [LANDMARKS.index(f"{side}_shoulder") for side in ("left", "right")]


def find_neck(
    mask: BoolArray, landmarks: FloatArray, outline: BodyReading, hints: PoseHints | None, face: Face | None
) -> Float64Array:
    """x and y of the neck, in shares: where it is narrowest, or where the readings agree if hair hides it.

    landmarks: (20, 3), of all readings. outline: of the outline alone. hints: BlazePose's, if it is believed.
    """
    side = len(mask)
    head, left, right = (
        landmarks[LANDMARKS.index(name), :2].astype(np.float64)
        for name in ("head", "left_shoulder", "right_shoulder")
    )
    neck, below = landmarks[_NUMBER, :2].astype(np.float64), (left + right) / 2
    above = neck + _TOWARDS_HEAD * (head - neck)
    hinted = None
    if hints is not None and hints.confidence[_NUMBER] >= _SURE:
        hinted = hints.landmarks[_NUMBER].astype(np.float64) / side
        above = np.array((hinted[0], hints.chin / side))
    if face is not None:
        if hints is None and outline.confidence[_BOTH_SHOULDERS].min() < _SHOULDERS_SEEN:
            below = place_below(face, _SHOULDERS) / side
        above, below[1] = place_below(face, MOUTH) / side, _bound_shoulders(face, side, below[1])
        neck = _choose(outline, hinted, place_below(face, NECK) / side, float(above[1]))
    elif hinted is not None:
        neck = _mix(mask, neck, outline, hinted)
    narrow = find_narrowest(mask, above * side, below * side)
    return neck if narrow is None else narrow / side


def _bound_shoulders(face: Face, side: int, row: float) -> float:
    """The row, in shares, down to which the neck is looked for: between the chin and the chest."""
    return float(np.clip(row, place_below(face, NECK)[1] / side, place_below(face, CHEST)[1] / side))


def _choose(
    outline: BodyReading, hinted: Float64Array | None, told: Float64Array, mouth: float
) -> Float64Array:
    """The median of BlazePose's, the outline's and the face's neck; without BlazePose's the surer one.

    mouth: its row.
    """
    other = outline.landmarks[_NUMBER, :2].astype(np.float64)
    if hinted is not None:
        middle: Float64Array = np.median((hinted, other, told), axis=0)
        return middle
    sure = _SURE if other[1] > mouth else _SURE_ABOVE_MOUTH
    return other if outline.confidence[_NUMBER] > sure else told


def _mix(mask: BoolArray, neck: Float64Array, outline: BodyReading, hinted: Float64Array) -> Float64Array:
    """The mean of BlazePose's neck and the outline's where both are near each other."""
    other = outline.landmarks[_NUMBER, :2].astype(np.float64)
    height = float(np.ptp(np.flatnonzero(mask.any(axis=1)))) / len(mask)
    if outline.confidence[_NUMBER] > 0.5 and np.linalg.norm(hinted - other) < _NEAR * height:
        return _HINT_WEIGHT * hinted + (1 - _HINT_WEIGHT) * other
    return neck
