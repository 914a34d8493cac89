"""Entry of the stage: cut the subject out of a picture and frame it."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ..errors import PictureError
from ..progress import Progress, ignore_progress, span_progress
from ..types import FloatArray, FramedPicture
from .cutout import METHODS, cut_out
from .framing import frame_subject, place_frame, resize_plane
from .parts import remove_islands

_MAX_ASPECT = 1.3
"""Times the height: even outstretched arms are narrower."""


def preprocess_picture(
    picture: FloatArray,
    *,
    mask: FloatArray | None = None,
    prior: FloatArray | None = None,
    size: int = 1024,
    outline: int = 128,
    method: str = "auto",
    progress: Progress = ignore_progress,
) -> FramedPicture:
    """Cut the subject out of picture (H, W, 3 or 4), sRGB 0..1, and frame it in a `size` square.

    mask: (H, W), white is the subject; an all-white mask is ignored. prior: (H, W), a coarse mask of the
    subject with soft edges, as U²-Net predicts it (backends/u2net). `auto` uses the mask, else the picture's
    own alpha, else the prior with the colors beside its edge, else GrabCut from the border's colors.
    outline: margin in pixels beyond the longer side. The metrics frame_left, frame_top and frame_side say
    which square of the picture was framed, in its pixels.
    PictureError: no subject can be separated from the background. ValueError: invalid arguments.
    """
    _check_arguments(picture, size, outline, method)
    given = len(picture)
    picture = shrink_picture(np.asarray(picture, dtype=np.float32), 2 * size)
    progress(0.05)
    cutout = cut_out(picture, mask, prior, method, span_progress(progress, 0.05, 0.7))
    alpha = remove_islands(cutout.alpha)
    progress(0.75)
    rgba = frame_subject(cutout.rgb, alpha, size, outline, span_progress(progress, 0.75, 1.0))
    progress(1.0)
    metrics = {"coverage": float(alpha.mean()), "framed_coverage": float(rgba[..., 3].mean())}
    scale = given / len(picture)
    frame = (scale * length for length in place_frame(alpha, size, outline))
    metrics |= dict(zip(("frame_left", "frame_top", "frame_side"), frame, strict=True))
    warnings = (*cutout.warnings, *_find_doubts(alpha))
    return FramedPicture(rgba, cutout.method, warnings, metrics)


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


def _find_doubts(alpha: FloatArray) -> tuple[str, ...]:
    subject = alpha >= 0.5
    doubts = []
    sides = {"top": subject[0], "bottom": subject[-1], "left": subject[:, 0], "right": subject[:, -1]}
    touched = [name for name, line in sides.items() if line.mean() > 0.02]
    if touched:
        doubts.append(f"the subject is cut off by the picture's {', '.join(touched)}")
    height, width = (int(np.ptp(np.flatnonzero(subject.any(axis=axis)))) + 1 for axis in (1, 0))
    if width > _MAX_ASPECT * height:
        doubts.append(
            f"the subject is {width / height:.1f} times as wide as tall; it may not be a whole figure"
        )
    return tuple(doubts)
