"""Find the subject of a picture by its mask, its transparency, a coarse mask, or its border's colors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

from ..color import srgb_to_lab
from ..conventions import MASK_NETWORKS
from ..errors import PictureError
from ..progress import Progress, span_progress
from ..types import FloatArray
from .drawing import fill_drawing, lay_on_paper
from .framing import resize_plane
from .grabcut import cut_subject
from .matte import refine_matte, soften_edge
from .parts import keep_large_parts
from .prior_cut import cut_by_prior

_CUT_SIDE = 256
_MIN_COVERAGE, _MAX_COVERAGE = 0.01, 0.95
_MIN_PRIOR = 0.002
_VISIBLE, _MOSTLY = 0.1, 0.5
"""Opacity from which a pixel counts; share of those that have to be half opaque."""


class Cutout(NamedTuple):
    """rgb: (H, W, 3). alpha: (H, W). method: how the subject was found. warnings: for the report."""

    rgb: FloatArray
    alpha: FloatArray
    method: str
    warnings: tuple[str, ...] = ()


def needs_prior(picture: FloatArray, mask: FloatArray | None, method: str) -> bool:
    """Whether a cut by `method` uses a coarse mask of picture (H, W, 3 or 4), if there is one."""
    return method in MASK_NETWORKS or (method == "auto" and not _is_mask(mask) and not _has_alpha(picture))


def cut_out(
    picture: FloatArray,
    mask: FloatArray | None,
    prior: tuple[str, FloatArray] | None,
    method: str,
    progress: Progress,
) -> Cutout:
    """Cut the subject out of picture (H, W, 3 or 4).

    mask, prior: any size, or None. The prior's name of MASK_NETWORKS is the method that is said.
    """
    shape = picture.shape[:2]
    if method in ("auto", "alpha"):
        name, plane = "alpha", picture[..., 3] if _has_alpha(picture) else None
        if mask is not None and _is_mask(mask):
            name, plane = "mask", _fit_plane(mask, shape)
        if plane is not None:
            drawn = _fill_lines(picture, plane) if method == "auto" else None
            return drawn or _cut_by_plane(picture, plane, name)
        if method == "alpha":
            raise PictureError("the picture has no transparency and no mask; method alpha needs one of them")
    rgb = picture[..., :3]
    _require_contrast(rgb)
    lab = srgb_to_lab(rgb)
    fitted = None if prior is None or method == "grabcut" else _fit_plane(prior[1], shape)
    if method in ("auto", "drawing") and (filled := fill_drawing(lab, fitted)) is not None:
        return Cutout(rgb, soften_edge(rgb, filled), "drawing")
    if method == "drawing":
        raise PictureError("the picture is no line drawing on plain paper; method drawing needs one")
    if prior is not None and fitted is not None and _MIN_PRIOR <= (fitted >= 0.5).mean() <= _MAX_COVERAGE:
        return Cutout(rgb, cut_by_prior(rgb, lab, fitted, progress=progress), prior[0])
    return _cut_by_border(rgb, lab, progress)


def _is_mask(mask: FloatArray | None) -> bool:
    return mask is not None and bool(np.min(mask) < 0.5)


def _has_alpha(picture: FloatArray) -> bool:
    return picture.shape[2] == 4 and bool((picture[..., 3] < 0.5).mean() > 1e-3)


def _fill_lines(picture: FloatArray, plane: FloatArray) -> Cutout | None:
    """What the lines of picture (H, W, 3 or 4) enclose, where the plane (H, W) holds nothing else."""
    paper = lay_on_paper(picture[..., :3], plane)
    filled = None if paper is None else fill_drawing(srgb_to_lab(paper), None)
    return None if paper is None or filled is None else Cutout(paper, soften_edge(paper, filled), "drawing")


def _fit_plane(plane: FloatArray, shape: tuple[int, int]) -> FloatArray:
    plane = np.clip(np.asarray(plane, dtype=np.float32), 0.0, 1.0)
    return plane if plane.shape == shape else resize_plane(plane, shape, Image.Resampling.BILINEAR)


_INVERTED = (
    "; the subject is white in a mask, and a transparency, such as Load Image's mask, has to be inverted"
)


def _cut_by_plane(picture: FloatArray, alpha: FloatArray, name: str) -> Cutout:
    if name == "alpha":
        alpha, warnings = _make_opaque(alpha)
    else:
        warnings = ()
    if alpha.max() < 0.5:
        found, advice = ("fully transparent", "") if name == "alpha" else ("fully masked out", _INVERTED)
        highest = f"no pixel reaches half opacity (the highest is {alpha.max():.2f})"
        raise PictureError(f"the picture is {found}: {highest}{advice}")
    return Cutout(picture[..., :3], alpha, name, warnings)


def _make_opaque(alpha: FloatArray) -> tuple[FloatArray, tuple[str, ...]]:
    """Raise the opacity of a figure that is see-through all over, so that most of it is opaque."""
    seen = alpha[alpha > _VISIBLE]
    if not len(seen) or (seen >= 0.5).mean() >= _MOSTLY:
        return alpha, ()
    usual = float(np.median(seen))
    return np.minimum(alpha / usual, 1.0).astype(np.float32), (
        f"the figure is see-through (most of it by {1 - usual:.0%}); it was taken for opaque",
    )


def _require_contrast(rgb: FloatArray) -> None:
    spread = float((rgb.max(axis=(0, 1)) - rgb.min(axis=(0, 1))).max())
    if spread < 0.02:
        color = "#" + "".join(f"{round(255 * float(c)):02x}" for c in rgb.mean(axis=(0, 1)))
        raise PictureError(f"the picture is a single color ({color}); it has no subject")


def _cut_by_border(rgb: FloatArray, lab: FloatArray, progress: Progress) -> Cutout:
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
            (f"no clear subject, {found}, so its center is used: take a plain background or connect a mask",),
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
