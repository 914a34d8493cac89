"""Heads of figures: hair, hats, ears, horns, snouts, helmets, and where the skull ends."""

from __future__ import annotations

import numpy as np
from bodies import Bodies
from body import PART, SIDES, Body
from numpy.typing import NDArray
from solids import Soup, smooth_path

Rng = np.random.Generator
_SIGN = {"left": 1, "right": -1}


def dress_head(soup: Soup, body: Body, bodies: Bodies, rng: Rng, animal: bool, robot: bool) -> None:
    """Add what is on the head to the body's triangles."""
    turn, radii = body.turn["head"], body.head_radii
    if robot:
        power = float(rng.uniform(2, 8))
        grow = rng.uniform(0.95, 1.2, 3)
        soup.ellipsoid(body.head_center, radii * grow, PART["head"], turn, power)
        if rng.random() < 0.4:
            soup.loft(body.on_head(smooth_path(((0, 0.8, 0), (0, 1.5, 0)))), 0.06 * radii[0], PART["prop"])
        return
    if animal:
        _animal_head(soup, body, rng)
        if rng.random() < 0.7:
            return
    style = body.proportions.style
    helmet = rng.random() < 0.06
    if helmet:
        soup.ellipsoid(
            body.head_center, radii * rng.uniform(1.1, 1.35), PART["prop"], turn, float(rng.uniform(2, 4))
        )
        return
    if rng.random() < 0.88:
        if rng.random() < (0.6 if style in ("person", "anime") else 0.25):
            _fitted_hair(soup, body, bodies, rng)
        else:
            _solid_hair(soup, body, rng)
        _hair_extras(soup, body, rng)
    if rng.random() < 0.07:
        beard = np.array((0.5, rng.uniform(0.3, 0.7), 0.35))
        soup.ellipsoid(body.on_head((0, -0.75, 0.55)), radii * beard, PART["hair"], turn)
    if rng.random() < 0.22:
        _hat(soup, body, rng)
    if rng.random() < 0.06:
        _horns(soup, body, rng)
    if rng.random() < 0.07:
        _ears(soup, body, rng)


def _animal_head(soup: Soup, body: Body, rng: Rng) -> None:
    turn, radii = body.turn["head"], body.head_radii
    if rng.random() < 0.6:
        grow = rng.uniform(1.0, 1.25, 3)
        soup.ellipsoid(body.head_center, radii * grow, PART["head"], turn)
    length, size, drop = rng.uniform(0.1, 0.9), rng.uniform(0.2, 0.5), rng.uniform(-0.45, -0.05)
    path = body.on_head(smooth_path(((0, drop, 0.5), (0, drop * 1.1, 1 + length))))
    taper = np.linspace(1, rng.uniform(0.4, 1), len(path))
    soup.loft(path, size * radii[0] * taper, PART["head"], turn[:, 0])
    soup.ellipsoid(path[-1], np.full(3, size * radii[0] * taper[-1]), PART["head"], turn)
    if rng.random() < 0.85:
        _ears(soup, body, rng)
    if rng.random() < 0.15:
        _horns(soup, body, rng)


def _ears(soup: Soup, body: Body, rng: Rng) -> None:
    kind = rng.choice(("round", "cone", "long", "floppy"))
    at, size, length = rng.uniform(25, 60), rng.uniform(0.22, 0.5), rng.uniform(0.9, 2.2)
    for side in SIDES:
        s = _SIGN[side]
        out = np.array((s * np.sin(np.deg2rad(at)), np.cos(np.deg2rad(at)), -0.05))
        if kind == "round":
            radii = body.head_radii[0] * size * np.array((1, 1, 0.45))
            soup.ellipsoid(body.on_head(out * 1.05), radii, PART["prop"], body.turn["head"])
        elif kind == "cone":
            path = body.on_head(smooth_path((out * 0.75, out * (1.1 + length * 0.45))))
            taper = np.linspace(1, 0.05, len(path))[:, None] * np.array((1, 0.6)) * size * body.head_radii[0]
            soup.loft(path, taper, PART["prop"], body.turn["head"][:, 0])
        else:
            tip = out * (1 + length) if kind == "long" else out * 1.3 + np.array((s * 0.5, -length, 0.1))
            path = body.on_head(smooth_path((out * 0.8, out * (1 + 0.3 * length), tip)))
            t = np.linspace(0, 1, len(path))[:, None]
            width = (0.5 + np.sin(np.pi * t)) * size * 0.45 * body.head_radii[0]
            soup.loft(path, width * np.array((1, 0.5)), PART["prop"], body.turn["head"][:, 0])


