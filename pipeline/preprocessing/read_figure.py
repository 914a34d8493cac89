"""Read the figure of a framed picture: from its outline, with BlazePose's points where they are known."""

from __future__ import annotations

import numpy as np
import torch

from ..device import CPU
from ..figure import LANDMARKS, PARTS, Figure
from ..figure.network import BodyReading, read_body
from ..figure.pose_landmarks import PoseLandmarks
from ..types import BoolArray, Float64Array, FloatArray, FramedPicture
from .figure_kind import classify_kind, describe_kind
from .pose_hints import PoseHints, find_narrowest, read_pose

_AGREED = 0.06
"""Distance of the two readings of a landmark, as a share of the figure's height, up to which they agree."""
_HINT_WEIGHT, _OVERRULES = 0.7, 0.7
"""Weight of BlazePose's landmark where both agree; where not, the share of the other's confidence that it
needs: it sees the limbs before the trunk, which the outline hides."""
_HINT_NECK, _NEAR_NECK, _TOWARDS_HEAD = 0.6, 0.1, 0.35
"""Weight of BlazePose's neck beside the outline's, if they are as near as this share of the height; where the
chin is looked for, from the neck to the middle of the head."""
_SOME_TRUST = 0.3
"""Largest confidence of BlazePose's landmarks below which it has found no one."""
_TRUNK = ("head", "neck", "pelvis", "left_shoulder", "right_shoulder", "left_hip", "right_hip")
_CONTRADICTED, _LESS_SURE = 0.12, 0.1
"""Distance of the two trunks, as a share of the height, from which they contradict each other, and how much
less sure a reading with hints must be for them to be dropped."""
_HEAD_PARTS = tuple(PARTS.index(name) for name in ("head", "hair"))
_ABOVE_CHIN = 1.15
"""Half width of the head box at most, in heights of the head from crown to neck."""


def read_figure(
    picture: FramedPicture, pose: PoseLandmarks | None = None, *, device: torch.device = CPU
) -> Figure:
    """Read kind, landmarks, head and parts of the subject of `picture`.

    pose: BlazePose's points in the pixels of `picture`; None reads the outline alone.
    """
    mask, side = picture.mask, len(picture.rgba)
    box = _find_box(mask, side)
    outline = body = read_body(picture.rgba[..., 3], device=device)
    hints = None if pose is None else read_pose(pose, mask)
    if hints is not None and hints.confidence.max() > _SOME_TRUST:
        points = hints.landmarks / side
        hinted = read_body(picture.rgba[..., 3], points, hints.confidence, device=device)
        if _contradicts(body, hinted, points, hints.confidence, box[3] - box[1]):
            hints = None
        else:
            body = hinted
    else:
        hints = None
    landmarks, confidence = _merge(body, hints, side, box[3] - box[1])
    landmarks[LANDMARKS.index("neck"), :2] = _find_neck(mask, landmarks, outline, hints, box[3] - box[1])
    head_box = _find_head_box(mask, body, landmarks, box)
    kind = classify_kind(mask, landmarks, confidence, hints, pose)
    return Figure(
        kind=kind,
        landmarks=landmarks,
        confidence=confidence,
        box=box,
        head_box=head_box,
        parts=body.parts,
        face=_scale_face(hints, side),
        yaw=0.0 if hints is None else hints.yaw,
        source="outline" if hints is None else "blazepose",
        warnings=(*picture.warnings, *describe_kind(kind)),
        metrics={"landmark_confidence": float(confidence.mean())},
    )


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
        elif trust > _OVERRULES * confidence[number]:
            landmarks[number, :2], confidence[number] = hint, trust * 0.8
    return landmarks, confidence


def _find_neck(
    mask: BoolArray, landmarks: FloatArray, outline: BodyReading, hints: PoseHints | None, height: float
) -> Float64Array:
    """x and y of the neck: where it is narrowest, or the mean of both readings where hair hides it."""
    side, number = len(mask), LANDMARKS.index("neck")
    points = {name: landmarks[LANDMARKS.index(name), :2].astype(np.float64) for name in LANDMARKS}
    shoulders = (points["left_shoulder"] + points["right_shoulder"]) / 2
    neck = points["neck"]
    above = neck + _TOWARDS_HEAD * (points["head"] - neck)
    if hints is not None and hints.confidence[number] > 0.5:
        above = np.array((hints.landmarks[number, 0], hints.chin)) / side
        hinted, other = hints.landmarks[number] / side, outline.landmarks[number, :2]
        if outline.confidence[number] > 0.5 and np.linalg.norm(hinted - other) < _NEAR_NECK * height:
            neck = _HINT_NECK * hinted + (1 - _HINT_NECK) * other
    narrow = find_narrowest(mask, above * side, shoulders * side)
    return neck if narrow is None else narrow / side


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


def _scale_face(hints: PoseHints | None, side: int) -> tuple[float, float, float, float] | None:
    if hints is None or hints.confidence[LANDMARKS.index("head")] < 0.5:
        return None
    x, y, across, tall = hints.face
    return x / side, y / side, across / side, tall / side
