"""What BlazePose reads in a picture: 33 body points."""

from __future__ import annotations

from typing import NamedTuple

from ..types import FloatArray


class PoseLandmarks(NamedTuple):
    """The points of one figure, in MediaPipe's order (nose, eyes, ears, mouth, shoulders ... toes).

    points: (33, 3) x, y and z in pixels of the picture that was read, z away from the viewer and 0 at the
    hips. visibility, presence: (33,) 0..1. world: (33, 3) meters around the hips, y down, z away.
    confidence: 0..1, that there is a person at all.
    """

    points: FloatArray
    visibility: FloatArray
    presence: FloatArray
    world: FloatArray
    confidence: float
