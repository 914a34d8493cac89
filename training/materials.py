"""Which material each pixel of a figure has: skin, hair, clothes that end where clothes end, shoes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pack  # noqa: F401
from character3d.pipeline.figure import LANDMARKS, PARTS
from numpy.typing import NDArray

SKIN = 1
_TRUNK, _HAIR, _SKIRT, _PROP, _SLEEVE, _TROUSER, _GLOVE, _SHOE, _CUFF = range(2, 11)
_BELT, _COLLAR, _SHIRT, _HELMET = range(11, 15)


@dataclass(frozen=True, eq=False)
class Canvas:
    """A figure to paint: part (128, 128), landmarks (20, 3) in shares, and x, y of the pixels' centers."""

    part: NDArray
    landmarks: NDArray
    x: NDArray
    y: NDArray

    def place(self, name: str) -> NDArray:
        """x, y and depth of a landmark."""
        return self.landmarks[LANDMARKS.index(name)]

    def show(self, *names: str) -> NDArray:
        """Where parts of these names are, (128, 128) bool."""
        return np.isin(self.part, [PARTS.index(name) for name in names])

    def along(self, first: str, last: str) -> NDArray:
        """Share of the way from one landmark to another, (128, 128)."""
        a, b = self.place(first)[:2], self.place(last)[:2]
        way = b - a
        return ((self.x - a[0]) * way[0] + (self.y - a[1]) * way[1]) / (way @ way + 1e-6)


def split_materials(canvas: Canvas, rng: np.random.Generator) -> NDArray:
    """Numbers of materials (128, 128); 0 outside the figure."""
    if rng.random() < 0.08:  # all of one, as a statue
        return (canvas.part > 0).astype(int)
    numbers = _dress(rng)
    areas = np.zeros(canvas.part.shape, int)
    for name, number in numbers.items():
        areas[canvas.show(name)] = number
    wave = 0.01 * np.sin(2 * np.pi * (canvas.x * rng.uniform(2, 9) + rng.random())) * rng.integers(0, 2)
    _cut_limbs(areas, canvas, numbers, wave, rng)
    _cut_trunk(areas, canvas, numbers, wave, rng)
    if rng.random() < 0.2:
        _cut_head(areas, canvas, rng)
    return areas


def _dress(rng: np.random.Generator) -> dict[str, int]:
    """The material of each part: one of its own, or that of its neighbor."""
    numbers = {"head": SKIN, "hair": _HAIR, "torso": _TRUNK, "prop": _PROP}
    numbers["clothes"] = rng.choice((_TRUNK, _SKIRT))
    sleeve = rng.choice((_TRUNK, SKIN, _SLEEVE), p=(0.55, 0.25, 0.2))
    trouser = rng.choice((_TROUSER, _TRUNK, SKIN), p=(0.6, 0.25, 0.15))
    glove = rng.choice((SKIN, _GLOVE, sleeve), p=(0.7, 0.15, 0.15))
    shoe = rng.choice((_SHOE, trouser, SKIN), p=(0.7, 0.15, 0.15))
    if rng.random() < 0.22:  # fur or skin all over
        numbers.update(torso=SKIN, hair=rng.choice((SKIN, _HAIR)), prop=rng.choice((SKIN, _PROP)))
        sleeve = trouser = SKIN
        glove, shoe = rng.choice((SKIN, _GLOVE)), rng.choice((SKIN, _SHOE))
    limbs = {"arm": sleeve, "hand": glove, "leg": trouser, "foot": shoe}
    return numbers | {f"{side}_{name}": limbs[name] for side in ("left", "right") for name in limbs}


def _cut_limbs(
    areas: NDArray, canvas: Canvas, numbers: dict[str, int], wave: NDArray, rng: np.random.Generator
) -> None:
    """Short sleeves and trousers, long gloves and boots; in place."""
    for side in ("left", "right"):
        for limb, top, end in (("arm", "shoulder", "wrist"), ("leg", "hip", "ankle")):
            if rng.random() < 0.4:
                beyond = canvas.along(f"{side}_{top}", f"{side}_{end}") + 3 * wave > rng.uniform(0.15, 0.95)
                name = f"{side}_{limb}"
                bare = SKIN if rng.random() < 0.6 else _CUFF
                areas[canvas.show(name) & beyond & (areas == numbers[name])] = bare


def _cut_trunk(
    areas: NDArray, canvas: Canvas, numbers: dict[str, int], wave: NDArray, rng: np.random.Generator
) -> None:
    """A waist with or without a belt, a collar, and a front of its own: shirt, apron, belly; in place."""
    neck, long = canvas.place("neck")[1], canvas.place("pelvis")[1] - canvas.place("neck")[1]
    trunk, y = canvas.show("torso", "clothes"), canvas.y + wave
    if rng.random() < 0.55:
        waist = neck + rng.uniform(0.45, 1.05) * long
        areas[trunk & (y > waist) & (areas == numbers["torso"])] = numbers["left_leg"]
        if rng.random() < 0.4:
            areas[trunk & (np.abs(y - waist) < rng.uniform(0.005, 0.02))] = _BELT
    if rng.random() < 0.3:
        areas[canvas.show("torso") & (canvas.y < neck + rng.uniform(0, 0.25) * long)] = rng.choice(
            (SKIN, _COLLAR)
        )
    if rng.random() < 0.25:
        off = np.abs(canvas.x - canvas.place("neck")[0] - rng.normal(0, 0.01))
        wide = np.clip((canvas.y - neck) / (long + 1e-3) + rng.random(), 0, 1)
        areas[trunk & (off < rng.uniform(0.01, 0.12) * wide)] = _SHIRT


def _cut_head(areas: NDArray, canvas: Canvas, rng: np.random.Generator) -> None:
    """A hood, a helmet or a mask around the face; in place."""
    head, crown = canvas.place("head"), canvas.place("crown")
    size = np.hypot(*(head - crown)[:2]) + 1e-3
    off = np.hypot(canvas.x - head[0], canvas.y - head[1] + rng.uniform(-0.4, 0.2) * size)
    areas[canvas.show("head") & (off > rng.uniform(0.5, 0.95) * size)] = rng.choice((_HAIR, _HELMET))
