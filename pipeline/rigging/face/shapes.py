"""How the parts of a face move: fields of displacements over its front view.

All places and lengths are in distances of the eyes, from the middle between them; x to the character's left,
y up. The faces are painted on a surface without lids, lips or teeth: a lid closes by drawing what is around
the eye together, a mouth opens by drawing what is painted there apart. No field folds: along every line what
is before another point stays before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from ...types import Float64Array
from .place import FacePlace

Field = Callable[[Float64Array], Float64Array]
"""Points (N, 2) -> moves (N, 2)."""

_SIDES = {"Left": 1.0, "Right": -1.0}
_LID, _LID_LINE, _CLOSED = 1.7, -0.15, 0.88
"""What gives way around a closing eye, in half its width and height; where it closes, in half its height; how
much of its height is gone."""
_LOOK, _WIDE, _WIDEN = 0.3, 1.6, 0.25
"""How far an eye looks aside, in half its width; what widens, in half its width and height; by how much."""
_BROW_ABOVE, _BROW, _BROW_UP = 1.9, (0.4, 0.22), 0.08
"""Of the middle of a brow: how far it is above the eye, in half the eye's height; what moves, how far."""
_MOUTH, _CORNER = (2.3, 0.42), (0.36, 0.3)
"""What gives way around a mouth (half its width times as much, and height), and around a corner of it."""
_JAW_WIDTH, _LIP, _CHIN, _NECK = 0.95, 0.14, 0.4, 0.95
"""Half the width of what goes down with the jaw; below the mouth, where it begins and ends to go all the way,
and where the neck has given way."""


def list_shapes(place: FacePlace) -> dict[str, Field]:
    """Return the fields by name: VRM's five vowels, and ARKit's (Apple, ARFaceAnchor.BlendShapeLocation).

    Those of the mouth only where it was found.
    """
    shapes = {} if place.mouth is None else _list_mouth(place.mouth)
    inner = [_shift(_at_brow(place, sign, -0.15), _BROW, (0.0, _BROW_UP)) for sign in _SIDES.values()]
    shapes["browInnerUp"] = _add(inner)
    for name, sign in _SIDES.items():
        shapes |= {shape + name: field for shape, field in _list_eye(place, sign).items()}
    return shapes


def _list_eye(place: FacePlace, sign: float) -> dict[str, Field]:
    """The shapes of an eye and its brow; sign: +1 left, -1 right."""
    center, eye = np.array((0.5 * sign, 0.0)), place.eye
    lid = center + np.array((0.0, _LID_LINE * eye[1]))
    aside, up = _LOOK * eye[0], _LOOK * eye[1]
    return {
        "eyeBlink": _scale(lid, _LID * eye, (1.0, 1 - _CLOSED), 1 / _LID),
        "eyeWide": _scale(center, _WIDE * eye, (1.0, 1 + _WIDEN)),
        "eyeLookUp": _shift(center, eye, (0.0, up)),
        "eyeLookDown": _shift(center, eye, (0.0, -up)),
        "eyeLookIn": _shift(center, eye, (-sign * aside, 0.0)),
        "eyeLookOut": _shift(center, eye, (sign * aside, 0.0)),
        "browDown": _shift(_at_brow(place, sign, -0.08), _BROW, (0.0, -_BROW_UP)),
        "browOuterUp": _shift(_at_brow(place, sign, 0.12), _BROW, (0.0, _BROW_UP)),
    }


def _at_brow(place: FacePlace, sign: float, outwards: float) -> Float64Array:
    return np.array((sign * (0.5 + outwards), _BROW_ABOVE * place.eye[1]))


def _list_mouth(mouth: Float64Array) -> dict[str, Field]:
    center, half = mouth[:2], float(mouth[2])

    def shape(across: float, tall: float, jaw: float = 0.0) -> Field:
        return _add((_scale(center, (_MOUTH[0] * half, _MOUTH[1]), (across, tall)), _open_jaw(center, jaw)))

    shapes = {
        "aa": shape(0.95, 1.6, 0.1),
        "ih": shape(1.15, 1.2),
        "ou": shape(0.65, 1.15),
        "ee": shape(1.3, 0.95),
        "oh": shape(0.75, 1.5, 0.05),
        "jawOpen": _open_jaw(center, 0.12),
        "mouthFunnel": shape(0.75, 1.4),
        "mouthPucker": shape(0.6, 1.0),
    }
    for name, sign in _SIDES.items():
        corner = center + np.array((sign * half, 0.0))
        shapes[f"mouthSmile{name}"] = _shift(corner, _CORNER, (0.04 * sign, 0.08))
        shapes[f"mouthFrown{name}"] = _shift(corner, _CORNER, (0.0, -0.08))
    return shapes


def _fade(
    points: Float64Array, center: Float64Array, radii: npt.ArrayLike, core: float = 0.0
) -> Float64Array:
    """(N, 1) 1 within `core` of an ellipse's radii, falling to 0 at its edge, smoothly."""
    away = np.linalg.norm((points - center) / np.asarray(radii), axis=1, keepdims=True)
    share = np.clip((1 - away) / (1 - core), 0, 1)
    return share * share * (3 - 2 * share)


def _shift(center: Float64Array, radii: npt.ArrayLike, move: tuple[float, float]) -> Field:
    return lambda points: _fade(points, center, radii) * np.array(move)


def _scale(
    center: Float64Array, radii: npt.ArrayLike, scale: tuple[float, float], core: float = 0.0
) -> Field:
    return lambda points: _fade(points, center, radii, core) * (points - center) * (np.array(scale) - 1)


def _open_jaw(mouth: Float64Array, drop: float) -> Field:
    """What is below the mouth goes down; the neck gives way."""

    def field(points: Float64Array) -> Float64Array:
        x, y = (points - mouth).T
        below = np.interp(-y, (0.0, _LIP, _CHIN, _NECK), (0.0, 1.0, 1.0, 0.0))
        aside = np.clip(1 - (x / _JAW_WIDTH) ** 2, 0, 1) ** 2
        return np.stack((np.zeros_like(x), -drop * below * aside), axis=1)

    return field


def _add(fields: Iterable[Field]) -> Field:
    parts = tuple(fields)
    return lambda points: np.sum([part(points) for part in parts], axis=0)