def _horns(soup: Soup, body: Body, rng: Rng) -> None:
    at, length, curl, size = (
        rng.uniform(10, 60),
        rng.uniform(0.4, 1.4),
        rng.uniform(-0.6, 0.8),
        rng.uniform(0.1, 0.25),
    )
    for side in SIDES:
        out = np.array((_SIGN[side] * np.sin(np.deg2rad(at)), np.cos(np.deg2rad(at)), 0.1))
        tip = out * (1 + length) + np.array((0, curl * length, rng.uniform(-0.3, 0.2)))
        path = body.on_head(smooth_path((out * 0.85, out * (1 + 0.6 * length), tip)))
        soup.loft(path, np.linspace(1, 0.1, len(path)) * size * body.head_radii[0], PART["prop"], (0, 0, 1))


def _fitted_hair(soup: Soup, body: Body, bodies: Bodies, rng: Rng) -> None:
    styles = [proxy for proxy in bodies.proxies if "fedora" not in proxy[0]]
    _, points, triangles = styles[rng.integers(len(styles))]
    matrix, offset = body.head_map
    soup.add(points[body.index] @ matrix.T + offset, triangles, PART["hair"])


def _solid_hair(soup: Soup, body: Body, rng: Rng) -> None:
    turn, radii = body.turn["head"], body.head_radii
    grow = np.array((rng.uniform(1.04, 1.3), rng.uniform(1.0, 1.2), rng.uniform(0.95, 1.2)))
    shift = np.array((0, rng.uniform(0.02, 0.15), rng.uniform(0.72, 0.96) - grow[2]))  # the face looks out
    soup.ellipsoid(body.on_head(shift), radii * grow, PART["hair"], turn)
    if rng.random() < 0.6:  # fringe
        soup.ellipsoid(
            body.on_head((0, rng.uniform(0.4, 0.6), rng.uniform(0.3, 0.5))),
            radii * np.array((rng.uniform(0.75, 1.05), rng.uniform(0.3, 0.45), 0.65)),
            PART["hair"],
            turn,
        )
    if rng.random() < 0.3:  # spikes
        for _ in range(rng.integers(5, 16)):
            way = rng.normal(size=3) * (1, 0.8, 0.7) + (0, 0.5, -0.2)
            way /= np.linalg.norm(way)
            path = body.on_head(shift + smooth_path((way * 0.8, way * rng.uniform(1.25, 1.8))))
            soup.loft(
                path,
                np.linspace(1, 0.05, len(path)) * rng.uniform(0.2, 0.45) * radii[0],
                PART["hair"],
                (0, 0, 1),
            )


