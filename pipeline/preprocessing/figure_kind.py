"""Tell how a figure stands in its picture, and say what that means for the result."""

from __future__ import annotations

import numpy as np

from ..figure import LANDMARKS
from ..figure.pose_landmarks import PoseLandmarks
from ..types import BoolArray, FloatArray
from .pose_hints import PoseHints

_TURNED, _SIDEWAYS, _AWAY = 25.0, 62.0, 130.0
"""Degrees of yaw from which a figure counts as three-quarter, side and back view."""
_SURE_OF_BACK = 0.9
"""Confidence of the points from which a back is believed: cartoon faces are often taken for one."""
_SITTING, _SHORT_THIGH, _KNEES_SEEN = 55.0, 0.4, 0.7
"""Degrees off the vertical of both thighs in space; their height in the picture, in shins; visibility."""
_UNSEEN, _STRAIGHT, _FLAT = 0.3, 0.006, 0.45
"""Visibility below which ankles are not in the picture; how far from its lowest row a cut
reaches, as a share of the height; share of the width that a cut has at least."""
_LEGS = ("knee", "ankle", "toe")
_NO_FORM = 0.3
"""Mean confidence of the landmarks below which no human form was found."""

_WARNINGS = {
    "three_quarter": "the figure is turned to its side by about half: its far side is made up; a front view "
    "gives a better character",
    "side": "the figure is seen from its side: the other side and the front are made up; a picture from the "
    "front gives a better character",
    "back": "the figure is seen from behind: no face is made; use a picture from the front",
    "half_body": "the figure ends at its hips or thighs: it is modelled as far as the picture shows it; use "
    "a picture of the whole body for legs",
    "bust": "only head and chest are in the picture: they are modelled as a bust; use a picture of the whole "
    "body for arms and legs",
    "other": "no human form was found: the skeleton was placed by proportions; move landmarks with Edit "
    "Figure, or use a picture of a standing figure",
}


def classify_kind(
    mask: BoolArray,
    landmarks: FloatArray,
    confidence: FloatArray,
    hints: PoseHints | None,
    pose: PoseLandmarks | None,
) -> str:
    """Return one of KINDS for landmarks (20, 3) in shares, from both readings."""
    if float(np.median(confidence)) < _NO_FORM:
        return "other"
    if (cropped := _find_crop(mask, confidence, pose)) is not None:
        return cropped
    if hints is None or pose is None:
        return "front"
    shoulders, hips = _measure_yaws(pose.world)
    agree = abs((shoulders - hips + 180) % 360 - 180) < 40
    yaw = abs(hints.yaw)
    if yaw > _AWAY:
        return "back" if agree and pose.confidence > _SURE_OF_BACK else "front"
    if _is_sitting(pose):
        return "sitting"
    return "side" if yaw > _SIDEWAYS else "three_quarter" if yaw > _TURNED else "front"


def describe_kind(kind: str) -> tuple[str, ...]:
    """What a person should know about a picture of this kind; nothing for a figure that faces the viewer."""
    return (_WARNINGS[kind],) if kind in _WARNINGS else ()


def _find_crop(mask: BoolArray, confidence: FloatArray, pose: PoseLandmarks | None) -> str | None:
    """`bust` or `half_body` if the figure ends in a cut and no legs are seen above it."""
    trust = {
        name: max(_read(confidence, f"{side}_{name}") for side in ("left", "right"))
        for name in (*_LEGS, "hip")
    }
    unseen = max(trust[name] for name in _LEGS) < _UNSEEN
    if pose is not None and pose.confidence > _SURE_OF_BACK:
        unseen = float(pose.visibility[[27, 28]].max()) < _UNSEEN
    if not unseen or _measure_cut(mask) < _FLAT:
        return None
    return "bust" if trust["hip"] < _UNSEEN else "half_body"


def _read(confidence: FloatArray, name: str) -> float:
    return float(confidence[LANDMARKS.index(name)])


def _measure_cut(mask: BoolArray) -> float:
    """Width of what ends in the lowest rows, as a share of the subject's."""
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    lowest = len(mask) - 1 - np.argmax(mask[::-1, columns], axis=0)
    return float((lowest >= rows[-1] - max(1.0, _STRAIGHT * len(rows))).mean())


def _measure_yaws(world: FloatArray) -> tuple[float, float]:
    across = world[11] - world[12], world[23] - world[24]
    shoulders, hips = (float(np.degrees(np.arctan2(v[2], v[0]))) for v in across)
    return shoulders, hips


def _is_sitting(pose: PoseLandmarks) -> bool:
    """Whether both thighs point forward: far off the vertical in space, and short in the picture."""
    thighs, shins = (
        pose.world[[25, 26]] - pose.world[[23, 24]],
        pose.points[[27, 28], 1] - pose.points[[25, 26], 1],
    )
    down = thighs[:, 1] / np.maximum(np.linalg.norm(thighs, axis=1), 1e-6)
    tilted = np.degrees(np.arccos(np.clip(down, -1.0, 1.0))) > _SITTING
    short = pose.points[[25, 26], 1] - pose.points[[23, 24], 1] < _SHORT_THIGH * shins
    return bool((tilted & short & (pose.visibility[[25, 26]] > _KNEES_SEEN)).all())
