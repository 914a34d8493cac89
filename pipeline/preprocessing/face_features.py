"""Eyes and mouth of a face that is drawn or photographed from the front.

BlazeFace's own points lie up to half the distance of the eyes beside them in stylised faces. Irises are found
as round dark spots (determinant of the Hessian in scale space: T. Lindeberg, "Feature detection with
automatic scale selection", 1998), a pair of one size; the mouth as the darkest level line below them.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from ..figure.face import Face
from ..types import Float64Array, FloatArray

_SIDE, _REACH = 200, 1.55
"""Pixels and half the side, in radii of the face, of the square that is looked at."""
_SCALES = (0.06, 0.075, 0.09, 0.11, 0.135, 0.165)
"""Of the spots, in radii of the face: their radius is the square root of 2 times as large."""
_APART, _NEAR = (0.5, 1.3), 0.27
"""In radii of the face: distance of the eyes, and of each from where BlazeFace has it."""
_TILT, _BROADEST = 0.22, 0.45
"""Largest slope of the line of both eyes; largest half width of one, in their distance."""
_DARK, _ALIKE, _MOST = 0.0025, 0.3, 12
"""Least strength of a spot; least share of the weaker eye's strength; spots of one size that are compared."""
_EYE = np.array((1.9, 1.35))
"""Half the width and height of an eye, in radii of its iris."""
_MOUTH_ACROSS, _MOUTH_BELOW, _LINE = 0.28, (0.5, 0.82, 0.28, 1.35), 0.045
"""In distances of the eyes: half the width over which a mouth is dark; how far below the eyes it is looked
for (from, most likely, give or take, to); how thick a line it is."""
_MOUTH_DARK, _MOUTH_WIDE = 0.012, (0.22, 0.92)
"""Least strength of the line; its width in distances of the eyes."""
_CHIN_BELOW, _CHIN_ALIKE = 0.17, 0.35
"""Below the mouth, in distances of the eyes, where there is skin; its distance from that of the face."""
_CHEEKS = 0.5
"""Radii of the face within which most is skin."""
_WHITE, _PALE, _BLACK = 0.85, 0.6, 0.6
"""Of the skin's luminance, and of its saturation: at least and at most of the white of an eye, or of a light
in it; and at most of its pupil, or of lashes."""
_WHITE_SHARE, _BLACK_SHARE, _BAND = 0.03, 0.08, 0.4
"""Of an eye's box, from its middle so many half heights up and down."""
_LUMINANCE = np.array((0.299, 0.587, 0.114))


def find_features(rgb: FloatArray, face: Face) -> Float64Array | None:
    """Find (3, 4) right eye, left eye and mouth: x and y of the center, half of width and height, in pixels.

    rgb: (H, W, 3) 0..1. The mouth's width is 0 where none is found. None unless two eyes are found.
    """
    center, radius = np.asarray(face.center, np.float64), float(np.mean(face.radii))
    high, wide = rgb.shape[:2]
    low = np.clip(center - _REACH * radius, 0, (wide, high))
    top = np.clip(center + _REACH * radius, 0, (wide, high))
    scale = (top - low) / _SIDE
    if scale.min() <= 0:
        return None
    image = Image.fromarray((np.clip(rgb, 0, 1) * 255).astype(np.uint8))
    pixels = image.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, box=(*low, *top))
    colors = np.asarray(pixels).astype(np.float64) / 255
    unit = radius / float(scale.mean())
    skin = _measure_skin(colors, (center - low) / scale, unit)
    eyes = _find_eyes(colors, skin, (np.asarray(face.points[:2], np.float64) - low) / scale, unit)
    if eyes is None:
        return None
    found = np.stack((*eyes, _find_mouth(colors, skin, eyes)))
    return np.concatenate((found[:, :2] * scale + low, found[:, 2:] * scale), axis=1)


def _measure_skin(colors: Float64Array, center: Float64Array, unit: float) -> Float64Array:
    """(3,) the color of the middle of the face."""
    y, x = np.mgrid[:_SIDE, :_SIDE]
    return np.median(colors[np.hypot(x - center[0], y - center[1]) < _CHEEKS * unit], axis=0)


