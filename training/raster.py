"""First and last surface of a triangle soup under an orthographic camera, compiled by numba."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(cache=True, fastmath=True)
def rasterize(
    points: NDArray, triangles: NDArray, labels: NDArray, size: int
) -> tuple[NDArray, NDArray, NDArray]:
    """Depth of the nearest and the farthest surface, and the part of the nearest, at each pixel.

    points (P, 3): x and y in pixels (y down), z towards the viewer. Empty pixels are -inf, +inf and 0.
    A triangle smaller than a pixel marks the pixel of its center.
    """
    front = np.full((size, size), -np.inf, np.float32)
    back = np.full((size, size), np.inf, np.float32)
    part = np.zeros((size, size), np.uint8)
    for t in range(len(triangles)):
        a, b, c = triangles[t]
        ax, ay, az = points[a]
        bx, by, bz = points[b]
        cx, cy, cz = points[c]
        label = labels[t]
        i, j, z = int((ay + by + cy) / 3), int((ax + bx + cx) / 3), (az + bz + cz) / 3
        if 0 <= i < size and 0 <= j < size:
            if z > front[i, j]:
                front[i, j], part[i, j] = z, label
            back[i, j] = min(back[i, j], z)
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < 1e-6:
            continue
        x0, x1 = max(int(min(ax, bx, cx) - 0.5), 0), min(int(max(ax, bx, cx) + 0.5), size - 1)
        y0, y1 = max(int(min(ay, by, cy) - 0.5), 0), min(int(max(ay, by, cy) + 0.5), size - 1)
        for i in range(y0, y1 + 1):
            py = i + 0.5
            for j in range(x0, x1 + 1):
                px = j + 0.5
                u = ((bx - px) * (cy - py) - (by - py) * (cx - px)) / area
                v = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) / area
                w = 1 - u - v
                if u < 0 or v < 0 or w < 0:
                    continue
                z = u * az + v * bz + w * cz
                if z > front[i, j]:
                    front[i, j], part[i, j] = z, label
                if z < back[i, j]:
                    back[i, j] = z
    return front, back, part


@numba.njit(cache=True, fastmath=True)
def vertex_normals(points: NDArray, triangles: NDArray) -> NDArray:
    """Unit normals (P, 3), weighted by area; zero where no triangle is."""
    normals = np.zeros(points.shape, np.float32)
    for t in range(len(triangles)):
        a, b, c = triangles[t]
        normal = np.cross(points[b] - points[a], points[c] - points[a])
        normals[a] += normal
        normals[b] += normal
        normals[c] += normal
    for i in range(len(points)):
        length = np.sqrt((normals[i] ** 2).sum())
        if length > 0:
            normals[i] /= length
    return normals


@numba.njit(cache=True, fastmath=True)
def skin(points: NDArray, weights: NDArray, matrices: NDArray, offsets: NDArray) -> NDArray:
    """Linear blend: sum over groups of weight (P, G) times matrix (G, 3, 3) @ point + offset (G, 3)."""
    result = np.zeros(points.shape, np.float32)
    for i in range(len(points)):
        for g in range(weights.shape[1]):
            w = weights[i, g]
            if w > 0:
                for r in range(3):
                    value = offsets[g, r]
                    for k in range(3):
                        value += matrices[g, r, k] * points[i, k]
                    result[i, r] += w * value
    return result
