"""Deepen flat heads: the body network makes those of cartoons, and hair, flatter than they are."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..figure import PARTS, Figure
from ..types import BoolArray, FloatArray
from .depth import Depth
from .relief import smoothstep
from .silhouette import Silhouette, blur_inside

_MOST = 1.4
"""How many times as deep as read a head may become."""
_BEHIND = 0.25
"""Share of what is added that lies farther back than the middle of the head as read: the face stays."""
_HEAD = tuple(PARTS.index(name) for name in ("head", "hair"))
_LIMBS = tuple(PARTS.index(f"{side}_{name}") for side in ("left", "right") for name in ("arm", "hand"))
_DEEPEST = 0.9
"""Quantile over the rows of a head that counts as its depth."""
_NECK, _SOFT = 0.2, 0.012
"""Height over which the head passes into the neck, in heads; width, as a share of the figure's height, over
which what is changed passes into what is not."""


def deepen_head(depth: Depth, inside: BoolArray, silhouette: Silhouette, figure: Figure) -> Depth:
    """Return the depth (H, W), in cells, with a head at least as deep as it is wide.

    Its width is the median over its rows: ears and tails of hair are wider.
    """
    rows, columns = np.arange(len(inside))[:, None], np.arange(inside.shape[1])
    parts = silhouette.look_up(figure.parts, rows, columns)
    crown, neck = (silhouette.locate(figure[name])[1] for name in ("crown", "neck"))
    head = inside & np.isin(parts, _HEAD) & (rows >= crown) & (rows < neck)
    if not head.any():
        return depth
    width = float(np.median(head.sum(axis=1)[head.any(axis=1)]))
    near, far = _measure_rows(depth, head)
    deep = float(np.quantile(near - far, _DEEPEST))
    more = float(np.clip(width / max(deep, 1.0), 1.0, _MOST)) - 1
    above = smoothstep((neck - rows) / (_NECK * (neck - crown)), 0.0, 1.0)
    free = ndimage.binary_opening(inside & np.isin(parts, _LIMBS), iterations=2)
    share = more * above * blur_inside(1.0 - free.astype(np.float32), inside, _SOFT * silhouette.height)
    middle = float(np.median(near + far)) / 2
    centre = depth.centre + share * (depth.centre - middle - _BEHIND * deep)
    return Depth(centre.astype(np.float32), depth.front * (1 + share), depth.back * (1 + share))


def _measure_rows(depth: Depth, head: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Nearest and farthest depth of each row of the head, (R,)."""
    seen = head.any(axis=1)
    near = np.where(head, depth.centre + depth.front, -np.inf).max(axis=1)[seen]
    return near, np.where(head, depth.centre - depth.back, np.inf).min(axis=1)[seen]
