"""Which way a body stands: its left, up and front, judged by what bodies look like from their own frame.

Every frame along the axes, and those of the best mirror planes between them, is described (profile.py) and
scored by a conditional logit model (McFadden, 1974), which training/orientation.py fits to figures whose
frame is known.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..conventions import AXES, FORWARD, UP
from ..types import Float64Array, IntArray
from .profile import BodyPoints

_STANDING = np.stack((np.cross(UP, FORWARD), UP, FORWARD))
_EXPECTED = {("+Y", "+Z"): 2.3, ("+Z", "-Y"): 1.5}
_UPRIGHT, _STATED = 1.0, 5.0
"""Added to the scores of frames by (up, front), as figures stand like that in most files: glTF's frame and
that of programs in which +Z is up; others in which +Y is up; glTF's alone where the format states it."""
_BETWEEN_PENALTY = 2.0
"""Taken off the score of frames between the axes."""
_MIN_FIGURE_SCORE = -0.5
"""Of a figure; 95 % of the figures and 10 % of other things are above."""
_MAX_ASYMMETRY_RATIO = 0.7
"""A mirror plane between the axes is believed if the body is that much more symmetric there."""
_YAW_STEP, _YAW_FINE_STEP, _MIN_YAW = 5, 1, 8
"""Degrees."""
_LIMIT = 3.0
"""Standardized values are cut off here, in either direction."""


@dataclass(frozen=True, eq=False)
class BodyFrame:
    """rows: (3, 3) unit vectors left, up and front. is_figure: whether the body looks like one in it."""

    rows: Float64Array
    is_figure: bool

    @property
    def is_standing(self) -> bool:
        """Whether it is the frame in which meshes should stand."""
        return bool(np.allclose(self.rows, _STANDING))


def axis_to_vector(axis: str) -> Float64Array:
    """Return the unit vector (3,) of one of AXES."""
    vector = np.zeros(3)
    vector["XYZ".index(axis[1])] = 1.0 if axis[0] == "+" else -1.0
    return vector


def list_axis_frames() -> Float64Array:
    """Return (24, 3, 3), all frames along the axes; the first is the one in which meshes should stand."""
    vectors = [axis_to_vector(axis) for axis in AXES]
    frames = [make_frame(up, front) for up in vectors for front in vectors if up @ front == 0]
    return np.stack(sorted(frames, key=lambda frame: -np.trace(frame)))


def snap_to_axes(turn: Float64Array) -> Float64Array:
    """Return the one of `list_axis_frames` (3, 3) that is nearest to a rotation (3, 3)."""
    frames = list_axis_frames()
    return np.asarray(frames[np.einsum("nij,ij->n", frames, turn).argmax()])


def make_frame(up: Float64Array, front: Float64Array) -> Float64Array:
    """Return left, up and front as rows (3, 3)."""
    return np.stack((np.cross(up, front), up, front))


def find_frame(
    positions: Float64Array,
    faces: IntArray,
    *,
    up: str = "auto",
    front: str = "auto",
    is_stated: bool = False,
) -> BodyFrame:
    """Find the frame of a body, among those with that `up` and `front`, each one of AXES or auto.

    is_stated: whether its file's format says that it stands as it should.
    """
    body = BodyPoints(positions, faces)
    frames = _keep_given(list_axis_frames(), up, front)
    scores = np.array([score_frame(body, frame) + _expect(frame, is_stated) for frame in frames])
    if front == "auto":
        between = [frame for axis in _best_ups(frames, scores) for frame in _list_frames_between(body, axis)]
        found = [score_frame(body, frame) + _expect(frame, is_stated) - _BETWEEN_PENALTY for frame in between]
        frames, scores = (
            np.concatenate((frames, np.array(between).reshape(-1, 3, 3))),
            np.append(scores, found),
        )
    best = int(np.argmax(scores))
    return BodyFrame(frames[best], is_figure(body, frames[best]))


