"""Color surface that front and back see edge-on: with the part's texture from farther inside the picture.

Beyond a limiting angle a picture would smear. From there on its texture goes on inwards at the same height:
as far as the surface reaches around the part, so far inside the outline the sample lies, never in its rim.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..types import BoolArray, FloatArray
from .masked_images import sample_bilinear

_LIMIT = np.arccos(0.6)
"""Angle, radians, between normal and view direction from which on the texture comes from farther inside."""
_STRETCHED = 0.25
"""Share of the way around that the sample goes inwards; farther in it would often be of another material."""
_STEPS = (2, 4, 7, 11, 16, 23, 32, 45, 63, 88, 120, 160)
"""Pixels of a picture 768 wide at which the thickness of a part is probed."""
_RISING = 0.35
"""A probe counts while it lies at least this share of its length inside the outline: in the same part."""
_REACHED = 1.5
"""Half thicknesses at which a round part's probes stop to count."""


def sample_sides(
    color: FloatArray, mask: BoolArray, x: FloatArray, y: FloatArray, normals: FloatArray
) -> FloatArray:
    """Colors (N, 3) for surface points at the pixels x, y (N,) of a picture (S, S, 3), with normals (N, 3).

    mask: (S, S), what to sample of it. Points that face the picture take the pixel where they are. Surface
    that faces sideways goes on along its row, surface that faces up or down along its column.
    """
    depth = ndimage.distance_transform_edt(mask).astype(np.float32)[..., None]
    across = normals[:, 0] ** 4 / np.maximum(normals[:, 0] ** 4 + normals[:, 1] ** 4, 1e-9)
    blend = np.zeros((len(x), 4), np.float32)
    for axis, share in ((0, across), (1, 1 - across)):
        used = share > 0.02
        outward = normals[used, axis] * (1, -1)[axis]
        inward = np.zeros((len(outward), 2), np.float32)
        inward[:, axis] = -np.sign(outward)
        radius = _measure_radius(depth, x[used], y[used], inward)
        move = (radius * _wind(np.arctan2(np.abs(outward), normals[used, 2])))[:, None] * inward
        found = sample_bilinear(color, x[used] + move[:, 0], y[used] + move[:, 1])
        blend[used] += share[used, None] * np.concatenate((found, np.ones_like(found[:, :1])), axis=1)
    return blend[:, :3] / blend[:, 3:]


def _wind(angle: FloatArray) -> FloatArray:
    """How far inside its own pixel a point at this angle (N,) is sampled, in radii of the part."""
    around = np.clip(angle - _LIMIT, 0, np.pi - 2 * _LIMIT)
    return np.asarray(_STRETCHED * around + np.maximum(np.sin(angle) - np.sin(_LIMIT), 0))


def _measure_radius(depth: FloatArray, x: FloatArray, y: FloatArray, inward: FloatArray) -> FloatArray:
    """Half the thickness (N,) of the part that each point is on, by the depth (S, S, 1) on the way in."""
    length = sample_bilinear(depth, x, y)[:, 0]
    rising = np.ones(len(x), dtype=bool)
    for step in _STEPS:
        reach = step * len(depth) / 768
        probe = sample_bilinear(depth, x + reach * inward[:, 0], y + reach * inward[:, 1])[:, 0]
        rising &= probe > _RISING * reach
        length = np.where(rising, np.maximum(length, reach / _REACHED), length)
    return length
