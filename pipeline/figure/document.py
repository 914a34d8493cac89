"""A figure's landmarks as JSON that a person can read and correct."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeGuard

from ..errors import PictureError
from .figure import LANDMARKS, Figure

_AXES = ("x", "y", "depth")
UNITS = ("shares", "pixels")
"""What corrections count in: shares of the framed picture's side, or pixels of the picture as given."""
FRAME = ("frame_left", "frame_top", "frame_side")
"""Metrics of a framed picture, and of its figure: which square of the given picture it is, in its pixels."""


_RANGES = {
    "shares": "x and y in 0..1 and the depth in -1..1",
    "pixels": "numbers of pixels of the picture",
}


def describe_figure(
    figure: Figure, side: float = 1.0, corner: tuple[float, float] = (0.0, 0.0)
) -> dict[str, Any]:
    """Return kind, yaw, source, boxes, landmarks by name and warnings as plain JSON types.

    side: of the framed picture, in the unit of the lengths that are wanted; 1 gives shares. corner: x and y
    of its upper left corner in the same unit.
    """
    x, y = corner
    points = zip(LANDMARKS, figure.landmarks, figure.confidence, strict=True)
    return {
        "kind": figure.kind,
        "yaw": round(figure.yaw, 1),
        "source": figure.source,
        "box": _scale(figure.box, side, (x, y, x, y)),
        "head_box": _scale(figure.head_box, side, (x, y, x, y)),
        "face": None if figure.face is None else _scale(figure.face, side, (x, y, 0.0, 0.0)),
        "landmarks": {
            name: dict(zip(_AXES, _scale(point, side, (x, y, 0.0)), strict=True))
            | {"confidence": round(float(trust), 3)}
            for name, point, trust in points
        },
        "warnings": list(figure.warnings),
    }


def _scale(values: Any, side: float, start: tuple[float, ...]) -> list[float]:
    return [round(float(value * side + first), 4) for value, first in zip(values, start, strict=True)]


def correct_figure(figure: Figure, corrections: str) -> Figure:
    """Return the figure with landmarks moved to where `corrections` says; a moved one is certain,
    and its depth where one is given.

    corrections: a JSON object, landmark name -> [x, y] or [x, y, depth]. `unit` in it is one of UNITS, shares
    if it is left out. Empty text changes nothing. PictureError: no such JSON, landmark or place.
    """
    if not corrections.strip():
        return figure
    moved = parse_corrections(corrections)
    unit = moved.pop("unit", UNITS[0])
    landmarks, confidence = figure.landmarks.copy(), figure.confidence.copy()
    depth_confidence = figure.depth_confidence.copy()
    for name, place in moved.items():
        number, shares = LANDMARKS.index(name), _to_shares(figure, place) if unit == "pixels" else place
        if not _is_place(shares):
            raise PictureError(f"{name}: {place!r} lies outside the framed picture")
        landmarks[number, : len(place)] = shares
        confidence[number] = 1.0
        if len(place) == len(_AXES):
            depth_confidence[number] = 1.0
    return replace(
        figure,
        landmarks=landmarks,
        confidence=confidence,
        depth_confidence=depth_confidence,
        source="hand",
    )


def _to_shares(figure: Figure, place: Sequence[float]) -> list[float]:
    """Pixels of the given picture as shares of the framed one's side."""
    if not figure.metrics.keys() >= set(FRAME):
        raise PictureError("the figure does not say where its frame is; give shares in place of pixels")
    left, top, side = (figure.metrics[name] for name in FRAME)
    return [(value - start) / side for value, start in zip(place, (left, top, 0.0), strict=False)]


def parse_corrections(corrections: str) -> dict[str, Any]:
    """Read corrections, which are not empty; PictureError as of correct_figure."""
    try:
        document = json.loads(corrections)
    except (ValueError, RecursionError) as error:
        raise PictureError(f"the corrections are not JSON: {error}") from None
    if not isinstance(document, dict):
        raise PictureError(f'expected landmarks by name, such as {{"neck": [0.5, 0.3]}}; found {document!r}')
    if (unit := document.get("unit", UNITS[0])) not in UNITS:
        raise PictureError(f"unit: expected {' or '.join(UNITS)}; found {unit!r}")
    wanted = "[x, y] or [x, y, depth], " + _RANGES[unit]
    for name, place in document.items():
        if name == "unit":
            continue
        if name not in LANDMARKS:
            raise PictureError(f"there is no landmark {name!r}; there are {', '.join(LANDMARKS)}")
        if not (_is_place(place) if unit == UNITS[0] else _are_numbers(place)):
            raise PictureError(f"{name}: expected {wanted}; found {place!r}")
    return document


def _are_numbers(place: object) -> TypeGuard[list[float]]:
    if not isinstance(place, list) or len(place) not in (2, 3):
        return False
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in place)
    return numbers and all(math.isfinite(value) for value in place)


def _is_place(place: object) -> bool:
    if not _are_numbers(place):
        return False
    return all(0 <= value <= 1 for value in place[:2]) and all(-1 <= value <= 1 for value in place[2:])
