"""Turn depths on the grid into positions of the two sheets, with a round rim where they meet."""

from __future__ import annotations

import numpy as np

from ..types import FloatArray, Int64Array
from .depth import Depth
from .ground import Ground
from .silhouette_triangulation import Outline

_MIN_DEPTH, _MIN_HEIGHT = 0.4, 0.15
_RIM = 0.25
"""Where edges that end on the outline are split, as a share of their length from the outline."""


def lift_sheets(outline: Outline, depth: Depth, ground: Ground) -> tuple[Int64Array, FloatArray, FloatArray]:
    """Return triangles (T, 3) and their points' positions (N, 3) on the front and the back sheet, in cells.

    x is right, y up from the ground, z towards the front; the sheets meet at equal positions.
    """
    triangles, inner_end, border_end = split_rim(outline.triangles, len(outline.inner))
    points = outline.points
    height, centre = (_read(outline, plane) for plane in (ground.height, depth.centre))
    on_ground = np.concatenate([np.zeros(len(outline.inner), bool), ground.extended[tuple(outline.stop.T)]])
    height = np.where(on_ground, 0.0, np.maximum(height, _MIN_HEIGHT))
    x, y, z = (
        np.concatenate([values, _interpolate_rim(values[border_end], values[inner_end])])
        for values in (points[:, 1], height, centre)
    )
    sheets = []
    for sign, plane in ((1, depth.front), (-1, depth.back)):
        offset = _read(outline, plane)
        offset[: len(outline.inner)] = np.maximum(offset[: len(outline.inner)], _MIN_DEPTH)
        # The outline has no depth, except where the ground cuts the figure.
        offset[len(outline.inner) :][~on_ground[len(outline.inner) :]] = 0.0
        # Near the rim the square of the depth is linear, so the cross-section is round.
        between = np.sqrt(_interpolate_rim(offset[border_end] ** 2, offset[inner_end] ** 2))
        offset = np.concatenate([offset, between])
        sheets.append(np.stack([x, y, z + sign * offset], axis=1).astype(np.float32))
    return triangles, sheets[0], sheets[1]


def _interpolate_rim(border: FloatArray, inner: FloatArray) -> FloatArray:
    return border + _RIM * (inner - border)


def _read(outline: Outline, plane: FloatArray) -> FloatArray:
    """Sample plane (H, W) at the outline's points: the inner ones, then the crossings."""
    near, far = plane[tuple(outline.start.T)], plane[tuple(outline.stop.T)]
    return np.concatenate([plane[tuple(outline.inner.T)], near + (far - near) * outline.fraction])


def split_rim(triangles: Int64Array, inner_count: int) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Split every edge between an inner point and one on the border, as numbered in triangles (T, 3).

    Returns the new triangles and, for each new point in turn, its inner and its border end.
    """
    inner = triangles < inner_count
    count = inner.sum(axis=1)
    one, two = triangles[count == 1], triangles[count == 2]
    # Rotate the corners so that the odd one comes first.
    one = _roll(one, np.argmax(one < inner_count, axis=1))
    two = _roll(two, np.argmax(two >= inner_count, axis=1))
    inner_ends = np.concatenate([one[:, 0], one[:, 0], two[:, 1], two[:, 2]])
    border_ends = np.concatenate([one[:, 1], one[:, 2], two[:, 0], two[:, 0]])
    total = int(triangles.max()) + 1
    keys, number = np.unique(inner_ends * total + border_ends, return_inverse=True)
    number = number.reshape(-1) + total
    a, b = number[: len(one)], number[len(one) : 2 * len(one)]
    c, d = np.split(number[2 * len(one) :], 2)
    parts = [
        triangles[count == 3],
        np.stack([one[:, 0], a, b], axis=1),
        np.stack([a, one[:, 1], one[:, 2]], axis=1),
        np.stack([a, one[:, 2], b], axis=1),
        np.stack([two[:, 0], c, d], axis=1),
        np.stack([c, two[:, 1], two[:, 2]], axis=1),
        np.stack([c, two[:, 2], d], axis=1),
    ]
    return np.concatenate(parts), keys // total, keys % total


def _roll(triangles: Int64Array, first: Int64Array) -> Int64Array:
    order = (first[:, None] + np.arange(3)) % 3
    return np.take_along_axis(triangles, order, axis=1)
