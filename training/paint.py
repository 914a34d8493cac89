"""Paint random figures: materials, patterns, faces, light and ink, as no two pictures share them.

What is painted follows the parts and the depths of a figure and is random in everything else, so that a
network learns from it where parts end and surfaces turn, and not how some painter shows them (domain
randomization, Tobin et al. 2017).
"""

from __future__ import annotations

import numpy as np
import pack  # noqa: F401
import torch
from character3d.pipeline.figure.body_network import SIDE
from materials import SKIN, Canvas, split_materials
from numpy.typing import NDArray
from torch import Tensor

Rng = np.random.Generator


def paint_figures(front: Tensor, part: Tensor, landmarks: Tensor, inside: Tensor, rng: Rng) -> Tensor:
    """Colors (B, 3, 128, 128), 0..1, of figures: front depths and part numbers (B, 128, 128), landmarks
    (B, 20, 3) in shares, and where the figures are."""
    y, x = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE
    painted = [
        _paint(depth, Canvas(numbers, points, x, y), mask, rng)
        for depth, numbers, points, mask in zip(
            *(values.numpy() for values in (front, part, landmarks, inside)), strict=True
        )
    ]
    return torch.from_numpy(np.stack(painted).astype(np.float32)).permute(0, 3, 1, 2)


def _paint(depth: NDArray, canvas: Canvas, mask: NDArray, rng: Rng) -> NDArray:
    areas = split_materials(canvas, rng)
    colors = _draw_palette(int(areas.max()) + 1, rng)[areas]
    _add_patterns(colors, areas, canvas, rng)
    _add_spots(colors, mask, rng)
    _draw_face(colors, canvas, rng)
    colors *= _light(_smooth_inside(depth, mask), mask, rng)[..., None]
    _ink(colors, depth, mask, (areas, canvas.part), rng)
    colors = np.clip(colors * rng.uniform(0.6, 1.3) + rng.uniform(-0.1, 0.15), 0, 1) ** rng.uniform(0.6, 1.6)
    if rng.random() < 0.12:
        colors = np.repeat(colors.mean(axis=2, keepdims=True), 3, axis=2)
    colors = np.clip(colors + rng.normal(0, rng.uniform(0, 0.04), colors.shape), 0, 1)
    return _pool(colors.transpose(2, 0, 1), "avg").transpose(1, 2, 0) if rng.random() < 0.4 else colors


def _pool(layers: NDArray, kind: str) -> NDArray:
    """Mean or largest of 3 x 3 pixels of layers (C, 128, 128)."""
    pool = {"avg": torch.nn.functional.avg_pool2d, "max": torch.nn.functional.max_pool2d}[kind]
    return pool(torch.from_numpy(np.asarray(layers, np.float32))[None], 3, 1, 1)[0].numpy()


def _draw_palette(count: int, rng: Rng) -> NDArray:
    """Colors of materials (N, 3): of any hue, some of them alike now and then."""
    colors = rng.uniform(0.05, 1.0, (count, 1)) + rng.normal(0, rng.uniform(0.0, 0.25), (count, 3))
    colors = np.clip(colors, 0.02, 1.0)
    if rng.random() < 0.6:  # of people and furry animals
        light = rng.uniform(0.25, 1.0)
        colors[SKIN % count] = light * np.array((1.0, rng.uniform(0.6, 0.9), rng.uniform(0.45, 0.85)))
    for _ in range(rng.integers(0, 4)):
        a, b = rng.integers(0, count, 2)
        colors[a] = np.clip(colors[b] + rng.normal(0, 0.04, 3), 0, 1)
    return colors


def _add_patterns(colors: NDArray, areas: NDArray, canvas: Canvas, rng: Rng) -> None:
    """Noise, stripes and checks on materials; in place."""
    for number in np.unique(areas):
        place = areas == number
        if rng.random() < 0.5:
            cells = int(rng.choice((4, 8, 16, 32, 64)))
            coarse = torch.from_numpy(rng.normal(size=(1, 1, cells, cells)))
            noise = torch.nn.functional.interpolate(coarse, size=(SIDE, SIDE), mode="bilinear")
            colors[place] += rng.uniform(0, 0.15) * noise[0, 0].numpy()[place, None]
        if rng.random() < 0.15:
            angle, cycles = rng.uniform(0, np.pi), 2 * np.pi * rng.uniform(6, 40)
            wave = np.sin(cycles * (np.cos(angle) * canvas.x + np.sin(angle) * canvas.y))
            if rng.random() < 0.4:
                wave *= np.sin(cycles * (np.sin(angle) * canvas.x - np.cos(angle) * canvas.y))
            _blend(colors, place & (wave > rng.uniform(-0.3, 0.6)), rng.uniform(0.3, 1), rng.random(3))


def _blend(colors: NDArray, place: NDArray, strength: float, color: NDArray) -> None:
    colors[place] += strength * (color - colors[place])


def _add_spots(colors: NDArray, mask: NDArray, rng: Rng) -> None:
    """Logos, buckles, pockets, words: round and square patches anywhere; in place."""
    places = np.argwhere(mask)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for _ in range(rng.integers(0, 7) if len(places) else 0):
        (row, column), (h, w) = places[rng.integers(len(places))], rng.uniform(1, 8, 2)
        u, v = (rows - row) / h, (columns - column) / w
        shape = np.hypot(u, v) < 1 if rng.random() < 0.6 else np.maximum(np.abs(u), np.abs(v)) < 1
        _blend(colors, shape, rng.uniform(0.4, 1), rng.random(3))


