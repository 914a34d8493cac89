"""From a picture and the mask of a figure in it to the figure's body points.

The network looks twice, once in a mirror: of figures that it knows both readings are the same but for noise,
of others (mascots, robots, heads without a neck) each is another guess.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit

from ...pipeline.figure.face import Face
from ...pipeline.figure.pose_landmarks import PoseLandmarks
from ...pipeline.figure.square import Square
from ...pipeline.types import FloatArray
from ..figure_square import cut_square, find_square
from ..network_files import PublishedNetwork, read_tflite, run_network

_SIDE = 256
_POINTS, _HELPERS = 33, 6
"""The network also makes points that track the body in a video; they are left out."""
_AROUND = 1.2
"""Side of the square that is read, in sides of the figure's box."""
_FACES, _FACE_AT = 6.0, 0.2
"""Side of a square that is laid around a face, in its heights; where the face lies in it, from its top."""
_MIRRORED = [0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9] + [
    number + (1 if number % 2 else -1) for number in range(11, 33)
]
"""For each point that of the other side."""
_BODY = slice(11, 33)
_ALIKE, _UNLIKE = 0.05, 0.07
"""Mean distance of the body's points in both readings, in sides of the figure's box, up to which they are
believed as they are, and from which not at all."""
_POINT_ALIKE, _POINT_UNLIKE = 0.06, 0.12
"""The same of a single point."""
_MEMORY = 100 << 20

NETWORK = PublishedNetwork(
    file="pose_landmark_full.tflite",
    folder="blazepose",
    read=read_tflite,
    picture=(1, _SIDE, _SIDE, 3),
    outputs=((1, 5 * (_POINTS + _HELPERS)), (1, 3 * (_POINTS + _HELPERS)), (1, 1)),
)


def read_landmarks(model: Any, rgb: FloatArray, mask: FloatArray, face: Face | None = None) -> PoseLandmarks:
    """Read the body points of a figure in the picture `rgb` (H, W, 3); its mask is (H, W); both 0..1.

    model: from load_model. face: the figure's; the network then sees it where a person's face is in the
    square, whatever follows below it. Without, it sees the whole figure. The figure is put on plain gray
    first, which needs no detector. PictureError if the mask is empty.
    """
    whole = find_square(mask > 0.5, _AROUND)
    square = whole if face is None else _place_square(face)
    picture = cut_square(rgb, mask, square, _SIDE)
    seen, mirrored = _read_square(model, picture, square), _read_square(model, picture[:, ::-1], square)
    return _agree(seen, _mirror(mirrored, square), whole.side / _AROUND)


def _read_square(model: Any, picture: FloatArray, square: Square) -> PoseLandmarks:
    """The points that are seen in picture (S, S, 3), which shows the square of a larger one."""
    points, world, confidence = run_network(model, picture[None], _MEMORY)
    points = points.reshape(-1, 5)[:_POINTS]
    places = points[:, :3] * (square.side / _SIDE) + (square.left, square.top, 0)
    visibility, presence = expit(points[:, 3:].T)
    return PoseLandmarks(
        places.astype(np.float32),
        visibility,
        presence,
        world.reshape(-1, 3)[:_POINTS],
        float(confidence[0, 0]),
    )


def _mirror(pose: PoseLandmarks, square: Square) -> PoseLandmarks:
    """The same points where they are if the square is mirrored."""
    points, world = pose.points[_MIRRORED], pose.world[_MIRRORED]
    points[:, 0] = 2 * square.left + square.side - points[:, 0]
    world[:, 0] *= -1
    visibility, presence = pose.visibility[_MIRRORED], pose.presence[_MIRRORED]
    return PoseLandmarks(points, visibility, presence, world, pose.confidence)


def _agree(one: PoseLandmarks, other: PoseLandmarks, side: float) -> PoseLandmarks:
    """The mean of two readings of a figure whose box has such a side, as sure as they are alike."""
    apart = np.linalg.norm(one.points[:, :2] - other.points[:, :2], axis=1) / side
    seen = (one.visibility * one.presence * other.visibility * other.presence)[_BODY]
    alike = _fade(float(np.average(apart[_BODY], weights=seen + 1e-6)), _ALIKE, _UNLIKE)
    means = [(ours + theirs) / 2 for ours, theirs in zip(one[:4], other[:4], strict=True)]
    points, visibility, presence, world = means
    return PoseLandmarks(
        points,
        visibility * _fade(apart, _POINT_ALIKE, _POINT_UNLIKE),
        presence,
        world,
        (one.confidence + other.confidence) / 2 * float(alike),
    )


def _fade(apart: Any, most: float, least: float) -> FloatArray:
    """1 up to a distance of `most`, falling to 0 at `least`."""
    return np.clip((least - apart) / (least - most), 0.0, 1.0).astype(np.float32)


def _place_square(face: Face) -> Square:
    """The square around a person who has this face."""
    side = _FACES * 2 * float(face.radii[1])
    return Square(float(face.center[0]) - side / 2, float(face.center[1]) - _FACE_AT * side, side)
