"""What BlazeFace reads in a picture: the figure's face."""

from __future__ import annotations

from typing import NamedTuple

from ..types import FloatArray


class Face(NamedTuple):
    """A face, in pixels of the picture that was read.

    center, radii: (2,) x and y of its box, from the brows to the chin. points: (6, 2), the figure's right and
    left eye, its nose, its mouth, its right and left ear. confidence: 0..1.
    """

    center: FloatArray
    radii: FloatArray
    points: FloatArray
    confidence: float
