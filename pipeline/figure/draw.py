"""Draw what was read over the picture that it was read from."""

from __future__ import annotations

import colorsys
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw

from ..types import FloatArray
from .figure import LANDMARKS, PARTS, Figure

_SIDE_BONES = ("shoulder", "elbow", "wrist", "hand"), ("pelvis", "hip", "knee", "ankle", "toe")
_LEFT, _RIGHT, _MIDDLE = (230, 60, 60), (50, 110, 240), (40, 190, 90)
_TINT = 0.35
_DOUBTFUL = 0.4


def draw_figure(picture: FloatArray, figure: Figure) -> FloatArray:
    """Return picture (S, S, 3), sRGB 0..1, with parts tinted, limbs, head box and face ellipse drawn.

    The figure's left is red, its right blue; landmarks of low confidence are hollow.
    """
    side = len(picture)
    parts = np.asarray(Image.fromarray(figure.parts).resize((side, side), Image.Resampling.NEAREST))
    palette = np.array([colorsys.hsv_to_rgb(number / len(PARTS), 0.8, 1.0) for number in range(len(PARTS))])
    tint = np.where(parts[..., None] > 0, _TINT, 0.0)
    mixed = picture * (1 - tint) + palette[parts] * tint
    image = Image.fromarray((mixed * 255).round().astype(np.uint8))
    pen, width = ImageDraw.Draw(image), max(1, side // 200)
    pen.rectangle([value * side for value in figure.head_box], outline=_MIDDLE, width=width)
    if figure.face is not None:
        x, y, across, tall = (value * side for value in figure.face)
        pen.ellipse((x - across, y - tall, x + across, y + tall), outline=_MIDDLE, width=width)
    for bone, color in _list_bones():
        pen.line([tuple(figure[name][:2] * side) for name in bone], fill=color, width=width)
    for name, color in _list_colors().items():
        x, y = figure[name][:2] * side
        radius = 1.8 * width
        fill = color if figure.trust(name) >= _DOUBTFUL else None
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill, outline=color, width=width)
    return np.asarray(image, dtype=np.float32) / 255


def _list_bones() -> list[tuple[tuple[str, str], tuple[int, int, int]]]:
    bones = [(pair, _MIDDLE) for pair in (("crown", "head"), ("head", "neck"), ("neck", "pelvis"))]
    for side, color in (("left", _LEFT), ("right", _RIGHT)):
        for chain in (("neck", *_SIDE_BONES[0]), _SIDE_BONES[1]):
            names = [name if name in LANDMARKS else f"{side}_{name}" for name in chain]
            bones += [(pair, color) for pair in pairwise(names)]
    return bones


def _list_colors() -> dict[str, tuple[int, int, int]]:
    sides = {"left": _LEFT, "right": _RIGHT}
    return {name: sides.get(name.split("_")[0], _MIDDLE) for name in LANDMARKS}
