"""Polygons as triangles."""

from __future__ import annotations

from typing import Any

import numpy as np

_MOST_CORNERS = 500
"""Of a polygon whose ears are clipped; larger ones, and those that cross themselves, become fans."""


def cut_polygons(points: Any, sizes: Any, starts: Any = None) -> tuple[Any, Any]:
    """(T, 3) corners of the triangles of polygons, and the polygon (T,) of each.

    Polygons become fans; those with an inner corner, where a fan would lie outside, lose one ear at a time.
    points: (C, 3) place of each corner. sizes: (P,) numbers of corners. starts: (P,) first corners; None
    where the polygons follow one another.
    """
    starts = np.cumsum(sizes) - sizes if starts is None else starts
    corners, owner = _fan_polygons(sizes, starts)
    many = np.flatnonzero(sizes[owner] > 3)
    if not len(many):
        return corners, owner
    one, two, three = (points[corners[many, corner]] for corner in range(3))
    with np.errstate(over="ignore", invalid="ignore"):
        normals = np.cross(two - one, three - one)
        whole = np.stack([np.bincount(owner[many], axis, len(sizes)) for axis in normals.T], axis=1)
        is_outside = (normals * whole[owner[many]]).sum(axis=1) < 0
    for polygon in np.unique(owner[many[is_outside]]):
        own = starts[polygon] + np.arange(sizes[polygon])
        first = np.searchsorted(owner, polygon)
        if len(own) <= _MOST_CORNERS:
            clipped = _clip_ears(_flatten(points[own], whole[polygon]))
            corners[first : first + len(clipped)] = own[clipped]
    return corners, owner


def _fan_polygons(sizes: Any, starts: Any) -> tuple[Any, Any]:
    counts = np.maximum(sizes - 2, 0)
    owner = np.repeat(np.arange(len(sizes)), counts)
    step = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    first = starts[owner]
    return np.stack((first, first + step + 1, first + step + 2), axis=1), owner


def _flatten(points: Any, normal: Any) -> Any:
    """Points (N, 3) without the axis along which the normal is longest, counter-clockwise: (N, 2)."""
    axis = int(np.abs(normal).argmax())
    flat = points[:, [(axis + 1) % 3, (axis + 2) % 3]]
    return flat if normal[axis] > 0 else flat * (1, -1)


def _clip_ears(points: Any) -> Any:
    """(N - 2, 3) triangles of a polygon (N, 2), counter-clockwise (Meisters 1975)."""
    left, found = list(range(len(points))), []
    while len(left) > 3:
        ears = (place for place in range(len(left)) if _is_ear(points, left, place))
        place = next(ears, 0)
        found.append((left[place - 1], left[place], left[(place + 1) % len(left)]))
        del left[place]
    return np.array([*found, left])


def _is_ear(points: Any, left: list[int], place: int) -> bool:
    """Whether the triangle of a corner and its neighbors is convex and holds no other corner."""
    corners = (left[place - 1], left[place], left[(place + 1) % len(left)])
    triangle = points[list(corners)]
    sides = np.roll(triangle, -1, axis=0) - triangle
    if sides[0, 0] * sides[1, 1] - sides[0, 1] * sides[1, 0] <= 0:
        return False
    others = points[[corner for corner in left if corner not in corners]]
    away = others[:, None] - triangle
    inside = (sides[:, 0] * away[..., 1] - sides[:, 1] * away[..., 0] >= 0).all(axis=1)
    return not inside.any()
