"""A surface that is known at every point, with uvs, normals and tangents by hand."""

import numpy as np
from character3d.pipeline.types import Mesh

STEPS = 64
TURNS = {"upright": ((1, 0), (0, 1)), "turned": ((0, -1), (1, 0)), "mirrored": ((-1, 0), (0, 1))}
"""How the texture lies on it: u and v up as sums of x and y."""
_SCALE = 0.95


def measure_slopes(x, y):
    """Height of the hill over the plane, and how it grows along x and y."""
    height = 0.2 * np.cos(2 * x) * np.cos(2 * y)
    return height, -0.4 * np.sin(2 * x) * np.cos(2 * y), -0.4 * np.cos(2 * x) * np.sin(2 * y)


def make_hill(turn="upright"):
    """A hill over ±0.5 m that faces +Z."""
    ticks = np.linspace(-0.5, 0.5, STEPS + 1)
    x, y = (axis.ravel() for axis in np.meshgrid(ticks, ticks))
    first = (np.arange(STEPS)[:, None] * (STEPS + 1) + np.arange(STEPS)).ravel()
    corners = first, first + 1, first + STEPS + 2, first + STEPS + 1
    faces = np.concatenate([np.stack([corners[i] for i in face], 1) for face in ((0, 1, 2), (0, 2, 3))])
    uvs = np.stack((x, y), axis=1) @ np.array(TURNS[turn]).T * (_SCALE, -_SCALE) + 0.5
    return Mesh(np.stack((x, y, measure_slopes(x, y)[0]), axis=1), faces, list_axes(x, y)[2], uvs)


def list_axes(x, y, turn="upright"):
    """Unit tangent, bitangent (up in the texture) and normal at x and y, (..., 3) each."""
    _, along_x, along_y = measure_slopes(x, y)
    one, zero = np.ones_like(x), np.zeros_like(x)
    (a, b), _ = TURNS[turn]
    right = a * np.stack((one, zero, along_x), axis=-1) + b * np.stack((zero, one, along_y), axis=-1)
    up = np.stack((-along_x, -along_y, one), axis=-1)
    right, up = (axis / np.linalg.norm(axis, axis=-1, keepdims=True) for axis in (right, up))
    return right, np.cross(up, right) * (-1 if turn == "mirrored" else 1), up


def place_texels(side, turn="upright"):
    """x and y of the centers of (side, side) texels, and which of them lie well inside of the hill."""
    v, u = (np.indices((side, side)) + 0.5) / side
    flat = np.stack((u - 0.5, 0.5 - v), axis=-1) / _SCALE @ np.array(TURNS[turn])
    return flat[..., 0], flat[..., 1], (np.abs(flat) < 0.45).all(axis=-1)


def paint_waves(x, y):
    """A smooth color (..., 3) for every place."""
    return np.stack((np.sin(5 * x + 3 * y), np.cos(4 * y), np.sin(6 * x - 2 * y)), axis=-1) * 0.4 + 0.5
