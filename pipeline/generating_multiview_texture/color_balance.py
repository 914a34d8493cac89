"""One color balance for all pictures of a character: each is brought to the front's where both show the same.

Only what differs in one direction nearly everywhere, and brings the picture's colors nearer to the front's,
is balance; shadows, patterns and errors of the alignment differ in both directions. A picture with the right
balance keeps its colors to the bit.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from ..cameras import camera_basis
from ..color import lab_to_srgb, srgb_to_lab
from ..types import BoolArray, FloatArray, ViewMaps
from .masked_images import blur_masked, dilate_mask, erode_mask, sample_bilinear
from .vertex_colors import BACK, FRONT, is_visible, locate_pixels

_SEEN = 0.45
"""Cosine to both view directions from which on two pictures are compared."""
_BLUR = 0.012
"""Width of the blur before the comparison, as a share of the side: details do not lie on each other."""
_RIM = 0.012, 0.035
"""Distances from the outline between which front and back show the same, as shares of the side."""
_AGREE = 0.1, 0.9
"""Quantiles of the differences that must have one sign."""
_MOST = 15.0
"""Largest difference (CIE 1976) that is balance: beyond it, the sides are painted in other colors."""
_FEWEST = 200
_SAMPLES = 4000
_NEARER = 0.8
"""Share to which a change must bring the mean distance of a picture's colors from the nearest of the front's:
a rim of light or a shadow where front and side meet is no balance."""


def measure_imbalance(front: FloatArray, picture: FloatArray, maps: ViewMaps, view: int) -> FloatArray:
    """What to add to L*a*b* (3,) of a view's picture so that it meets the front's; both (S, S, 3) sRGB."""
    seen = _select_rim(maps.mask[view]) if view == BACK else _select_shared(maps, view)
    if np.count_nonzero(seen) < _FEWEST:
        return np.zeros(3, np.float32)
    labs = [
        blur_masked(srgb_to_lab(color), maps.mask[number], _BLUR * len(color))[0]
        for color, number in ((front, FRONT), (picture, view))
    ]
    x, y, _ = locate_pixels(maps.rig.cameras[FRONT], maps.position[view][seen], len(front))
    step = sample_bilinear(labs[0], x, y) - labs[1][seen]
    low, high = np.quantile(step, _AGREE, axis=0)
    middle = np.median(step, axis=0)
    if np.linalg.norm(middle) > _MOST:
        return np.zeros(3, np.float32)
    change = np.where((low > 0) | (high < 0), middle, 0).astype(np.float32)
    whole = srgb_to_lab(front[maps.mask[FRONT]]), srgb_to_lab(picture[maps.mask[view]])
    return change if _is_nearer(*whole, change) else np.zeros_like(change)


def balance_color(picture: FloatArray, change: FloatArray) -> FloatArray:
    """A picture (S, S, 3) sRGB with a change of L*a*b* (3,); the same one without a change."""
    return lab_to_srgb(srgb_to_lab(picture) + change) if change.any() else picture


def _is_nearer(front: FloatArray, picture: FloatArray, change: FloatArray) -> bool:
    """Whether a change (3,) brings the colors (N, 3) of a picture nearer to those of the front anywhere."""
    tree = cKDTree(front[:: max(1, len(front) // _SAMPLES)])
    some = picture[:: max(1, len(picture) // _SAMPLES)]
    before, after = (np.mean(tree.query(colors)[0]) for colors in (some, some + change))
    return bool(after < _NEARER * before)


def _select_shared(maps: ViewMaps, view: int) -> BoolArray:
    """Pixels (S, S) of a view that show surface which the front sees as well."""
    normals = maps.normal[view]
    axes = (camera_basis(maps.rig.cameras[number])[2].astype(np.float32) for number in (FRONT, view))
    seen = np.logical_and(*(normals @ axis > _SEEN for axis in axes)) & maps.mask[view]
    seen[seen] = is_visible(maps, FRONT, maps.position[view][seen])
    return seen


def _select_rim(mask: BoolArray) -> BoolArray:
    """Pixels (S, S) within the outline, where the back meets the front."""
    near, far = (length * len(mask) for length in _RIM)
    return erode_mask(mask, near) & dilate_mask(~mask, far)
