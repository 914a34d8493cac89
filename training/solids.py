"""Closed solids that hair, clothes, hats, wings and the rest are made of, and rotations."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

_SEGMENTS = 20


@dataclass
class Soup:
    """Triangles gathered piece by piece, each with the index of its part."""

    points: list[Floats] = field(default_factory=list)
    triangles: list[Ints] = field(default_factory=list)
    labels: list[Ints] = field(default_factory=list)
    count: int = 0

    def add(self, points: NDArray, triangles: NDArray, label: int | NDArray) -> None:
        """Add points (P, 3), triangles (F, 3) and the part of all or of each."""
        self.points.append(np.asarray(points, np.float32))
        self.triangles.append(np.asarray(triangles, np.int32) + self.count)
        self.labels.append(np.broadcast_to(np.asarray(label, np.int32), (len(triangles),)))
        self.count += len(points)

    def loft(
        self,
        path: ArrayLike,
        radii: ArrayLike,
        label: int,
        right: ArrayLike = (1, 0, 0),
        power: float = 2.0,
    ) -> None:
        """A closed tube along `path` (n, 3); radii: one, (n,), or (n, 2): along `right`, and across it.

        power: exponent of the superellipse of a cross section; 2 is round, 6 nearly a box.
        """
        self.add(
            *_loft(np.asarray(path, float), np.asarray(radii, float), np.asarray(right, float), power), label
        )

    def ellipsoid(
        self, center: ArrayLike, radii: ArrayLike, label: int, turn: NDArray | None = None, power: float = 2.0
    ) -> None:
        """An ellipsoid (or, with a power above 2, a rounded box), turned by the matrix `turn`."""
        unit, triangles = make_sphere()
        if power != 2:
            unit = unit / (np.abs(unit) ** power).sum(axis=1, keepdims=True) ** (1 / power)
        points = unit * np.asarray(radii, float)
        self.add((points if turn is None else points @ turn.T) + np.asarray(center, float), triangles, label)

    def merged(self) -> tuple[Floats, Ints, Ints]:
        """All points (P, 3), triangles (F, 3) and labels (F,)."""
        return np.concatenate(self.points), np.concatenate(self.triangles), np.concatenate(self.labels)


def _loft(path: NDArray, radii: NDArray, right: NDArray, power: float) -> tuple[NDArray, NDArray]:
    radii = np.broadcast_to(radii if radii.ndim == 2 else radii[..., None], (len(path), 2))
    tangents = np.gradient(path, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True) + 1e-9
    side = right - tangents * (tangents @ right)[:, None]
    side /= np.linalg.norm(side, axis=1, keepdims=True) + 1e-9
    front = np.cross(side, tangents)
    angles = np.linspace(0, 2 * np.pi, _SEGMENTS, endpoint=False)
    cos, sin = (np.sign(f(angles)) * np.abs(f(angles)) ** (2 / power) for f in (np.cos, np.sin))
    rings = path[:, None] + (
        radii[:, :1, None] * cos[None, :, None] * side[:, None]
        + radii[:, 1:, None] * sin[None, :, None] * front[:, None]
    )
    n = len(path)
    i, j = np.meshgrid(np.arange(n - 1), np.arange(_SEGMENTS), indexing="ij")
    a, b = i * _SEGMENTS + j, i * _SEGMENTS + (j + 1) % _SEGMENTS
    quads = np.stack([a, b, b + _SEGMENTS, a + _SEGMENTS], axis=-1).reshape(-1, 4)
    ring = np.arange(_SEGMENTS)
    first = np.stack([np.full(_SEGMENTS, n * _SEGMENTS), ring, np.roll(ring, -1)], axis=1)
    last = np.stack([np.full(_SEGMENTS, n * _SEGMENTS + 1), *(first[:, 1:].T + (n - 1) * _SEGMENTS)], axis=1)
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]], first, last])
    return np.concatenate([rings.reshape(-1, 3), path[:1], path[-1:]]), triangles


def make_sphere(rings: int = 14) -> tuple[NDArray, NDArray]:
    """The unit sphere: points (P, 3) and triangles (F, 3)."""
    latitude = np.linspace(-np.pi / 2, np.pi / 2, rings + 2)[1:-1]
    path = np.stack([0 * latitude, np.sin(latitude), 0 * latitude], axis=1)
    points, triangles = _loft(path, np.cos(latitude), np.array((1.0, 0, 0)), 2.0)
    points[-2:] = (0, -1, 0), (0, 1, 0)
    return points, triangles


def turn_about(axis: ArrayLike, degrees: float) -> NDArray:
    """Rotation matrix about an axis (Rodrigues)."""
    x, y, z = np.asarray(axis, float) / (np.linalg.norm(axis) + 1e-9)
    cross = np.array(((0, -z, y), (z, 0, -x), (-y, x, 0)))
    angle = np.deg2rad(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def turn_euler(yaw: float, pitch: float, roll: float) -> NDArray:
    """Rotation by degrees: roll about Z, then pitch about X, then yaw about Y."""
    return turn_about((0, 1, 0), yaw) @ turn_about((1, 0, 0), pitch) @ turn_about((0, 0, 1), roll)


def turn_between(start: ArrayLike, end: ArrayLike) -> NDArray:
    """The smallest rotation from one direction to another."""
    a, b = (np.asarray(d, float) / (np.linalg.norm(d) + 1e-9) for d in (start, end))
    axis = np.cross(a, b)
    if np.linalg.norm(axis) < 1e-6:
        return np.eye(3) if a @ b > 0 else turn_about((0, 0, 1), 180)
    return turn_about(axis, float(np.rad2deg(np.arctan2(np.linalg.norm(axis), a @ b))))


def smooth_path(points: ArrayLike, count: int = 9) -> NDArray:
    """A quadratic Bézier curve through the ends of three points, or the straight line between two."""
    p = np.asarray(points, float)
    t = np.linspace(0, 1, count)[:, None]
    if len(p) == 2:
        return p[0] + t * (p[1] - p[0])
    return (1 - t) ** 2 * p[0] + 2 * t * (1 - t) * p[1] + t**2 * p[2]
