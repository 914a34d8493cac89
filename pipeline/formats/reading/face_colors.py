"""Colors of faces as colors of vertices."""

from __future__ import annotations

import numpy as np

from ...types import FloatArray, Int64Array


def split_by_color(faces: Int64Array, colors: FloatArray) -> tuple[Int64Array, Int64Array, FloatArray]:
    """Vertices (W,) of the old mesh, faces (F, 3) of them and their colors (W, 4), doubled between colors.

    colors: (F, 4) of the faces (F, 3).
    """
    distinct, number = np.unique(colors, axis=0, return_inverse=True)
    pairs = faces * len(distinct) + number.reshape(-1, 1)
    used, inverse = np.unique(pairs, return_inverse=True)
    return used // len(distinct), inverse.reshape(-1, 3), distinct[used % len(distinct)]
