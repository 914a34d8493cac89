"""From a picture and the mask of a figure in it to the figure's face.

The network sees faces of a tenth to all of its square: it looks at the whole figure, and at the upper half,
and at each also in a mirror, where what it mistakes for a face or puts in the wrong place is often elsewhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit

from ...pipeline.figure.face import Face
from ...pipeline.figure.square import Square
from ...pipeline.types import BoolArray, Float64Array, FloatArray
from ..figure_square import cut_square, find_square
from ..network_files import PublishedNetwork, read_tflite, run_network

_SIDE = 128
_GRIDS = ((16, 2), (8, 6))
"""Cells across the square, and faces that the network may find in each."""
_VALUES = 16
"""Of each face: its center, width and height, and x and y of both eyes, nose, mouth and both ears."""
_ACROSS = (0, *range(4, _VALUES, 2))
_MIRRORED = (0, 1, 2, 3, 6, 7, 4, 5, 8, 9, 10, 11, 14, 15, 12, 13)
"""Which of them are x; for each that of the other side."""
_AROUND, _UPPER = 1.1, 0.55
"""Side of the first square, in sides of the figure's box; of the second, in 1.2 heights of the box."""
_HAT = 0.2
"""Share of the box's height in whose middle, from the top, the second look is centered."""
_POSSIBLE, _SAME = 0.25, 0.3
"""Score of what may be a face; share of their union that both boxes cover if they are one face."""
_BOTH, _NEAR, _FAR = 1.07, 0.6, 0.7
"""Scores that are believed, each the mean of a look and that in the mirror: both looks together; the first
alone where the face is too large for the second; the second alone where it is too small for the first."""
_LARGE, _SMALL = 0.45, 0.15
"""Shares of the figure's height."""
_MEMORY = 50 << 20

NETWORK = PublishedNetwork(
    file="face_detection_short_range.tflite",
    folder="blazeface",
    read=read_tflite,
    picture=(1, _SIDE, _SIDE, 3),
    outputs=((1, 896, _VALUES), (1, 896, 1)),
)


def find_face(model: Any, rgb: FloatArray, mask: FloatArray) -> Face | None:
    """Find the face of the figure in the picture `rgb` (H, W, 3); its mask is (H, W); both 0..1.

    model: from load_model. None if neither look shows one. PictureError if the mask is empty.
    """
    inside = mask > 0.5
    found = []
    for square in (find_square(inside, _AROUND), _find_upper_square(inside)):
        picture = cut_square(rgb, mask, square, _SIDE)
        found.append(_list_faces(model, picture, square))
        found.append(_mirror_faces(*_list_faces(model, picture[:, ::-1], square), square))
    values = np.concatenate([faces for faces, _ in found])
    scores = np.concatenate([scores for _, scores in found])
    look = np.repeat(np.arange(len(found)), [len(scores) for _, scores in found])
    height = float(np.ptp(np.flatnonzero(inside.any(axis=1)))) + 1
    best, most = None, 0.0
    for index in range(len(values)):
        same = _overlap(values, values[index]) > _SAME
        seen = [float(scores[same & (look == number)].max(initial=0)) for number in range(len(found))]
        first, second = sum(seen[:2]) / 2, sum(seen[2:]) / 2
        if first + second > most:
            most, best = first + second, np.average(values[same], axis=0, weights=scores[same])
            tall = best[3] / height
            is_seen = most > _BOTH or (first > _NEAR and tall > _LARGE) or (second > _FAR and tall < _SMALL)
    if best is None or not is_seen:
        return None
    return Face(best[:2].astype(np.float32), best[2:4] / 2, best[4:].reshape(6, 2), most / 2)


def _find_upper_square(mask: BoolArray) -> Square:
    rows = np.flatnonzero(mask.any(axis=1))
    height = int(rows[-1]) + 1 - int(rows[0])
    top = mask[rows[0] : rows[0] + max(1, round(_HAT * height))]
    side = 1.2 * _UPPER * height
    return Square(float(np.nonzero(top)[1].mean()) - side / 2, float(rows[0]) - 0.1 * _UPPER * height, side)


def _list_faces(model: Any, picture: FloatArray, square: Square) -> tuple[Float64Array, Float64Array]:
    """Faces (N, 16) in pixels of the whole picture, and their scores (N,). picture: (S, S, 3), the square."""
    values, logits = run_network(model, 2 * picture[None] - 1, _MEMORY)
    scores = expit(logits[0, :, 0].astype(np.float64))
    possible = scores > _POSSIBLE
    values = values[0, possible].astype(np.float64) / _SIDE
    values[:, :2] += _ANCHORS[possible]
    values[:, 4:] += np.tile(_ANCHORS[possible], 6)
    values *= square.side
    values[:, :2] += square[:2]
    values[:, 4:] += np.tile(square[:2], 6)
    return values, scores[possible]


def _mirror_faces(
    values: Float64Array, scores: Float64Array, square: Square
) -> tuple[Float64Array, Float64Array]:
    """The same faces where they are if the square that they were found in is mirrored."""
    axis = 2 * square.left + square.side
    mirrored = values[:, _MIRRORED]
    mirrored[:, _ACROSS] = axis - mirrored[:, _ACROSS]
    return mirrored, scores


def _place_anchors() -> Float64Array:
    """Centers (896, 2) of the cells, which the network's centers and points start from, in shares."""
    places = []
    for cells, faces in _GRIDS:
        rows, columns = (np.mgrid[:cells, :cells] + 0.5) / cells
        places.append(np.repeat(np.stack([columns, rows], axis=-1).reshape(-1, 2), faces, axis=0))
    return np.concatenate(places)


_ANCHORS = _place_anchors()


def _overlap(faces: Float64Array, face: Float64Array) -> Float64Array:
    """Shares of the union of each box of faces (N, 16) with that of one (16,) that both cover."""
    ends = [np.minimum(faces[:, :2] + faces[:, 2:4] / 2, face[:2] + face[2:4] / 2)]
    ends.append(np.maximum(faces[:, :2] - faces[:, 2:4] / 2, face[:2] - face[2:4] / 2))
    both = np.prod(np.maximum(ends[0] - ends[1], 0), axis=1)
    return both / (np.prod(faces[:, 2:4], axis=1) + np.prod(face[2:4]) - both)
