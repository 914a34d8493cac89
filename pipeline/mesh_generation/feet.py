"""Shorten broad feet: the body network makes boots and shoes of cartoons longer than they are."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..figure import Figure
from .depth import Depth
from .ground import Ground
from .relief import smoothstep
from .silhouette import Silhouette

_PER_WIDTH, _LEAST = 1.5, 0.14
"""Length of a foot at most, in widths, and the length that every foot may have, as a share of the height."""
_SOLE, _ANKLE = 0.05, 0.13
"""Height of a foot, and of where the leg above it is as it was, as shares of the figure's height."""
_KNOWN = 0.4
"""Confidence from which an ankle tells that feet which touch are two."""


def shorten_feet(depth: Depth, ground: Ground, silhouette: Silhouette, figure: Figure) -> Depth:
    """Return the depth (H, W), in cells, with each foot at most 1.5 times as long as it is wide."""
    height = silhouette.height
    ankles = [name for name in ("left_ankle", "right_ankle") if figure.trust(name) >= _KNOWN]
    columns = [silhouette.locate(figure[name])[0] for name in ankles]
    above = ground.height / height
    feet, count = ndimage.label(ground.extended & (above < _ANKLE))
    scale, anchor = np.ones_like(depth.centre), depth.centre.copy()
    for number in range(1, count + 1):
        foot = feet == number
        sole = foot & (above < _SOLE)
        if not sole.any():
            continue
        across = np.flatnonzero(sole.any(axis=0))
        pair = sum(across[0] <= column <= across[-1] for column in columns)
        width = (across[-1] - across[0] + 1) / max(pair, 1)
        near, far = depth.centre + depth.front, depth.centre - depth.back
        length = float(near[sole].max() - far[sole].min())
        allowed = max(_PER_WIDTH * width, _LEAST * height)
        if length > allowed:
            shorter = 1 - allowed / length
            scale[foot] -= shorter * (1 - smoothstep(above[foot], _SOLE, _ANKLE))
            anchor[foot] = float(depth.centre[foot & ~sole].mean()) if (foot & ~sole).any() else anchor[foot]
    return Depth(anchor + (depth.centre - anchor) * scale, depth.front * scale, depth.back * scale)