def _smooth_inside(depth: NDArray, mask: NDArray) -> NDArray:
    """Depth without the steps of half precision, 0 outside."""
    total, count = _pool(np.stack([depth * mask, mask]), "avg")
    return np.where(mask, total / np.maximum(count, 1e-6), 0)


def _light(depth: NDArray, mask: NDArray, rng: Rng) -> NDArray:
    """Brightness (128, 128) under a lamp from above or a side, with a soft or a stepped shade."""
    down, across = np.gradient(depth * SIDE)
    normals = np.stack([-across, down, np.ones_like(depth)], axis=-1)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    lamp = np.array((rng.normal(0, 0.7), rng.uniform(-0.2, 1.2), rng.uniform(0.2, 1.2)))
    lit = np.clip(normals @ (lamp / np.linalg.norm(lamp)), 0, 1)
    if rng.random() < 0.25:
        lit = np.where(lit > rng.uniform(0.3, 0.7), 1.0, rng.uniform(0.2, 0.7))
    if rng.random() < 0.3:  # from the viewer: edges are dark
        lit = normals[..., 2] ** rng.uniform(0.3, 1.5)
    ambient = rng.uniform(0.2, 1.0)
    shade = ambient + (1 - ambient) * lit
    if rng.random() < 0.25:
        shade = shade + rng.uniform(0, 0.6) * (normals[..., 2] < rng.uniform(0.2, 0.5))
    if rng.random() < 0.3:
        shade = shade * np.linspace(1, rng.uniform(0.5, 1.1), SIDE)[:, None]
    return np.where(mask, shade, 1.0)


def _ink(colors: NDArray, depth: NDArray, mask: NDArray, areas: tuple[NDArray, NDArray], rng: Rng) -> None:
    """Shade where a surface ends before another one, and lines there, around materials, parts and figure.

    areas: numbers of materials and of parts. In place.
    """
    nearest = _pool(np.where(mask, depth, -9.0)[None], "max")[0]
    hidden = mask & (nearest - depth > rng.uniform(0.02, 0.05))
    if rng.random() < 0.7:
        colors[hidden] *= rng.uniform(0.3, 1.0)
    lines = hidden if rng.random() < 0.35 else np.zeros_like(mask)
    for numbers, chance in zip((*areas, mask), (0.3, 0.15, 0.35), strict=True):
        if rng.random() < chance:
            high, low = _pool(numbers[None], "max")[0], -_pool(-1.0 * numbers[None], "max")[0]
            lines = lines | (mask & (high != low))
    _blend(colors, lines, rng.uniform(0.3, 1), rng.uniform(0, 0.25) * rng.random(3))


def _draw_face(colors: NDArray, canvas: Canvas, rng: Rng) -> None:
    """Eyes, brows, nose, mouth and muzzle on the head's front, unless it looks away or has none; in place."""
    sides = [canvas.place(f"left_{n}") - canvas.place(f"right_{n}") for n in ("shoulder", "hip")]
    across, _, away = sum(sides)
    yaw = np.arctan2(-away, across)
    if abs(yaw) > 1.3 or rng.random() < 0.12:
        return
    crown, head = canvas.place("crown")[:2], canvas.place("head")[:2]
    half = np.hypot(*(crown - head)) + 1e-3
    up = (crown - head) / half
    right = np.array((-up[1], up[0]))
    at = head + half * (right * np.sin(yaw) * rng.uniform(0.5, 0.9) - up * rng.uniform(-0.1, 0.45))
    flat = np.cos(yaw) * 0.9 + 0.1
    u = ((canvas.x - at[0]) * right[0] + (canvas.y - at[1]) * right[1]) / (half * flat)
    v = ((canvas.x - at[0]) * up[0] + (canvas.y - at[1]) * up[1]) / half
    _draw_features(colors, canvas.show("head"), u, v, rng)


def _draw_features(colors: NDArray, skin: NDArray, u: NDArray, v: NDArray, rng: Rng) -> None:
    """u, v: from the middle between the eyes to the right and up, in halves of the head's height."""

    def oval(x: float, y: float, wide: float, tall: float) -> NDArray:
        return skin & (np.hypot((u - x) / wide, (v - y) / tall) < 1)

    apart, size = rng.uniform(0.2, 0.55), rng.uniform(0.04, 0.2)
    tall, eye, has_white = (
        size * rng.uniform(0.6, 1.8),
        rng.random(3) * rng.uniform(0, 0.7),
        rng.random() < 0.5,
    )
    if rng.random() < 0.25:
        colors[oval(0, -rng.uniform(0.2, 0.45), rng.uniform(0.2, 0.6), rng.uniform(0.15, 0.4))] = rng.random(
            3
        )
    for side in (-apart, apart):
        if has_white:
            colors[oval(side, 0, 1.5 * size, 1.3 * tall)] = 0.95
        colors[oval(side, 0, size, tall)] = eye
        if rng.random() < 0.5:
            brow = skin & (np.abs(u - side) < 1.5 * size) & (np.abs(v - 2 * tall) < 0.04)
            colors[brow] *= rng.uniform(0.1, 0.7)
    below = rng.uniform(0.3, 0.6)
    if rng.random() < 0.7:
        colors[oval(0, -below, 0.2, 0.05)] *= rng.uniform(0.1, 0.8)
    if rng.random() < 0.4:
        colors[oval(0, -below / 2, 0.08, 0.06)] *= rng.uniform(0.1, 0.9)
