"""Pictures of the character from other sides than the front: each in the pixels of the view that it shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..color import srgb_to_lab
from ..conventions import SIDE_NAMES, VIEW_NAMES
from ..errors import PictureError
from ..types import BoolArray, FloatArray, FramedPicture, ViewMaps
from .alignment import FrontCanvas, align_picture, lay_picture, select_solid
from .color_balance import balance_color, measure_imbalance
from .fit_rows import fit_rows
from .masked_images import blur_masked, dilate_mask, erode_mask, extend_color
from .vertex_colors import FRONT

LEFT, RIGHT = VIEW_NAMES.index("left"), VIEW_NAMES.index("right")
_OPPOSITE = {LEFT: RIGHT, RIGHT: LEFT}
_SYMMETRIC, _ASYMMETRIC = 30.0, 45.0
"""Difference of a front's row from its mirror image up to which the sides are alike, and from which on they
are not: light from one side alone makes up to 37."""
_LIGHTNESS = 0.3
"""Weight of lightness in it."""
_OUTER = 0.35
"""Share of a row's half width, from the outline inwards, that tells of the side."""
_INK = 4.5 / 768
"""How far outlines reach into the subject, as a share of the side."""
_BAND = 0.02
"""Rows over which symmetry is judged together, as a share of the side."""


@dataclass(frozen=True, eq=False)
class SideCanvas:
    """A side's picture in the pixels of its view.

    color: (S, S, 3) float32 sRGB, extended over the whole square. share: (S,) 0..1 by row, how far the view
    is this picture; the rest is painted as if there were none. overlap: IoU with the mesh's silhouette.
    """

    color: FloatArray
    share: FloatArray
    overlap: float


def align_sides(
    front: FrontCanvas, sides: Mapping[str, FramedPicture], maps: ViewMaps
) -> dict[int, SideCanvas]:
    """Align the pictures of `sides`, by name of their view, with the silhouettes in `maps`: by view number.

    The left or the right without a picture is the other's mirror image, in the rows where the front is
    symmetric. Raises PictureError for a name that is no view beside the front, and as `align_picture` does.
    """
    unknown = sorted(set(sides) - set(SIDE_NAMES))
    if unknown:
        raise PictureError(f"expected pictures of {', '.join(SIDE_NAMES)}; found one of {unknown[0]}")
    found = {VIEW_NAMES.index(name): _align(picture, front, maps, name) for name, picture in sides.items()}
    for given, other in _OPPOSITE.items():
        if given in found and other not in found:
            found[other] = _mirror(found[given], front)
            break
    return found


def show_pictures(
    views: FloatArray, picture: FramedPicture, sides: Mapping[str, FramedPicture], maps: ViewMaps
) -> FloatArray:
    """Views (N, S, S, 3) of `maps`, those of the front and of `sides` replaced by their pictures.

    Without `sides` the views are as they were.
    """
    if not sides:
        return views
    front = align_picture(picture, maps.mask[FRONT])
    shown = views.copy()
    shown[FRONT] = front.color
    for view, side in align_sides(front, sides, maps).items():
        if VIEW_NAMES[view] in sides:
            shown[view] = side.color
    return shown


def _align(picture: FramedPicture, front: FrontCanvas, maps: ViewMaps, name: str) -> SideCanvas:
    """Box on box; then, seen from beside or behind, each row on the silhouette."""
    mask = maps.mask[VIEW_NAMES.index(name)]
    laid = lay_picture(picture, mask)
    if name != "top":
        laid = fit_rows(laid, mask)
    subject = laid[..., 3] >= 0.5
    overlap = float((subject & mask).sum() / max(1, (subject | mask).sum()))
    color = _extend_inner(laid, subject)
    change = measure_imbalance(front.color, color, maps, VIEW_NAMES.index(name))
    return SideCanvas(balance_color(color, change), np.ones(len(mask), np.float32), overlap)


def _extend_inner(laid: FloatArray, subject: BoolArray) -> FloatArray:
    """The colors (S, S, 3) of the subject, continued beyond it from within its outline, which may be ink."""
    solid = select_solid(laid[..., 3], subject)
    inner = erode_mask(subject, _INK * len(subject))
    beyond = extend_color(laid[..., :3], inner if inner.any() else solid)
    near = extend_color(laid[..., :3], solid)
    return np.clip(np.where(dilate_mask(subject, 1.0)[..., None], near, beyond), 0, 1)


def _mirror(side: SideCanvas, front: FrontCanvas) -> SideCanvas:
    share = measure_symmetry(front.color, front.mask)
    return SideCanvas(np.ascontiguousarray(side.color[:, ::-1]), share, side.overlap)


def measure_symmetry(color: FloatArray, mask: BoolArray) -> FloatArray:
    """How alike the two sides of a front view (S, S, 3) with the silhouette (S, S) are: (S,) 0..1 by row.

    Compared are the outer parts of each row with those of the mirror image, row's extent on row's extent.
    """
    size = len(mask)
    weights = np.array((_LIGHTNESS, 1, 1), np.float32)
    lab, _ = blur_masked(srgb_to_lab(color) * weights, mask, _BAND * size / 2)
    first, last = mask.argmax(axis=1), size - 1 - mask[:, ::-1].argmax(axis=1)
    inward = np.linspace(0.02, _OUTER / 2, 12)
    reach = (last - first)[:, None] * inward
    rows = np.arange(size)[:, None]
    one = lab[rows, np.round(first[:, None] + reach).astype(int)]
    two = lab[rows, np.round(last[:, None] - reach).astype(int)]
    step = np.linalg.norm(one - two, axis=2).mean(axis=1)
    seen = mask.any(axis=1).astype(np.float32)
    even, weight = (ndimage.gaussian_filter1d(item, _BAND * size) for item in (step * seen, seen))
    mean = even / np.maximum(weight, 1e-6)
    return np.asarray(np.clip((_ASYMMETRIC - mean) / (_ASYMMETRIC - _SYMMETRIC), 0, 1), np.float32)
