"""What a face tells of the body below it, and whether BlazePose saw the same one."""

from __future__ import annotations

import numpy as np

from ..figure import LANDMARKS
from ..figure.face import Face
from ..figure.pose_landmarks import PoseLandmarks
from ..types import Float64Array
from .pose_hints import PoseHints

_ACROSS, _ABOVE, _BELOW = 0.45, -0.12, 0.55
"""Where BlazePose's mouth may lie from the face's center, in its widths and heights."""
_SURE, _TURNED_AWAY = 0.55, -0.05
"""Confidence of a face that few backs of heads get, and backs are rarer than faces that BlazePose takes for
them; its left eye from its right one, to the viewer's right, in widths of the face, if it sees a back."""
_FRONTAL = 0.25
"""Distance of the nose from the middle between the ears, in distances of the ears, in a face that is turned
aside by less than a third."""
MOUTH, NECK, CHEST = 0.25, 0.48, 1.1
"""Below the face's center, in heights of the face: its mouth, the neck, and what is lower than any neck."""


def fits_face(pose: PoseLandmarks, face: Face) -> bool:
    """Whether BlazePose's mouth lies in the face, its shoulders below the mouth, and it sees no back."""
    mouth, shoulders = pose.points[[9, 10], :2].mean(axis=0), pose.points[[11, 12], :2].mean(axis=0)
    x, y = (mouth - face.center) / (2 * face.radii)
    below = (shoulders[1] - face.center[1]) / (2 * face.radii[1])
    eyes = (pose.points[2, 0] - pose.points[5, 0]) / (2 * face.radii[0])
    if face.confidence > _SURE and eyes < _TURNED_AWAY:
        return False
    return bool(abs(x) < _ACROSS and _ABOVE < y < _BELOW and below > MOUTH)


def faces_viewer(face: Face) -> bool:
    """Whether the nose lies between the ears, as it does in no face seen from its side."""
    nose, right, left = face.points[[2, 4, 5], 0]
    return bool(abs(nose - 0.5 * (right + left)) < _FRONTAL * abs(left - right))


def read_face(face: Face) -> PoseHints:
    """Head and neck of a figure of which only the face is known."""
    landmarks, confidence = np.zeros((len(LANDMARKS), 2), np.float32), np.zeros(len(LANDMARKS), np.float32)
    for name, below in (("head", 0.0), ("neck", NECK)):
        landmarks[LANDMARKS.index(name)] = place_below(face, below)
        confidence[LANDMARKS.index(name)] = face.confidence
    return PoseHints(landmarks, confidence, 0.0, (*face.center, *face.radii), place_below(face, MOUTH)[1])


def place_below(face: Face, heights: float) -> Float64Array:
    """x and y of the place so many heights of the face below its center."""
    return np.array((face.center[0], face.center[1] + heights * 2 * face.radii[1]), np.float64)
