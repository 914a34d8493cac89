"""From a picture and the mask of a figure in it to the figure's body points."""

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
    square = find_square(mask > 0.5, _AROUND) if face is None else _place_square(face)
    picture = cut_square(rgb, mask, square, _SIDE)
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


def _place_square(face: Face) -> Square:
    """The square around a person who has this face."""
    side = _FACES * 2 * float(face.radii[1])
    return Square(float(face.center[0]) - side / 2, float(face.center[1]) - _FACE_AT * side, side)
