"""From a picture and the mask of a figure in it to the figure's body points."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from scipy.special import expit

from ...pipeline.errors import PictureError
from ...pipeline.figure.pose_landmarks import PoseLandmarks
from ...pipeline.types import BoolArray, FloatArray
from ..network_files import PublishedNetwork, read_tflite, run_network

_SIDE = 256
_POINTS, _HELPERS = 33, 6
"""The network also makes points that track the body in a video; they are left out."""
_AROUND = 1.2
"""Side of the square that is read, in sides of the figure's box."""
_STRAY = 0.005
"""Share of the mask's pixels to the left of the box, and to its right: ribbons and specks."""
_GRAY = 128
_MEMORY = 100 << 20

NETWORK = PublishedNetwork(
    file="pose_landmark_full.tflite",
    folder="blazepose",
    read=read_tflite,
    picture=(1, _SIDE, _SIDE, 3),
    outputs=((1, 5 * (_POINTS + _HELPERS)), (1, 3 * (_POINTS + _HELPERS)), (1, 1)),
)


class Square(NamedTuple):
    """A part of a picture, in its pixels; it may reach beyond the picture."""

    left: float
    top: float
    side: float


def read_landmarks(model: Any, rgb: FloatArray, mask: FloatArray) -> PoseLandmarks:
    """Read the body points of a figure in the picture `rgb` (H, W, 3); its mask is (H, W); both 0..1.

    model: from load_model. The figure is put on plain gray first, which needs no detector. PictureError if
    the mask is empty.
    """
    square = find_square(mask > 0.5)
    crop = _cut_square(rgb, mask, square)
    points, world, confidence = run_network(model, np.asarray(crop, np.float32)[None] / 255, _MEMORY)
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


def find_square(mask: BoolArray) -> Square:
    """The square around the mask (H, W), 1.2 times its longer side. PictureError if the mask is empty."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        raise PictureError("the mask is empty: there is no figure to read")
    share = np.cumsum(mask.sum(axis=0)) / mask.sum()
    left, right = np.searchsorted(share, (_STRAY, 1 - _STRAY)) + np.array((0, 1))
    top, bottom = rows[0], rows[-1] + 1
    side = _AROUND * max(right - left, bottom - top)
    return Square(float(left + right - side) / 2, float(top + bottom - side) / 2, float(side))


def _cut_square(rgb: FloatArray, mask: FloatArray, square: Square) -> Image.Image:
    """The square on gray, in the network's size."""
    gray = _GRAY / 255
    figure = Image.fromarray(np.rint((gray + mask[..., None] * (rgb - gray)) * 255).astype(np.uint8))
    reach = math.ceil(square.side / _SIDE) + 1  # of the resampling beyond the square
    left, top = math.floor(square.left) - reach, math.floor(square.top) - reach
    size = math.ceil(square.side) + 2 * reach + 1
    around = Image.new("RGB", (size, size), (_GRAY,) * 3)
    around.paste(figure, (-left, -top))
    x, y = square.left - left, square.top - top
    box = (x, y, x + square.side, y + square.side)
    return around.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, box=box)
