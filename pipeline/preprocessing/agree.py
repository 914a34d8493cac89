"""Bring further pictures of a character to the scale of its front."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..types import FramedPicture, PictureSet
from .framing import cut_square

_AROUND = 0.04
"""Least margin beside a subject that is wider than tall, as a share of its width."""


def bring_together(front: FramedPicture, sides: Mapping[str, FramedPicture]) -> PictureSet:
    """Scale each of `sides`, by name, until it is as tall as the front; it lies in the middle of a square.

    The square is larger than the front's where the subject does not fit into it.
    """
    scaled = {name: _scale_to(front, picture) for name, picture in sides.items()}
    return PictureSet(scaled, dict.fromkeys(scaled, 1.0))


def _scale_to(front: FramedPicture, picture: FramedPicture) -> FramedPicture:
    tall, (height, width) = _measure(front)[0], _measure(picture)
    size = max(len(front.rgba), round((1 + 2 * _AROUND) * width * tall / height))
    rows, columns = (np.flatnonzero(picture.mask.any(axis=axis)) for axis in (1, 0))
    side = size * height / tall
    square = (columns[0] + columns[-1] + 1 - side) / 2, (rows[0] + rows[-1] + 1 - side) / 2, side
    return replace(picture, rgba=cut_square(picture.rgba[..., :3], picture.rgba[..., 3], square, size))


def _measure(picture: FramedPicture) -> tuple[int, int]:
    """Height and width of the subject in pixels."""
    rows, columns = (np.flatnonzero(picture.mask.any(axis=axis)) for axis in (1, 0))
    return int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
