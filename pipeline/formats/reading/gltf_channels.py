"""Channels of glTF animations at any time (section 3.11, appendix C)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...types import Float64Array


class Channel(NamedTuple):
    """Keys of one property. times: (N,) seconds, increasing. mode: STEP, LINEAR or CUBICSPLINE.

    values: (N, 1, k), or (N, 3, k) of a spline: in-tangent, value, out-tangent. Quaternions where k is 4.
    """

    times: Float64Array
    values: Float64Array
    mode: str


def sample_channel(channel: Channel, times: Float64Array) -> Float64Array:
    """The values (T, k) at times (T,); before the first key and after the last, theirs."""
    keys = channel.times
    times = times.clip(keys[0], keys[-1])
    start = (np.searchsorted(keys, times, side="right") - 1).clip(0, max(len(keys) - 2, 0))
    stop = np.minimum(start + 1, len(keys) - 1)
    length = np.where(stop > start, keys[stop] - keys[start], 1.0)
    share = ((times - keys[start]) / length)[:, None]
    middle = channel.values.shape[1] // 2
    one, two = channel.values[start, middle], channel.values[stop, middle]
    if channel.mode == "STEP":
        return np.where(share >= 1, two, one)
    if channel.mode == "CUBICSPLINE":
        out, back = length[:, None] * channel.values[start, 2], length[:, None] * channel.values[stop, 0]
        return _blend_cubic(one, out, back, two, share)
    return _slerp(one, two, share) if one.shape[1] == 4 else one + share * (two - one)


def _blend_cubic(
    one: Float64Array, out: Float64Array, back: Float64Array, two: Float64Array, share: Float64Array
) -> Float64Array:
    """The Hermite spline between two values with tangents over the whole interval."""
    square, cube = share**2, share**3
    return (
        (2 * cube - 3 * square + 1) * one
        + (cube - 2 * square + share) * out
        + (3 * square - 2 * cube) * two
        + (cube - square) * back
    )


def _slerp(one: Float64Array, two: Float64Array, share: Float64Array) -> Float64Array:
    """Spherical interpolation of quaternions (T, 4), the short way; a linear one where they are close."""
    cosine = (one * two).sum(axis=1, keepdims=True)
    two, cosine = np.where(cosine < 0, -two, two), np.abs(cosine).clip(max=1.0)
    angle = np.arccos(cosine)
    sine = np.sin(angle)
    is_close = sine < 1e-6
    safe = np.where(is_close, 1.0, sine)
    left = np.where(is_close, 1 - share, np.sin((1 - share) * angle) / safe)
    right = np.where(is_close, share, np.sin(share * angle) / safe)
    return left * one + right * two
