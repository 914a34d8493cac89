"""The square of a picture that a network sees."""

from __future__ import annotations

from typing import NamedTuple


class Square(NamedTuple):
    """Left upper corner and side, in pixels of the picture; it may reach beyond it."""

    left: float
    top: float
    side: float