def score_frame(body: BodyPoints, frame: Float64Array) -> float:
    """Return how much a body looks like one that stands in this frame (3, 3)."""
    return float(score_described(body.describe(frame)))


def score_described(described: Float64Array) -> Float64Array:
    """Return how much a body looks like one that stands in the frames of descriptions (..., 57)."""
    model = _read_model()
    return np.asarray(standardize(described, model) @ model["weights"])


def is_figure(body: BodyPoints, frame: Float64Array) -> bool:
    """Whether a body looks like a figure in its best frame (3, 3)."""
    model = _read_model()
    *weights, constant = model["figure_weights"]
    return bool(standardize(body.describe(frame), model) @ weights + constant >= _MIN_FIGURE_SCORE)


def standardize(described: Float64Array, model: Mapping[str, Float64Array] | None = None) -> Float64Array:
    """Return standardized values and their squares, (..., 114), of descriptions (..., 57).

    model: mean and spread (57,); by default those of the frame model.
    """
    model = model or _read_model()
    seen = np.clip((described - model["mean"]) / model["spread"], -_LIMIT, _LIMIT)
    return np.concatenate((seen, seen**2), axis=-1)


@functools.cache
def _read_model() -> Mapping[str, Float64Array]:
    """mean, spread: (57,). weights: (114,) of standardized values. figure_weights: (115,) with constant."""
    text = Path(__file__).with_name("frame_model.json").read_text(encoding="utf-8")
    return {name: np.array(values) for name, values in json.loads(text).items()}


def read_weights() -> Float64Array:
    """Return the weights (114,) by which frames are scored."""
    return _read_model()["weights"]


def _expect(frame: Float64Array, is_stated: bool) -> float:
    """What is added to the score of a frame (3, 3)."""
    if is_stated:
        return _STATED if np.allclose(frame, _STANDING) else 0.0
    for (up, front), bonus in _EXPECTED.items():
        if np.allclose(frame[1:], (axis_to_vector(up), axis_to_vector(front))):
            return bonus
    return _UPRIGHT if np.allclose(frame[1], UP) else 0.0


def _keep_given(frames: Float64Array, up: str, front: str) -> Float64Array:
    for row, axis in ((1, up), (2, front)):
        if axis != "auto":
            frames = frames[frames[:, row] @ axis_to_vector(axis) > 0.5]
    return frames


def _best_ups(frames: Float64Array, scores: Float64Array) -> Iterable[Float64Array]:
    """The up vectors (3,) of the best frame, and of the best one along another axis."""
    best = frames[np.argmax(scores), 1]
    yield best
    others = np.abs(frames[:, 1] @ best) < 0.5
    if others.any():
        yield frames[others][np.argmax(scores[others]), 1]


def _list_frames_between(body: BodyPoints, up: Float64Array) -> list[Float64Array]:
    """The frames around an axis whose mirror plane lies between the other axes, if there is such a plane."""
    start = np.roll(up, 1)

    def turned(degrees: float) -> Float64Array:
        angle = np.radians(degrees)
        return np.cos(angle) * start + np.sin(angle) * np.cross(up, start)

    def asymmetry(degrees: float) -> float:
        return body.measure_asymmetry(turned(degrees))

    along = min(asymmetry(0), asymmetry(90))
    best = min(range(0, 180, _YAW_STEP), key=asymmetry)
    best = min(range(best - _YAW_STEP + 1, best + _YAW_STEP, _YAW_FINE_STEP), key=asymmetry)
    if abs((best + 45) % 90 - 45) < _MIN_YAW or asymmetry(best) > _MAX_ASYMMETRY_RATIO * along:
        return []
    flipped = up if up.sum() > 0 else -up
    return [
        make_frame(sign * flipped, turned(best + quarter))
        for sign in (1, -1)
        for quarter in (0, 90, 180, 270)
    ]
