"""Make the six views of a character symmetric: what one of its halves shows is mirrored onto the other."""

from __future__ import annotations

import numpy as np

from ..conventions import VIEW_NAMES
from ..errors import PictureError
from ..mesh.symmetrize import check_half
from ..types import FloatArray

_LEFT_ON = {"front": 1, "back": 0, "top": 0, "bottom": 0}
"""Where these views show the character's left half: in the image's left half (0) or right half (1)."""


def symmetrize_views(views: FloatArray, kept: str = "left") -> FloatArray:
    """Mirror the character's `kept` half, left or right, in six views (6, S, S, C) or masks (6, S, S).

    The side views become each other's mirror image. The plane of symmetry is seen in the middle of the image,
    as it is for a symmetric mesh. Raises ValueError for an unknown half, PictureError for other views.
    """
    check_half(kept)
    if len(views) != len(VIEW_NAMES):
        raise PictureError(f"expected six views, {', '.join(VIEW_NAMES)}; found {len(views)}")
    result, width = views.copy(), views.shape[2]
    lost = "right" if kept == "left" else "left"
    result[VIEW_NAMES.index(lost)] = views[VIEW_NAMES.index(kept)][:, ::-1]
    for name, half in _LEFT_ON.items():
        view, half = result[VIEW_NAMES.index(name)], half if kept == "left" else 1 - half
        mirrored = views[VIEW_NAMES.index(name)][:, ::-1]
        columns = slice(0, width // 2) if half == 1 else slice(width - width // 2, width)
        view[:, columns] = mirrored[:, columns]
    return np.ascontiguousarray(result)