def _hair_extras(soup: Soup, body: Body, rng: Rng) -> None:
    radii = body.head_radii
    right = body.turn["head"][:, 0]
    down = body.head_center[1] - body.joint["pelvis"][1]
    kind = rng.choice(("none", "long", "twin", "pony", "buns", "locks"), p=(0.4, 0.2, 0.14, 0.08, 0.06, 0.12))
    if kind == "long":
        length, wide, thick = down * rng.uniform(0.35, 1.5), rng.uniform(0.75, 1.5), rng.uniform(0.2, 0.5)
        start = body.on_head((0, 0.2, -0.6))
        end = start + np.array((0, -length, -rng.uniform(0, 0.6) * radii[2]))
        path = smooth_path((start, start * 0.5 + end * 0.5 - (0, 0, 0.3 * radii[2]), end))
        t = np.linspace(0, 1, len(path))
        shape = (
            np.stack([wide * (1 + 0.3 * rng.uniform(-1, 1) * t), thick * (1 - 0.4 * t)], axis=1) * radii[0]
        )
        soup.loft(path, shape * np.clip(1.6 - t, 0.6, 1)[:, None], PART["hair"], right)
    elif kind in ("twin", "locks"):
        high, out = rng.uniform(-0.3, 0.6), rng.uniform(0.2, 1.6) if kind == "twin" else rng.uniform(0, 0.3)
        length, size = down * rng.uniform(0.3, 1.7), rng.uniform(0.14, 0.45)
        back = rng.uniform(-0.5, 0.1) if kind == "twin" else 0.35
        for side in SIDES:
            start = body.on_head((_SIGN[side] * 0.95, high, back))
            far = np.array((_SIGN[side] * out * radii[0], 0, back * 0.5 * radii[2]))
            path = smooth_path(
                (start, start + far * 1.2 + (0, 0.1 * length, 0), start + far + (0, -length, 0)), 12
            )
            t = np.linspace(0, 1, len(path))
            soup.loft(
                path,
                (0.3 + np.sin(np.pi * np.clip(t + 0.15, 0, 0.97))) * size * radii[0],
                PART["hair"],
                (0, 0, 1),
            )
    elif kind == "pony":
        start, length = body.on_head((0, rng.uniform(0.2, 0.8), -0.9)), down * rng.uniform(0.3, 1.2)
        side = rng.normal(0, 0.4) * radii[0]
        path = smooth_path(
            (
                start,
                start + (side, 0.2 * length, -0.9 * radii[2]),
                start + (side * 2, -length, -0.6 * radii[2]),
            )
        )
        t = np.linspace(0, 1, len(path))
        soup.loft(
            path,
            (0.25 + np.sin(np.pi * t * 0.95)) * rng.uniform(0.2, 0.45) * radii[0],
            PART["hair"],
            (0, 0, 1),
        )
    elif kind == "buns":
        size, high = rng.uniform(0.25, 0.5), rng.uniform(0.6, 0.95)
        for side in SIDES:
            soup.ellipsoid(
                body.on_head((_SIGN[side] * 0.7, high, -0.2)), np.full(3, size * radii[0]), PART["hair"]
            )


def _hat(soup: Soup, body: Body, rng: Rng) -> None:
    turn, radii = body.turn["head"], body.head_radii
    kind = rng.choice(("witch", "top", "cap", "straw", "crown", "hood", "beanie"))
    brim, level = rng.uniform(1.3, 2.6), rng.uniform(0.35, 0.6)
    tall = rng.uniform(0.7, 2.0)
    if kind in ("witch", "top", "straw"):
        soup.ellipsoid(body.on_head((0, level, 0)), radii * np.array((brim, 0.09, brim)), PART["prop"], turn)
        low, high = body.on_head((0, level, 0)), body.on_head((rng.normal(0, 0.2), level + tall, -0.1 * tall))
        end = {"witch": 0.08, "top": rng.uniform(0.7, 1.1), "straw": 0.8}[kind]
        width = np.linspace(1.08, end, 9)[:, None] * radii[[0, 2]]
        soup.loft(
            smooth_path((low, high))
            if kind != "straw"
            else smooth_path((low, body.on_head((0, level + 0.7, 0)))),
            width,
            PART["prop"],
            turn[:, 0],
        )
    elif kind == "crown":
        soup.loft(
            body.on_head(smooth_path(((0, 0.7, 0), (0, 1.25, 0)))),
            np.linspace(0.75, 0.9, 9) * radii[0],
            PART["prop"],
            turn[:, 0],
        )
    elif kind == "hood":
        grow = np.array((rng.uniform(1.15, 1.4), rng.uniform(1.1, 1.3), rng.uniform(1.05, 1.3)))
        soup.ellipsoid(body.on_head((0, 0.05, -0.25)), radii * grow, PART["clothes"], turn)
    else:
        soup.ellipsoid(
            body.on_head((0, 0.35, -0.05)), radii * np.array((1.15, 0.85, 1.15)), PART["prop"], turn
        )
        if kind == "cap":
            soup.ellipsoid(
                body.on_head((0, 0.4, 0.9)), radii * np.array((0.8, 0.08, 0.7)), PART["prop"], turn
            )


def skull_top(points: NDArray, labels: NDArray, triangles: NDArray, body: Body) -> NDArray:
    """Top of skull and hair above the middle of the head: the landmark `crown`."""
    chosen = triangles[(labels == PART["head"]) | (labels == PART["hair"]), 0]
    local = (points[chosen] - body.head_center) @ body.turn["head"] / body.head_radii
    near = (np.abs(local[:, 0]) < 0.3) & (np.abs(local[:, 2]) < 0.6) & (local[:, 1] < 1.6)
    height = float(local[near, 1].max()) if near.any() else 1.0
    return body.on_head((0, height, 0))
