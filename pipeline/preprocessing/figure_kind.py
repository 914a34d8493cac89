"""Tell how a figure stands in its picture, and say what that means for the result."""

from __future__ import annotations

import numpy as np

from ..figure import LANDMARKS, PARTS, shows_soles
from ..figure.face import Face
from ..figure.pose_landmarks import PoseLandmarks
from ..types import BoolArray, FloatArray, IntArray
from .pose_hints import measure_yaw

_TURNED, _SIDEWAYS, _AWAY = 25.0, 62.0, 130.0
"""Degrees of yaw from which a figure counts as three-quarter, side and back view."""
_SIDE_OUTLINE = 50.0
"""The same of a side view that only the outline shows, which makes turns out smaller than they are. Where no
face is seen either, what is turned at all is seen from its side, unless both arms are seen."""
_BOTH_ARMS = 0.02
"""Share of the figure that the lesser of two arms covers from which on both are seen."""
_SURE_OF_BACK, _TWISTED = 0.9, 40.0
"""Confidence of the points from which, and degrees from shoulders to hips up to which, a back is believed:
cartoon faces are often taken for one."""
_SITTING, _SHORT_THIGH, _KNEES_SEEN = 55.0, 0.4, 0.7
"""Degrees off the vertical of both thighs in space; their height in the picture, in shins; visibility."""
_FORWARD = 0.01
"""Share of the side by which the outline has the knees before the hips where BlazePose may see one sit."""
_SPREAD, _RAISED = 0.3, 0.5
"""Length in shins that thighs have at least, and share of it that their knees are raised at most, if they
point aside only: short legs of toys may be read as knees beside their hips."""
_UNSEEN, _HIPS_SEEN, _HEAD_SEEN, _NO_ANKLE = 0.2, 0.3, 0.4, 0.3
"""Confidence below which no ankle is in the picture, and from which hips and neck are; visibility below which
a sure BlazePose sees no ankle."""
_STRAIGHT, _FLAT, _HEAD_ALONE = 0.006, 0.4, 0.58
"""How far from its lowest row a cut reaches, as a share of the height; share of the width that a cut has at
least; share of the height that the face of a head alone has."""
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
    yaw: float,
    pose: PoseLandmarks | None,
    face: Face | None,
    *,
    parts: IntArray | None = None,
    is_faceless: bool = False,
) -> str:
    """Return one of KINDS for landmarks (20, 3) in shares, from all readings.

    parts: (N, N), see Figure; None if they are not known. is_faceless: no face was seen, though it was looked
    for.
    """
    has_head = face is not None or _read(confidence, "neck") > _HEAD_SEEN
    if has_head and (cropped := _find_crop(mask, confidence, pose, face)) is not None:
        return cropped
    if float(np.median(confidence)) < _NO_FORM:
        return "other"
    if pose is not None and abs(yaw) > _AWAY:
        return "back"
    # Soles of a toy with a face; machines without one have large feet that they stand on.
    has_soles = pose is None and face is not None and parts is not None and shows_soles(parts)
    if _is_sitting(landmarks, confidence, pose) or has_soles:
        return "sitting"
    hides_arm = is_faceless and (parts is None or not _shows_both_arms(parts))
    sideways = _SIDEWAYS if pose is not None else _TURNED if hides_arm else _SIDE_OUTLINE
    return "side" if abs(yaw) > sideways else "three_quarter" if abs(yaw) > _TURNED else "front"


def is_doubtful_back(pose: PoseLandmarks) -> bool:
    """Whether BlazePose sees a back, but is unsure of it, or turns shoulders and hips apart."""
    if abs(measure_yaw(pose.world)) < _AWAY:
        return False
    shoulders, hips = _measure_yaws(pose.world)
    apart = abs((shoulders - hips + 180) % 360 - 180)
    return apart > _TWISTED or pose.confidence < _SURE_OF_BACK


def is_sideways(yaw: float) -> bool:
    """Whether a body turned by so many degrees is seen from its side."""
    return _SIDEWAYS < abs(yaw) < 180 - _SIDEWAYS


