"""Read the figure of a framed picture: from its outline, with BlazePose's points where they are known."""

from __future__ import annotations

import numpy as np
import torch

from ..device import CPU
from ..figure import LANDMARKS, PARTS, Figure
from ..figure.document import FRAME
from ..figure.face import Face
from ..figure.network import BodyReading, crop_body, read_crop
from ..figure.pose_landmarks import PoseLandmarks
from ..types import BoolArray, FloatArray, FramedPicture, IntArray
from .doubts import FEET_OUTSIDE
from .face_features import find_features
from .face_hints import faces_viewer, fits_face, read_face
from .figure_kind import classify_kind, describe_kind, estimate_yaw, is_doubtful_back, is_sideways
from .neck import find_neck
from .pose_hints import PoseHints, read_pose
from .pose_parts import lies_elsewhere

_AGREED = 0.06
"""Distance of the two readings of a landmark, as a share of the figure's height, up to which they agree."""
_HINT_WEIGHT, _OVERRULES = 0.7, 0.7
"""Weight of BlazePose's landmark where both agree; where not, the share of the other's confidence that it
needs: it sees the limbs before the trunk, which the outline hides."""
_SURE_NECK = 0.6
"""Confidence of the outline's neck from which a face near it tells nothing new."""
_SOME_TRUST = 0.3
"""Confidence below which a landmark of BlazePose's overrules none, and all of them have found no one."""
_TRUNK = ("head", "neck", "pelvis", "left_shoulder", "right_shoulder", "left_hip", "right_hip")
_CONTRADICTED, _LESS_SURE = 0.12, 0.1
"""Distance of the two trunks, as a share of the height, from which they contradict each other, and how much
less sure a reading with hints must be for them to be dropped."""
_HEAD_PARTS = tuple(PARTS.index(name) for name in ("head", "hair"))
_ABOVE_CHIN = 1.15
"""Half width of the head box at most, in heights of the head from crown to neck."""
_BESIDE_FACE = 1.15
"""Half width of a head at least, in radii of its face."""


def read_figure(
    picture: FramedPicture,
    pose: PoseLandmarks | None = None,
    face: Face | None = None,
    *,
    device: torch.device = CPU,
) -> Figure:
    """Read kind, landmarks, head and parts of the subject of `picture`.

    pose, face: BlazePose's points and BlazeFace's face in the pixels of `picture`; None reads without.
    """
    mask, side = picture.mask, len(picture.rgba)
    box = _find_box(mask, side)
    height = box[3] - box[1]
    crop = crop_body(picture.rgba[..., 3], picture.rgba[..., :3])
    outline = body = read_crop(crop, device=device)
    hints = None if pose is None else _check_pose(pose, mask, face, outline.parts)
    told = hints if hints is not None or face is None else read_face(face)
    if told is not None and (hints is not None or _misses_face(outline, told, side, height)):
        points = told.landmarks / side
        body = read_crop(crop, points, told.confidence, device)
        if face is None and _contradicts(outline, body, points, told.confidence, height):
            hints, body = None, outline
    is_faceless = pose is not None and face is None
    if hints is None:
        pose = None
    landmarks, confidence = _merge(body, hints, side, height)
    landmarks[LANDMARKS.index("neck"), :2] = find_neck(mask, landmarks, outline, hints, face)
    head_box = _hold_face(_find_head_box(mask, body, landmarks, box), face, mask)
    yaw = estimate_yaw(body.landmarks) if hints is None else hints.yaw
    kind = classify_kind(
        mask, landmarks, confidence, yaw, pose, face, parts=body.parts, is_faceless=is_faceless
    )
    return Figure(
        kind=kind,
        landmarks=landmarks,
        confidence=confidence,
        box=box,
        head_box=head_box,
        parts=body.parts,
        face=_find_face(hints, face, side),
        yaw=yaw,
        source="outline" if hints is None else "blazepose",
        warnings=_list_warnings(picture, kind),
        metrics={"landmark_confidence": float(confidence.mean()), **_place_frame(picture)},
        face_features=_find_features(picture, face),
    )


def _place_frame(picture: FramedPicture) -> dict[str, float]:
    """Where the frame is in the picture as it was given, for corrections in its pixels."""
    return {name: picture.metrics[name] for name in FRAME if name in picture.metrics}


def _check_pose(pose: PoseLandmarks, mask: BoolArray, face: Face | None, parts: IntArray) -> PoseHints | None:
    """BlazePose's landmarks; None if it found no one, a doubtful back, or someone with another face or body.

    parts: (N, N), read without them.
    """
    hints = read_pose(pose, mask)
    if hints.confidence.max() <= _SOME_TRUST or is_doubtful_back(pose):
        return None
    if face is not None and (not fits_face(pose, face) or (is_sideways(hints.yaw) and faces_viewer(face))):
        return None
    return None if lies_elsewhere(hints, parts) else hints


def _misses_face(outline: BodyReading, told: PoseHints, side: int, height: float) -> bool:
    """Whether the outline's neck is unsure or far from where the face has it."""
    number = LANDMARKS.index("neck")
    apart = np.linalg.norm(told.landmarks[number] / side - outline.landmarks[number, :2]) / height
    return bool(apart > _AGREED or outline.confidence[number] < _SURE_NECK)


def _find_box(mask: BoolArray, side: int) -> tuple[float, float, float, float]:
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return columns[0] / side, rows[0] / side, (columns[-1] + 1) / side, (rows[-1] + 1) / side