def _find_eyes(
    colors: Float64Array, skin: Float64Array, near: Float64Array, unit: float
) -> tuple[Float64Array, Float64Array] | None:
    """The strongest pair of spots of one size, (4,) each; the right one is to the viewer's left.

    near: (2, 2) where BlazeFace has the right and the left eye.
    """
    best: tuple[Float64Array, Float64Array] | None = None
    most = 0.0
    for scale in _SCALES:
        places, strength = _list_spots(colors @ _LUMINANCE, scale * unit)
        half = _EYE * scale * unit * np.sqrt(2)
        is_eye = np.array([_has_white(colors, skin, place, half) for place in places], bool)
        places, strength = places[is_eye], strength[is_eye]
        way = (places[None] - places[:, None]) / unit
        right, left = (np.linalg.norm(places - eye, axis=1) < _NEAR * unit for eye in near)
        fits = (way[..., 0] > _APART[0]) & (way[..., 0] < _APART[1])
        fits &= half[0] / unit < _BROADEST * way[..., 0]
        fits &= np.abs(way[..., 1]) < _TILT * way[..., 0]
        fits &= right[:, None] & left[None]
        weaker, stronger = (pick(strength[None], strength[:, None]) for pick in (np.minimum, np.maximum))
        score = np.where(fits & (weaker > _ALIKE * stronger), weaker, 0.0)
        if score.size and score.max() > max(most, _DARK):
            most = float(score.max())
            pair = np.unravel_index(score.argmax(), score.shape)
            best = np.append(places[pair[0]], half), np.append(places[pair[1]], half)
    return best


def _has_white(colors: Float64Array, skin: Float64Array, place: Float64Array, half: Float64Array) -> bool:
    """Whether there is the white of an eye, or a light in it, beside what is dark."""
    half = half * (1, _BAND)
    left, top = np.maximum((place - half).astype(int), 0)
    right, bottom = (place + half).astype(int) + 1
    box = colors[top:bottom, left:right].reshape(-1, 3)
    gray, pale = box @ _LUMINANCE, np.ptp(box, axis=1)
    white = (gray > _WHITE * (skin @ _LUMINANCE)) & (pale < _PALE * np.ptp(skin))
    dark = gray < _BLACK * (skin @ _LUMINANCE)
    return bool(white.mean() > _WHITE_SHARE and dark.mean() > _BLACK_SHARE)


def _list_spots(gray: Float64Array, size: float) -> tuple[Float64Array, Float64Array]:
    """Centers (N, 2), x and y, and strengths (N,) of the round dark spots of about this size."""
    across, along, mixed = (
        ndimage.gaussian_filter(gray, size, order=order) for order in ((0, 2), (2, 0), (1, 1))
    )
    strength = size**4 * (across * along - mixed**2) * ((across > 0) & (along > 0))
    peaks = (strength == ndimage.maximum_filter(strength, 5)) & (strength > _DARK)
    rows, columns = np.nonzero(peaks)
    strongest = np.argsort(-strength[rows, columns])[:_MOST]
    rows, columns = rows[strongest], columns[strongest]
    return np.stack((columns, rows), axis=1).astype(np.float64), strength[rows, columns]


def _find_mouth(
    colors: Float64Array, skin: Float64Array, eyes: tuple[Float64Array, Float64Array]
) -> Float64Array:
    """(4,) the darkest line below the eyes; of no width where there is none."""
    gray, (right, left) = colors @ _LUMINANCE, eyes
    apart, middle = float(left[0] - right[0]), (right + left)[:2] / 2
    thick = max(_LINE * apart, 1.0)
    dark = np.maximum(thick**2 * ndimage.gaussian_filter1d(gray, thick, axis=0, order=2), 0)
    dark = ndimage.maximum_filter1d(dark, 2 * round(thick) + 1, axis=0)  # a smile is no level line
    columns = np.arange(_SIDE)
    inner = np.abs(columns - middle[0]) < _MOUTH_ACROSS * apart
    rows = np.arange(*(round(middle[1] + below * apart) for below in _MOUTH_BELOW[::3]))
    rows = rows[rows < _SIDE]
    if not len(rows):
        return np.array((*middle, 0.0, 0.0))
    likely = np.exp(-((((rows - middle[1]) / apart - _MOUTH_BELOW[1]) / _MOUTH_BELOW[2]) ** 2))
    row = rows[(likely * dark[rows][:, inner].mean(axis=1)).argmax()]
    strength = float(dark[row, inner].mean())
    run, _ = ndimage.label(dark[row] > strength / 3)
    own = columns[run == run[round(middle[0])]] if run[round(middle[0])] else columns[:1]
    half, wide = len(own) / 2, len(own) / apart
    chin = colors[min(round(row + _CHIN_BELOW * apart), _SIDE - 1), inner]
    on_chin = float(np.linalg.norm(np.median(chin, axis=0) - skin)) < _CHIN_ALIKE
    is_mouth = on_chin and strength > _MOUTH_DARK and _MOUTH_WIDE[0] < wide < _MOUTH_WIDE[1]
    return np.array((own.mean(), row, half, thick) if is_mouth else (*middle, 0.0, 0.0))
