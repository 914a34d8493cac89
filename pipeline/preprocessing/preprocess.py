"""Entry of the stage: cut the subject out of a picture and frame it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from ..conventions import CUT_OUT_METHODS
from ..errors import PictureError
from ..progress import Progress, ignore_progress, span_progress
from ..types import BoolArray, FloatArray, FramedPicture
from .cutout import Cutout, cut_out, needs_prior
from .doubts import find_doubts
from .figures import Figures, choose_figure, find_figures, show_alone
from .framing import frame_subject, place_frame, resize_plane
from .parts import isolate_region, remove_islands

_AROUND = 0.05
"""Empty border of a view that is cut out of a sheet, as a share of its longer side."""


class Prior(NamedTuple):
    """Predicts a coarse mask (H, W) of the subject of a picture (H, W, 3); name: of MASK_NETWORKS."""

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
    cut = cut_figures(picture, mask, prior, 2 * size, method, span_progress(progress, 0, 0.7))
    chosen, note = choose_figure(cut.figures, figure)
    framed = frame_figure(cut, chosen, size, outline, note, span_progress(progress, 0.7, 1.0))
    progress(1.0)
    return framed


def preprocess_sheet(
    picture: FloatArray,
    *,
    mask: FloatArray | None = None,
    prior: Prior | None = None,
    size: int = 1024,
    outline: int = 128,
    method: str = "auto",
    progress: Progress = ignore_progress,
) -> list[FramedPicture]:
    """Frame every view of a sheet, from left to right. Of any other picture this gives preprocess_picture's.

    Arguments and errors are the same.
    """
    _check_arguments(picture, size, outline, method)
    cut = cut_figures(picture, mask, prior, 2 * size, method, span_progress(progress, 0, 0.7))
    chosen, note = choose_figure(cut.figures, None)
    views = range(len(cut.figures.regions)) if cut.figures.is_sheet else [chosen]
    framed, share = [], 0.3 / len(views)
    for number, view in enumerate(views):
        part = span_progress(progress, 0.7 + number * share, 0.7 + (number + 1) * share)
        framed.append(frame_figure(cut, view, size, outline, "" if len(views) > 1 else note, part))
    progress(1.0)
    return framed


def split_sheet(
    picture: FloatArray,
    *,
    mask: FloatArray | None = None,
    prior: Prior | None = None,
    side: int = 4096,
    method: str = "auto",
    progress: Progress = ignore_progress,
) -> list[FloatArray]:
    """Cut the figures of picture (H, W, 3 or 4) out: rgba (h, w, 4) of each, from left to right.

    side: of the picture at most, else it is shrunk. PictureError: there is only one, or none.
    """
    cut = cut_figures(picture, mask, prior, side, method, progress)
    count = len(cut.figures.regions)
    if count < 2:
        raise PictureError(f"expected several views of one character side by side, found {count} figure")
    return [_crop(np.dstack([cut.cutout.rgb, cut.isolate(view)])) for view in range(count)]


def _crop(rgba: FloatArray) -> FloatArray:
    """The part of rgba (H, W, 4) that is not transparent, and a little around it."""
    seen = rgba[..., 3] > 0
    rows, columns = (np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0))
    edge = round(_AROUND * max(len(rows), len(columns)))
    padded = np.pad(rgba, ((edge, edge), (edge, edge), (0, 0)))
    return padded[rows[0] : rows[-1] + 1 + 2 * edge, columns[0] : columns[-1] + 1 + 2 * edge]


class CutFigures(NamedTuple):
    """A picture, its subject cut out, and the figures in it. scale: of lengths in the picture as it came."""

    cutout: Cutout
    alpha: FloatArray
    figures: Figures
    prior: Prior | None
    scale: float

    def isolate(self, chosen: int) -> FloatArray:
        """The alpha (H, W) of one of the figures."""
        regions = self.figures.regions
        if len(regions) < 2:
            return self.alpha
        if self.prior is not None and self.cutout.method == self.prior.name:
            return _cut_again(self.cutout.rgb, regions, chosen, self.prior)
        return isolate_region(self.alpha, regions[chosen])


def cut_figures(
    picture: FloatArray,
    mask: FloatArray | None,
    prior: Prior | None,
    side: int,
    method: str,
    progress: Progress,
) -> CutFigures:
    """Cut the subject out of picture (H, W, 3 or 4), shrunk to `side`, and tell its figures apart."""
    given = len(picture)
    picture = shrink_picture(np.asarray(picture, dtype=np.float32), side)
    progress(0.05)
    seen = prior.look(picture[..., :3]) if prior is not None and needs_prior(picture, mask, method) else None
    cutout = cut_out(picture, mask, seen, method, span_progress(progress, 0.05, 1.0))
    alpha = remove_islands(cutout.alpha)
    return CutFigures(cutout, alpha, find_figures(cutout.rgb, alpha), prior, given / len(picture))


def frame_figure(
    cut: CutFigures, chosen: int, size: int, outline: int, note: str, progress: Progress
) -> FramedPicture:
    """Frame one of the figures in a `size` square. note: a warning, or empty."""
    alpha = cut.isolate(chosen)
    progress(0.15)
    rgba = frame_subject(cut.cutout.rgb, alpha, size, outline, span_progress(progress, 0.15, 1.0))
    metrics = {
        "coverage": float(alpha.mean()),
        "framed_coverage": float(rgba[..., 3].mean()),
        "figures": len(cut.figures.regions),
    }
    frame = (cut.scale * length for length in place_frame(alpha, size, outline))
    metrics |= dict(zip(("frame_left", "frame_top", "frame_side"), frame, strict=True))
    warnings = (*cut.cutout.warnings, *([note] if note else []), *find_doubts(alpha))
    return FramedPicture(rgba, cut.cutout.method, warnings, metrics)


def _cut_again(rgb: FloatArray, regions: BoolArray, chosen: int, prior: Prior) -> FloatArray:
    """Cut one of several figures of rgb (H, W, 3) out of its surroundings, of which the prior sees more."""
    window, others = show_alone(regions, chosen)
    nearest = ndimage.distance_transform_edt(others, return_distances=False, return_indices=True)
    alone = rgb[window][tuple(nearest)]
    alpha = np.zeros(rgb.shape[:2], np.float32)
    alpha[window] = remove_islands(cut_out(alone, None, prior.look(alone), prior.name, ignore_progress).alpha)
    return alpha


def _check_arguments(picture: FloatArray, size: int, outline: int, method: str) -> None:
    if method not in CUT_OUT_METHODS:
        raise ValueError(f"unknown method {method!r}; expected one of {', '.join(CUT_OUT_METHODS)}")
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