def _contradicts(
    outline: BodyReading, hinted: BodyReading, points: FloatArray, trust: FloatArray, height: float
) -> bool:
    """Whether BlazePose's trunk is far from where the outline shows one, and makes the reading less sure.

    points: (20, 2) shares. trust: (20,). hinted: what the network reads when it is told them.
    """
    trunk = [LANDMARKS.index(name) for name in _TRUNK]
    weight = outline.confidence[trunk] * trust[trunk] + 1e-6
    apart = np.linalg.norm(outline.landmarks[trunk, :2] - points[trunk], axis=1) / height
    is_far = float(np.average(apart, weights=weight)) > _CONTRADICTED
    less_sure = float(outline.confidence[trunk].mean() - hinted.confidence[trunk].mean())
    return is_far and less_sure > _LESS_SURE


def _merge(
    body: BodyReading, hints: PoseHints | None, side: int, height: float
) -> tuple[FloatArray, FloatArray]:
    """Landmarks (20, 3) and confidence (20,): the mean where both readings agree, else the surer one."""
    landmarks, confidence = body.landmarks.copy(), body.confidence.copy()
    if hints is None:
        return landmarks, confidence
    for number in range(len(LANDMARKS)):
        hint, trust = hints.landmarks[number] / side, float(hints.confidence[number])
        apart = float(np.linalg.norm(hint - landmarks[number, :2])) / height
        if trust > 0 and apart < _AGREED:
            weight = _HINT_WEIGHT * trust
            landmarks[number, :2] += weight * (hint - landmarks[number, :2])
            confidence[number] = max(trust, float(confidence[number]))
        elif trust > max(_OVERRULES * confidence[number], _SOME_TRUST):
            landmarks[number, :2], confidence[number] = hint, trust * 0.8
    for name, other in (("left", "right"), ("right", "left")):
        ankle, toe, wrong = (
            LANDMARKS.index(part) for part in (f"{name}_ankle", f"{name}_toe", f"{other}_ankle")
        )
        own, others = np.linalg.norm(landmarks[[ankle, wrong], :2] - landmarks[toe, :2], axis=1)
        if own > others:  # a toe of the other foot
            foot = (hints.landmarks[toe] - hints.landmarks[ankle]) / side
            landmarks[toe, :2], confidence[toe] = landmarks[ankle, :2] + foot, confidence[ankle]
    return landmarks, confidence


def _find_head_box(
    mask: BoolArray, body: BodyReading, landmarks: FloatArray, box: tuple[float, float, float, float]
) -> tuple[float, float, float, float]:
    """Box of the head with its hair down to the neck, without hat, horns or ears."""
    crown, neck = (landmarks[LANDMARKS.index(name)] for name in ("crown", "neck"))
    size = len(body.parts)
    rows, columns = np.nonzero(np.isin(body.parts, _HEAD_PARTS))
    x, y = (columns + 0.5) / size, (rows + 0.5) / size
    near = (y < neck[1]) & (
        np.abs(x - landmarks[LANDMARKS.index("head"), 0]) < _ABOVE_CHIN * (neck[1] - crown[1])
    )
    if not near.any():
        half = 0.4 * (neck[1] - crown[1])
        return float(crown[0] - half), float(crown[1]), float(crown[0] + half), float(neck[1])
    return (
        float(np.quantile(x[near], 0.01)) - 0.5 / size,
        float(max(np.quantile(y[near], 0.01), box[1])),
        float(np.quantile(x[near], 0.99)) + 0.5 / size,
        float(neck[1]),
    )


def _hold_face(
    head_box: tuple[float, float, float, float], face: Face | None, mask: BoolArray
) -> tuple[float, float, float, float]:
    """The head box, as wide as its face needs and the subject is: a tall hat may pass for the head."""
    if face is None:
        return head_box
    (x, y), reach = face.center, _BESIDE_FACE * face.radii[0]
    columns = np.flatnonzero(mask[int(np.clip(y, 0, len(mask) - 1))])
    if not len(columns):
        return head_box
    left, right = (np.clip(end, columns[0], columns[-1] + 1) / len(mask) for end in (x - reach, x + reach))
    return min(head_box[0], float(left)), head_box[1], max(head_box[2], float(right)), head_box[3]


def _list_warnings(picture: FramedPicture, kind: str) -> tuple[str, ...]:
    """Those of the cut-out and of the kind; that the feet are missing is said once."""
    known = picture.warnings
    if kind in ("half_body", "bust"):
        known = tuple(warning for warning in known if warning != FEET_OUTSIDE)
    return (*known, *describe_kind(kind))


def _find_features(picture: FramedPicture, face: Face | None) -> FloatArray | None:
    found = None if face is None else find_features(picture.rgba[..., :3], face)
    return None if found is None else (found / len(picture.rgba)).astype(np.float32)


def _find_face(
    hints: PoseHints | None, face: Face | None, side: int
) -> tuple[float, float, float, float] | None:
    """BlazeFace's face, or else BlazePose's if it is sure of it; shares."""
    if face is not None:
        x, y, across, tall = *face.center, *face.radii
    elif hints is not None and hints.confidence[LANDMARKS.index("head")] >= 0.5:
        x, y, across, tall = hints.face
    else:
        return None
    return float(x / side), float(y / side), float(across / side), float(tall / side)
