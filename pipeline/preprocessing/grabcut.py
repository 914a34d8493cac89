"""Separate subject and background by color models and minimum cuts.

C. Rother, V. Kolmogorov, A. Blake, "GrabCut: Interactive Foreground Extraction using Iterated Graph
Cuts", SIGGRAPH 2004. The user's rectangle is replaced by a model of the picture's border: a smooth
color field plus a mixture of residuals, so that background gradients do not count as contrast.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from ..progress import Progress, ignore_progress
from ..types import BoolArray, FloatArray, IntArray
from .mixture import Mixture, fit_mixture, log_density

_COMPONENTS = 5
_SMOOTHNESS = 8.0
_CAPACITY_SCALE = 100.0
_ROUNDS = 4
_UNIFORM = np.log(1.0 / (100.0 * 180.0 * 180.0))
"""Log density of a color that neither model has seen."""
_UNSEEN_SUBJECT, _UNSEEN_BACKGROUND = 0.05, 0.005
"""Share of such colors: the border shows the background well; nothing shows the whole subject."""
_BACKGROUND_NOISE = 0.7
_MAX_LOG_RATIO = 12.0
"""Largest log ratio that a single pixel may have."""
_FIXED = 1000.0
"""Log ratio of pixels that the second cut must not change."""
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
    pairs = _link_neighbours(lab)
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


def recut_band(lab: FloatArray, subject: BoolArray, band: BoolArray, models: ColorModels) -> BoolArray:
    """Cut again inside `band` (H, W) only; outside it `subject` (H, W) is fixed."""
    rows, columns = (
        slice(max(0, line[0] - 1), line[-1] + 2)
        for line in (np.flatnonzero(band.any(axis=axis)) for axis in (1, 0))
    )
    ratio = np.where(subject, np.float32(_FIXED), np.float32(-_FIXED))
    ratio[band] = log_ratio(models, lab, band)
    result = subject.copy()
    pairs = _link_neighbours(lab[rows, columns], ndimage.binary_dilation(band[rows, columns]))
    result[rows, columns] = solve_cut(ratio[rows, columns], pairs)
    return result


def _link_neighbours(
    lab: FloatArray, among: BoolArray | None = None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Both ends and the contrast-dependent weight of each pair of 8-neighbours inside `among`."""
    height, width = lab.shape[:2]
    index = np.arange(height * width).reshape(height, width)
    firsts, seconds, lengths = [], [], []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        rows, rows_to = slice(0, height - down), slice(down, height)
        columns = slice(max(0, -right), width - max(0, right))
        columns_to = slice(max(0, right), width + min(0, right))
        first, second = index[rows, columns].ravel(), index[rows_to, columns_to].ravel()
        if among is not None:
            kept = among.ravel()[first] & among.ravel()[second]
            first, second = first[kept], second[kept]
        firsts.append(first)
        seconds.append(second)
        lengths.append(np.full(len(first), np.hypot(down, right), dtype=np.float32))
    first, second, flat = np.concatenate(firsts), np.concatenate(seconds), lab.reshape(-1, 3)
    square = ((flat[first] - flat[second]) ** 2).sum(axis=1)
    weight = np.exp(-square / max(2 * float(square.mean()), 1e-6)) / np.concatenate(lengths)
    return first, second, _SMOOTHNESS * weight


def solve_cut(ratio: FloatArray, pairs: tuple[FloatArray, FloatArray, FloatArray]) -> BoolArray:
    """Label (H, W) that minimises the sum of -ratio over the subject plus the weights of cut pairs."""
    first, second, weight = pairs
    flat = (ratio.ravel() * _CAPACITY_SCALE).astype(np.int32)
    # Only linked pixels become nodes; the others need no cut.
    linked = np.zeros(flat.size, dtype=bool)
    linked[first] = linked[second] = True
    node = np.cumsum(linked) - 1
    labels = flat > 0
    labels[linked] = _cut_graph(
        flat[linked], node[first], node[second], (weight * _CAPACITY_SCALE).astype(np.int32)
    )
    return labels.reshape(ratio.shape)


def _cut_graph(gain: IntArray, first: IntArray, second: IntArray, link: IntArray) -> BoolArray:
    """Return the minimum cut: gains (N,) above 0 are capacities from the source, others to the sink."""
    source, sink = gain.size, gain.size + 1
    winners, losers = np.flatnonzero(gain > 0), np.flatnonzero(gain < 0)
    tail = np.concatenate([first, second, np.full(len(winners), source), losers])
    head = np.concatenate([second, first, winners, np.full(len(losers), sink)])
    capacity = np.concatenate([link, link, gain[winners], -gain[losers]])
    graph = sparse.csr_matrix((capacity, (tail, head)), shape=(sink + 1, sink + 1))
    residual = graph - maximum_flow(graph, source, sink).flow
    residual.data = np.maximum(residual.data, 0)
    residual.eliminate_zeros()
    reached = breadth_first_order(residual, source, return_predecessors=False)
    labels = np.zeros(gain.size + 2, dtype=bool)
    labels[reached] = True
    return labels[: gain.size]
