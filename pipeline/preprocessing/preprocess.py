"""Entry of the stage: cut the subject out of a picture and frame it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from ..errors import PictureError
from ..progress import Progress, ignore_progress, span_progress
from ..types import BoolArray, FloatArray, FramedPicture
from .cutout import METHODS, cut_out, needs_prior
from .doubts import find_doubts
from .figures import choose_figure, find_figures, show_alone
from .framing import frame_subject, place_frame, resize_plane
from .parts import isolate_region, remove_islands


class Prior(NamedTuple):
    """Predicts a coarse mask (H, W) of the subject of a picture (H, W, 3); name: of LEARNED."""

    name: str
    predict: Callable[[FloatArray], FloatArray]

    def look(self, rgb: FloatArray) -> tuple[str, FloatArray]:
        """The name, and the mask of rgb (H, W, 3)."""
        return self.name, self.predict(rgb)


def preprocess_picture(
    picture: FloatArray,
    *,
    mask: FloatArray | None = None,
    prior: Prior | None = None,
    size: int = 1024,
    outline: int = 128,
    method: str = "auto",
    figure: int | None = None,
    progress: Progress = ignore_progress,
) -> FramedPicture:
    """Cut the subject out of picture (H, W, 3 or 4), sRGB 0..1, and frame it in a `size` square.

    mask: (H, W), white is the subject; an all-white mask is ignored. prior: predicts the mask coarsely,
    with soft edges, as U²-Net does (backends/u2net). `auto` uses the mask, else the picture's own alpha, else
    the prior with the colors beside its edge, else GrabCut from the border's colors.
    outline: margin in pixels beyond the longer side. figure: which one of several, from the left, from 0;
    None chooses. The metrics frame_left, frame_top and frame_side say which square of the picture was framed,
    in its pixels.
    PictureError: no subject can be separated from the background, or there is no such figure.
    ValueError: invalid arguments.
    """
    _check_arguments(picture, size, outline, method)
    given = len(picture)
    picture = shrink_picture(np.asarray(picture, dtype=np.float32), 2 * size)
    progress(0.05)
    seen = prior.look(picture[..., :3]) if prior is not None and needs_prior(picture, mask, method) else None
    cutout = cut_out(picture, mask, seen, method, span_progress(progress, 0.05, 0.7))
    alpha = remove_islands(cutout.alpha)
    figures = find_figures(cutout.rgb, alpha)
    chosen, note = choose_figure(figures, figure)
    if len(figures.regions) > 1:
        alpha = isolate_region(alpha, figures.regions[chosen])
        if prior is not None and cutout.method == prior.name:
            alpha = _cut_again(cutout.rgb, figures.regions, chosen, prior)
    progress(0.75)
    rgba = frame_subject(cutout.rgb, alpha, size, outline, span_progress(progress, 0.75, 1.0))
    progress(1.0)
    metrics = {
        "coverage": float(alpha.mean()),
        "framed_coverage": float(rgba[..., 3].mean()),
        "figures": len(figures.regions),
    }
    scale = given / len(picture)
    frame = (scale * length for length in place_frame(alpha, size, outline))
    metrics |= dict(zip(("frame_left", "frame_top", "frame_side"), frame, strict=True))
    warnings = (*cutout.warnings, *([note] if note else []), *find_doubts(alpha))
    return FramedPicture(rgba, cutout.method, warnings, metrics)


def _cut_again(rgb: FloatArray, regions: BoolArray, chosen: int, prior: Prior) -> FloatArray:
    """Cut one of several figures of rgb (H, W, 3) out of its surroundings, of which the prior sees more."""
    window, others = show_alone(regions, chosen)
    nearest = ndimage.distance_transform_edt(others, return_distances=False, return_indices=True)
    alone = rgb[window][tuple(nearest)]
    alpha = np.zeros(rgb.shape[:2], np.float32)
    alpha[window] = remove_islands(cut_out(alone, None, prior.look(alone), prior.name, ignore_progress).alpha)
    return alpha


def _check_arguments(picture: FloatArray, size: int, outline: int, method: str) -> None:
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; expected one of {', '.join(METHODS)}")
    if not 0 <= outline < size / 2:
        raise ValueError(f"outline {outline} leaves no room in size {size}; it must be below {size / 2:g}")
    if picture.ndim != 3 or picture.shape[2] not in (3, 4):
        raise ValueError(f"expected a picture (H, W, 3 or 4), got {picture.shape}")
    if min(picture.shape[:2]) < 8:
        raise PictureError(
            f"the picture has {picture.shape[1]} x {picture.shape[0]} pixels; at least 8 x 8 are needed"
        )
    if not np.isfinite(picture).all():
        raise PictureError("the picture contains values that are not finite numbers")


def shrink_picture(picture: FloatArray, side: int) -> FloatArray:
    """Shrink (H, W, C) so that the longer side is at most `side`; alpha stays straight."""
    longest = max(picture.shape[:2])
    if longest <= side:
        return picture
    shape = tuple(max(1, round(n * side / longest)) for n in picture.shape[:2])
    if picture.shape[2] == 3:
        return np.clip(resize_plane(picture, shape, Image.Resampling.BOX), 0.0, 1.0)
    weighted = np.concatenate([picture[..., :3] * picture[..., 3:], picture[..., 3:]], axis=-1)
    small = resize_plane(weighted, shape, Image.Resampling.BOX)
    small[..., :3] /= np.maximum(small[..., 3:], 1e-4)
    return np.clip(small, 0.0, 1.0)