def estimate_yaw(landmarks: FloatArray) -> float:
    """Degrees that shoulders and hips of landmarks (20, 3) are turned to the figure's own left."""
    places = {name: landmarks[LANDMARKS.index(name)] for name in LANDMARKS}
    across = sum(places[f"left_{name}"] - places[f"right_{name}"] for name in ("shoulder", "hip"))
    return float(np.degrees(np.arctan2(-across[2], across[0])))


def describe_kind(kind: str) -> tuple[str, ...]:
    """What a person should know about a picture of this kind; nothing for a figure that faces the viewer."""
    return (_WARNINGS[kind],) if kind in _WARNINGS else ()


def _find_crop(
    mask: BoolArray, confidence: FloatArray, pose: PoseLandmarks | None, face: Face | None
) -> str | None:
    """`bust` or `half_body` if the figure ends in a cut and no ankles are seen, or is a head alone."""
    trust = {
        name: max(_read(confidence, f"{side}_{name}") for side in ("left", "right"))
        for name in ("ankle", "hip")
    }
    height = np.ptp(np.flatnonzero(mask.any(axis=1))) + 1
    is_head = face is not None and 2 * face.radii[1] > _HEAD_ALONE * height
    unseen = trust["ankle"] < _UNSEEN
    if pose is not None and pose.confidence > _SURE_OF_BACK:
        unseen |= float(pose.visibility[[27, 28]].max()) < _NO_ANKLE
    if not unseen or not (is_head or _measure_cut(mask) > _FLAT):
        return None
    return "bust" if trust["hip"] < _HIPS_SEEN else "half_body"


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


def _shows_both_arms(parts: IntArray) -> bool:
    lesser = min(int((parts == PARTS.index(f"{side}_arm")).sum()) for side in ("left", "right"))
    return lesser > _BOTH_ARMS * int((parts > 0).sum())


def _is_sitting(landmarks: FloatArray, confidence: FloatArray, pose: PoseLandmarks | None) -> bool:
    """Whether both thighs point forward or aside, by landmarks (20, 3) or by BlazePose."""
    hips, knees, ankles = (
        landmarks[[LANDMARKS.index(f"{side}_{name}") for side in ("left", "right")]]
        for name in ("hip", "knee", "ankle")
    )
    seen = np.array([_read(confidence, f"{side}_knee") > _UNSEEN for side in ("left", "right")])
    is_forward = (knees - hips)[:, 2].mean() >= _FORWARD
    spread = is_forward | _are_spread(knees - hips, ankles - knees)
    if (_point_aside(knees - hips, hips, knees, ankles) & seen & spread).all():
        return True
    if pose is None or not is_forward:
        return False
    hips, knees, ankles = (pose.points[[left, left + 1]] for left in (23, 25, 27))
    seen = pose.visibility[[25, 26]] > _KNEES_SEEN
    thighs = pose.world[[25, 26]] - pose.world[[23, 24]]
    return bool((_point_aside(thighs, hips, knees, ankles) & seen).all())


def _are_spread(thighs: FloatArray, shins: FloatArray) -> BoolArray:
    """Whether thighs (2, 3) are long beside shins (2, 3), and do not point up."""
    lengths, others = np.linalg.norm(thighs, axis=1), np.linalg.norm(shins, axis=1)
    spread: BoolArray = (lengths > _SPREAD * others) & (thighs[:, 1] > -_RAISED * lengths)
    return spread


def _point_aside(thighs: FloatArray, hips: FloatArray, knees: FloatArray, ankles: FloatArray) -> BoolArray:
    """Whether thighs (2, 3) are far off the vertical in space, and short in the picture; all (2, 3)."""
    down = thighs[:, 1] / np.maximum(np.linalg.norm(thighs, axis=1), 1e-6)
    tilted = np.degrees(np.arccos(np.clip(down, -1.0, 1.0))) > _SITTING
    short: BoolArray = knees[:, 1] - hips[:, 1] < _SHORT_THIGH * (ankles[:, 1] - knees[:, 1])
    return tilted & short
