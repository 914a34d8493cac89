"""Entry of the stage: cut the subject out of a picture and frame it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from ..color import srgb_to_lab
from ..errors import PictureError
from ..progress import Progress, ignore_progress, span_progress
from ..types import BoolArray, FloatArray, FramedPicture
from .framing import frame_subject, resize_plane
from .grabcut import cut_subject
from .matte import refine_matte

METHODS = ("auto", "alpha", "grabcut")
_CUT_SIDE = 256
_MIN_COVERAGE, _MAX_COVERAGE = 0.01, 0.95
_ISLAND = 0.01
_MAX_ASPECT = 1.3
"""Times the height: even outstretched arms are narrower."""
_SPECK = 2e-5
"""Holes smaller than this share of the picture are noise."""


class Cutout(NamedTuple):
    """rgb: (H, W, 3). alpha: (H, W). method: how the subject was found. warnings: for the report."""

    rgb: FloatArray
    alpha: FloatArray
    method: str
    warnings: tuple[str, ...] = ()


def preprocess_picture(
    picture: FloatArray,
    *,
    mask: FloatArray | None = None,
    size: int = 1024,
    outline: int = 128,
    method: str = "auto",
    progress: Progress = ignore_progress,
) -> FramedPicture:
    """Cut the subject out of picture (H, W, 3 or 4), sRGB 0..1, and frame it in a `size` square.

    mask: (H, W), white is the subject; an all-white mask is ignored. `auto` uses the mask, else the
    picture's own alpha, else GrabCut. outline: margin in pixels beyond the longer side.
    PictureError: no subject can be separated from the background. ValueError: invalid arguments.
    """
    _check_arguments(picture, size, outline, method)
    picture = shrink_picture(np.asarray(picture, dtype=np.float32), 2 * size)
    progress(0.05)
    cutout = _choose_cutout(picture, mask, method, span_progress(progress, 0.05, 0.7))
    alpha = remove_islands(cutout.alpha)
    progress(0.75)
    rgba = frame_subject(cutout.rgb, alpha, size, outline, span_progress(progress, 0.75, 1.0))
    progress(1.0)
    metrics = {"coverage": float(alpha.mean()), "framed_coverage": float(rgba[..., 3].mean())}
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


def _choose_cutout(picture: FloatArray, mask: FloatArray | None, method: str, progress: Progress) -> Cutout:
    if method != "grabcut":
        if mask is not None and np.min(mask) < 0.5:
            return _cut_by_plane(picture, _fit_mask(mask, picture.shape[:2]), "mask")
        if picture.shape[2] == 4 and (picture[..., 3] < 0.5).mean() > 1e-3:
            return _cut_by_plane(picture, picture[..., 3], "alpha")
        if method == "alpha":
            raise PictureError("the picture has no transparency and no mask; method alpha needs one of them")
    return _cut_by_color(picture[..., :3], progress)


def _fit_mask(mask: FloatArray, shape: tuple[int, int]) -> FloatArray:
    mask = np.clip(np.asarray(mask, dtype=np.float32), 0.0, 1.0)
    return mask if mask.shape == shape else resize_plane(mask, shape, Image.Resampling.BILINEAR)


def _cut_by_plane(picture: FloatArray, alpha: FloatArray, name: str) -> Cutout:
    if alpha.max() < 0.5:
        found = "fully transparent" if name == "alpha" else "fully masked out"
        raise PictureError(
            f"the picture is {found}: no pixel reaches half opacity (the highest is {alpha.max():.2f})"
        )
    return Cutout(picture[..., :3], alpha, name)


def _cut_by_color(rgb: FloatArray, progress: Progress) -> Cutout:
    spread = float((rgb.max(axis=(0, 1)) - rgb.min(axis=(0, 1))).max())
    if spread < 0.02:
        color = "#" + "".join(f"{round(255 * float(c)):02x}" for c in rgb.mean(axis=(0, 1)))
        raise PictureError(f"the picture is a single color ({color}); it has no subject")
    lab = srgb_to_lab(rgb)
    shape = tuple(max(8, round(n * min(1.0, _CUT_SIDE / max(lab.shape[:2])))) for n in lab.shape[:2])
    cut = cut_subject(
        resize_plane(lab, shape, Image.Resampling.BOX), progress=span_progress(progress, 0.1, 0.6)
    )
    coverage = 0.0 if cut is None else float(cut.subject.mean())
    if cut is None or not _MIN_COVERAGE <= coverage <= _MAX_COVERAGE:
        found = f"the cut found {coverage:.1%} of the picture"
        return Cutout(
            rgb,
            _central_region(rgb.shape[:2]),
            "grabcut",
            (f"no clear subject: {found}; its center is used",),
        )
    small = keep_large_parts(cut.subject).astype(np.float32)
    coarse = np.clip(resize_plane(small, rgb.shape[:2], Image.Resampling.BICUBIC), 0.0, 1.0)
    return Cutout(rgb, refine_matte(rgb, lab, coarse, cut.models), "grabcut")


def _central_region(shape: tuple[int, int]) -> FloatArray:
    """An upright soft ellipse in the center of the picture."""
    height, width = shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    half_height = 0.45 * height
    half_width = min(0.45 * width, 0.6 * half_height)
    radius = np.hypot((x - (width - 1) / 2) / half_width, (y - (height - 1) / 2) / half_height)
    return np.clip((1.0 - radius) * half_width + 0.5, 0.0, 1.0)


def keep_large_parts(region: BoolArray, share: float = _ISLAND) -> BoolArray:
    """Drop the connected parts of region (H, W) smaller than `share` of the largest part's area."""
    labels, count = ndimage.label(region, structure=np.ones((3, 3)))
    if count < 2:
        return region
    area = np.bincount(labels.ravel())
    area[0] = 0
    return (area >= share * area.max())[labels] & region


def remove_islands(alpha: FloatArray) -> FloatArray:
    """Clear the parts of alpha (H, W) that are tiny compared to the largest, and close pinholes."""
    subject = alpha >= 0.5
    kept = keep_large_parts(subject)
    reach = ndimage.binary_dilation(kept, iterations=3)
    cleaned = np.where(reach & ~(subject & ~kept), alpha, 0.0)
    holes, count = ndimage.label(~kept)
    if count > 1:
        small = np.bincount(holes.ravel()) < max(2.0, _SPECK * alpha.size)
        small[0] = False
        cleaned = np.where(small[holes], 1.0, cleaned)
    return cleaned.astype(np.float32)


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
