"""Random animals of lofts and ellipsoids: +Y up, facing +Z, the ground at 0, about one long."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from solids import Soup, smooth_path

Rng = np.random.Generator
SIDES = (1, -1)


def draw_animal(kind: str, rng: Rng) -> Soup:
    """One of ANIMALS."""
    soup = Soup()
    ANIMALS[kind](soup, rng)
    return soup


def _quadruped(soup: Soup, rng: Rng) -> None:
    legs, thick, deep = rng.uniform(0.15, 0.75), rng.uniform(0.09, 0.2), rng.uniform(0.8, 1.5)
    back = rng.uniform(-0.06, 0.06)
    height = legs + deep * thick
    spine = np.array(((0, height + back, -0.5), (0, height, 0.0), (0, height - back, 0.45)))
    girth = thick * np.array((rng.uniform(0.6, 1.1), rng.uniform(0.7, 1.0), rng.uniform(0.8, 1.1)))
    _tube(soup, spine, np.stack((girth, deep * girth), axis=1))
    _put_legs(soup, rng, (-0.42, 0.38), 0.75 * thick, height - 0.3 * thick, legs)
    neck = rng.uniform(0.1, 0.6) * np.array((0, np.sin(angle := rng.uniform(-0.2, 1.4)), np.cos(angle)))
    head = spine[-1] + neck
    _tube(soup, np.stack((spine[-1], head)), (0.75 * thick, rng.uniform(0.3, 0.6) * thick))
    _put_head(soup, rng, head, rng.uniform(0.08, 0.16))
    if rng.random() < 0.85:
        _put_tail(soup, rng, spine[0], rng.uniform(0.1, 0.7), 0.3 * thick)


def _put_legs(
    soup: Soup, rng: Rng, places: tuple[float, ...], aside: float, top: float, length: float
) -> None:
    radius = rng.uniform(0.1, 0.22) * min(length, 0.5)
    stride = rng.normal(0, 0.08, (len(places), 2)) * (rng.random() < 0.5)
    bend = rng.uniform(-0.08, 0.08, len(places))
    for row, z in enumerate(places):
        for column, side in enumerate(SIDES):
            x, step = side * aside, stride[row, column]
            path = [(x, top, z), (x, 0.5 * length, z + bend[row] + 0.5 * step), (x, radius, z + step)]
            _tube(soup, np.array(path), np.array((1.6, 1.0, 0.8)) * radius)
            soup.ellipsoid(
                (x, 0.6 * radius, z + step + 0.5 * radius), (radius, 0.6 * radius, 1.4 * radius), 0
            )


def _put_head(soup: Soup, rng: Rng, place: NDArray, size: float) -> None:
    soup.ellipsoid(place, size * rng.uniform(0.8, 1.2, 3), 0)
    snout = place + size * np.array((0, rng.uniform(-0.8, 0.0), rng.uniform(0.8, 2.0)))
    _tube(soup, np.stack((place, snout)), (0.8 * size, rng.uniform(0.3, 0.7) * size))
    if rng.random() < 0.8:
        tip = size * np.array((rng.uniform(0.4, 1.4), rng.uniform(0.6, 2.0), rng.uniform(-0.8, 0.2)))
        for side in SIDES:
            root = place + size * np.array((0.5 * side, 0.5, 0))
            _tube(soup, np.stack((root, place + tip * (side, 1, 1))), (0.35 * size, 0.08 * size))


def _put_tail(soup: Soup, rng: Rng, root: NDArray, length: float, radius: float) -> None:
    angle = rng.uniform(-1.2, 1.0)
    tip = root + length * np.array((0, np.sin(angle), -np.cos(angle)))
    middle = 0.5 * (root + tip) + (0, rng.uniform(-0.1, 0.1), 0)
    _tube(soup, np.stack((root, middle, tip)), np.array((1.0, 0.8, rng.uniform(0.2, 1.2))) * radius)


def _bird(soup: Soup, rng: Rng) -> None:
    tilt, girth, legs = rng.uniform(0.0, 1.1), rng.uniform(0.12, 0.28), rng.uniform(0.0, 0.5)
    way = np.array((0, np.sin(tilt), np.cos(tilt)))
    middle = np.array((0, legs + girth + 0.2 * np.sin(tilt), 0.0))
    _tube(soup, np.stack((middle - 0.35 * way, middle, middle + 0.3 * way)), np.array((0.4, 1, 0.6)) * girth)
    head = middle + 0.3 * way + rng.uniform(0.05, 0.4) * np.array((0, rng.uniform(0.3, 1), 0.5))
    _tube(soup, np.stack((middle + 0.25 * way, head)), (0.55 * girth, 0.35 * girth))
    size = rng.uniform(0.07, 0.15)
    soup.ellipsoid(head, (size, size, size), 0)
    beak = np.array((0, rng.uniform(-0.6, 0.1), rng.uniform(1.2, 2.5)))
    _tube(soup, np.stack((head, head + size * beak)), (0.5 * size, 0.05))
    tail = middle - 0.35 * way
    _sheet(soup, tail, tail - rng.uniform(0.1, 0.5) * way, (0.08, rng.uniform(0.08, 0.2)), (1, 0, 0))
    spread = rng.uniform(0.5, 1.1) if rng.random() < 0.6 else 0.0
    lift, sweep = rng.uniform(-0.3, 0.6), rng.uniform(-0.4, 0.1)
    for side in SIDES:
        root = middle + (0.6 * side * girth, 0.3 * girth, 0.05)
        if spread:
            tip = root + spread * np.array((side, lift, sweep))
            _sheet(soup, root, tip, (rng.uniform(0.15, 0.3), 0.05), (0, 0, 1))
        else:
            _sheet(soup, root, root - 0.5 * way, (0.16, 0.04), (0, 1, 0))
        if legs > 0.05:
            foot = np.array((0.4 * side * girth, 0.02, middle[2] - 0.05))
            _tube(soup, np.stack((foot + (0, legs + 0.5 * girth, 0), foot)), (0.03, 0.02))
            soup.ellipsoid(foot + (0, 0, 0.06), (0.06, 0.02, 0.1), 0)


def _fish(soup: Soup, rng: Rng) -> None:
    width, height = rng.uniform(0.05, 0.2), rng.uniform(0.1, 0.4)
    shape = np.array((0.15, 0.6, 1.0, 0.8, rng.uniform(0.1, 0.5)))
    path = np.stack((np.zeros(5), np.full(5, height), np.linspace(-0.45, 0.5, 5)), axis=1)
    soup.loft(path, np.stack((shape * width, shape * height), axis=1), 0)
    is_whale = rng.random() < 0.25
    across, fin = ((1, 0, 0), rng.uniform(0.1, 0.35)) if is_whale else ((0, 1, 0), rng.uniform(0.1, 0.4))
    _sheet(soup, path[0], path[0] - (0, 0, rng.uniform(0.1, 0.3)), (0.05, fin), across)
    top = np.array((0, height + 0.8 * height, 0.0))
    _sheet(soup, top, top + (0, rng.uniform(0.05, 0.3), -0.1), (rng.uniform(0.05, 0.25), 0.04), (0, 0, 1))
    for side in SIDES:
        root = np.array((0.8 * side * width, 0.8 * height, 0.15))
        tip = root + rng.uniform(0.1, 0.45) * np.array((side, -0.3, -0.4))
        _sheet(soup, root, tip, (0.09, 0.04), (0, 0, 1))


def _insect(soup: Soup, rng: Rng) -> None:
    height, legs = rng.uniform(0.12, 0.3), int(rng.integers(3, 5))
    soup.ellipsoid((0, height, 0.05), rng.uniform((0.08, 0.06, 0.1), (0.15, 0.12, 0.2)), 0)
    soup.ellipsoid((0, height + 0.02, -0.3), rng.uniform((0.1, 0.08, 0.15), (0.25, 0.25, 0.3)), 0)
    soup.ellipsoid((0, height, 0.25), rng.uniform((0.05, 0.05, 0.05), (0.12, 0.1, 0.12)), 0)
    reach, rise = rng.uniform(0.3, 0.6), rng.uniform(0.05, 0.4)
    for side in SIDES:
        for z in np.linspace(-0.12, 0.2, legs):
            root = np.array((0.08 * side, height, z))
            knee, foot = (0.6 * reach * side, height + rise, 2.2 * z), (reach * side, 0.02, 3 * z)
            _tube(soup, np.array((root, knee, foot)), (0.035, 0.03, 0.015))
        if rng.random() < 0.4:
            _sheet(soup, (0, height + 0.1, 0), (0.6 * side, height + 0.4, -0.4), (0.1, 0.15), (0, 0, 1))


def _snake(soup: Soup, rng: Rng) -> None:
    at = np.linspace(0, 1, 24)
    wave, count, thick = rng.uniform(0.02, 0.25), rng.uniform(0.5, 3), rng.uniform(0.02, 0.06)
    path = np.stack((wave * np.sin(2 * np.pi * count * at), np.full(24, thick), at), axis=1)
    path[:, 1] += (rng.random() < 0.5) * rng.uniform(0.1, 0.5) * np.clip(at - 0.7, 0, 1) / 0.3
    soup.loft(path, thick * np.clip(np.minimum(6 * at, 1.2), 0.1, 1), 0)
    soup.ellipsoid(path[-1], (1.3 * thick, thick, 2 * thick), 0)


def _dinosaur(soup: Soup, rng: Rng) -> None:
    legs, thick, tilt = rng.uniform(0.3, 0.6), rng.uniform(0.1, 0.2), rng.uniform(-0.1, 0.5)
    hips, way = np.array((0, legs + 0.3 * thick, 0.0)), np.array((0, np.sin(tilt), np.cos(tilt)))
    chest = hips + 0.35 * way
    _tube(soup, np.stack((hips - 0.1 * way, hips + 0.15 * way, chest)), np.array((0.8, 1, 0.7)) * thick)
    _put_tail(soup, rng, hips, rng.uniform(0.4, 0.8), 0.7 * thick)
    _put_legs(soup, rng, (0.0,), 0.7 * thick, hips[1], legs)
    head = chest + rng.uniform(0.1, 0.4) * np.array((0, rng.uniform(0.3, 1.0), 0.7))
    _tube(soup, np.stack((chest, head)), (0.6 * thick, 0.4 * thick))
    _put_head(soup, rng, head, rng.uniform(0.08, 0.15))
    for side in SIDES:
        shoulder = chest + (0.6 * side * thick, -0.3 * thick, 0)
        hand = shoulder + rng.uniform(0.05, 0.2) * np.array((0, -1, 0.7))
        _tube(soup, np.stack((shoulder, hand)), (0.03, 0.015))


ANIMALS: dict[str, Callable[[Soup, Rng], None]] = {
    "quadruped": _quadruped,
    "bird": _bird,
    "fish": _fish,
    "insect": _insect,
    "snake": _snake,
    "dinosaur": _dinosaur,
}


def _tube(soup: Soup, path: NDArray, radii: NDArray | tuple[float, ...]) -> None:
    """A tube through points (2 or more), with rounded ends."""
    path, radii = np.asarray(path, float), np.asarray(radii, float)
    soup.loft(smooth_path(path, 8) if len(path) > 2 else path, _spread(radii, len(path)), 0)
    for end in (0, -1):
        size = np.broadcast_to(radii[end], (2,))
        soup.ellipsoid(path[end], (size[0], size[1], size.mean()), 0)


def _spread(radii: NDArray, count: int) -> NDArray:
    if count == 2:
        return radii
    at, known = np.linspace(0, 1, 8), np.linspace(0, 1, count)
    columns = radii.reshape(count, -1)
    found = np.stack([np.interp(at, known, column) for column in columns.T], axis=1)
    return found[:, 0] if radii.ndim == 1 else found


def _sheet(
    soup: Soup, root: NDArray | tuple, tip: NDArray | tuple, widths: tuple[float, float], across: tuple
) -> None:
    """A fin or a wing: flat, `widths` at root and tip along `across`."""
    path = np.linspace(np.asarray(root, float), np.asarray(tip, float), 4)
    wide = np.linspace(widths[0], widths[1], 4)
    soup.loft(path, np.stack((wide, np.full(4, 0.012)), axis=1), 0, right=across)
