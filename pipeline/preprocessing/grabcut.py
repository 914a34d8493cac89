"""Separate subject and background by color models and minimum cuts.

C. Rother, V. Kolmogorov, A. Blake, "GrabCut: Interactive Foreground Extraction using Iterated Graph
Cuts", SIGGRAPH 2004. The user's rectangle is replaced by a model of the picture's border: a smooth
color field plus a mixture of residuals, so that background gradients do not count as contrast.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ..progress import Progress, ignore_progress
from ..types import BoolArray, FloatArray
from .graph_cut import link_neighbours, solve_cut
from .mixture import Mixture, fit_mixture, log_density

_COMPONENTS = 5
_ROUNDS = 4
_UNIFORM = np.log(1.0 / (100.0 * 180.0 * 180.0))
"""Log density of a color that neither model has seen."""
_UNSEEN_SUBJECT, _UNSEEN_BACKGROUND = 0.05, 0.005
"""Share of such colors: the border shows the background well; nothing shows the whole subject."""
_BACKGROUND_NOISE = 0.7
_MAX_LOG_RATIO = 12.0
"""Largest log ratio that a single pixel may have."""
_BORDER = 0.025
"""Width of the border that models the background, as a fraction of the longer side."""


class ColorModels(NamedTuple):
    """field: (6, 3) quadratic color field of the background. residual, subject: mixtures."""

    field: FloatArray
    residual: Mixture
    subject: Mixture


class Cut(NamedTuple):
    """subject: (H, W) bool. models: the color models, valid at any resolution."""

    subject: BoolArray
    models: ColorModels


def cut_subject(lab: FloatArray, *, progress: Progress = ignore_progress) -> Cut | None:
    """Cut the subject out of lab (H, W, 3), L*a*b*; None if nothing differs from the border."""
    border = _border(lab.shape[:2])
    field = fit_color_field(lab, border)
    difference = lab - evaluate_color_field(field, lab.shape[:2])
    residual = fit_mixture(difference[border], _COMPONENTS, _BACKGROUND_NOISE)
    subject = _first_guess(log_density(residual, difference), border)
    pairs = link_neighbours(lab)
    models, everywhere = None, np.ones_like(border)
    for done in range(_ROUNDS):
        if not subject.any() or subject.all():
            return None
        models = ColorModels(
            field, _refit(difference, subject, border), fit_mixture(lab[subject], _COMPONENTS)
        )
        ratio = log_ratio(models, lab, everywhere).reshape(border.shape) + _prior(border.shape)
        ratio[border & ~subject] -= 2.0
        subject = solve_cut(ratio, pairs)
        progress((done + 1) / _ROUNDS)
    return None if models is None or not subject.any() else Cut(subject, models)


def log_ratio(models: ColorModels, lab: FloatArray, where: BoolArray) -> FloatArray:
    """Return the bounded log odds (N,) that the N pixels of lab (H, W, 3) at `where` (H, W) are subject."""
    colors = lab[where]
    expected = _polynomial(lab.shape[:2])[where] @ models.field
    subject = _with_unseen(log_density(models.subject, colors), _UNSEEN_SUBJECT)
    background = _with_unseen(log_density(models.residual, colors - expected), _UNSEEN_BACKGROUND)
    return np.clip(subject - background, -_MAX_LOG_RATIO, _MAX_LOG_RATIO)


def _with_unseen(density: FloatArray, share: float) -> FloatArray:
    return np.logaddexp(np.log(1 - share) + density, np.log(share) + _UNIFORM)


def _border(shape: tuple[int, int]) -> BoolArray:
    width = max(2, round(_BORDER * max(shape)))
    border = np.ones(shape, dtype=bool)
    border[width:-width, width:-width] = False
    return border


def _prior(shape: tuple[int, int]) -> FloatArray:
    """Characters are usually in the middle: log odds +0.5 there, -1 at the frame."""
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    return 0.5 - 1.5 * np.maximum(np.abs(x), np.abs(y)) ** 4


def _polynomial(shape: tuple[int, int]) -> FloatArray:
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j].astype(np.float32)
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)


def fit_color_field(lab: FloatArray, where: BoolArray) -> FloatArray:
    """Fit a quadratic (6, 3) to lab (H, W, 3) at `where`, by reweighted least squares (Cauchy)."""
    basis, target = _polynomial(lab.shape[:2])[where], lab[where]
    weight = np.ones(len(target))
    for _ in range(8):
        root = np.sqrt(weight)[:, None]
        field = np.linalg.lstsq(basis * root, target * root, rcond=None)[0]
        distance = np.linalg.norm(target - basis @ field, axis=1)
        weight = 1.0 / (1.0 + (distance / max(float(np.median(distance)), 1.0)) ** 2)
    return field.astype(np.float32)


def evaluate_color_field(field: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """Evaluate the field on a picture of `shape`; returns colors (H, W, 3)."""
    return _polynomial(shape) @ field


def _first_guess(background: FloatArray, border: BoolArray) -> BoolArray:
    """Pixels that the border model does not explain, by a threshold that still explains the border."""
    threshold = min(float(np.percentile(background[border], 5)), -8.0)
    subject = (background < threshold) & ~border
    if subject.mean() < 0.01:
        subject = (background < float(np.percentile(background, 15))) & ~border
    return subject


def _refit(difference: FloatArray, subject: BoolArray, border: BoolArray) -> Mixture:
    """Refit the background's mixture on pixels clear of the subject's soft edge."""
    clear = ~ndimage.binary_dilation(subject, iterations=3)
    return fit_mixture(difference[clear if clear.mean() > 0.05 else border], _COMPONENTS, _BACKGROUND_NOISE)
