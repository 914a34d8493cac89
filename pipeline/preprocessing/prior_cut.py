"""Cut the subject out where a coarse mask already tells about where it is.

The mask is the prior of a minimum cut; the evidence is the colors on both sides of its edge, nearby. So a
white shirt on white stays, because the mask is sure of it, and shadow or floor under the feet goes, because
the mask doubts it and the floor beside it looks the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from ..progress import Progress, ignore_progress
from ..types import BoolArray, FloatArray
from .framing import resize_plane
from .graph_cut import recut_band
from .local_mixture import LocalMixture
from .matte import find_edge, soften_edge

_CUT_SIDE = 384
_SURE = 0.9
"""The mask is sure of the subject above this, and of the background below one minus this."""
_DOUBT = 0.003
"""Bounds the log odds of the mask at about 6."""
_MOST_COLOR = 5.0
"""Largest log odds that a pixel's color has: less than a sure mask has."""
_REACH = 0.06
"""How far outside the mask the subject may be found, as a share of the longer side."""
_AROUND = 0.2
"""How far outside the mask the background is learned from."""
_ROUNDS = 2
_COMPONENTS = 12
_NOISE = 1.0
_UNSEEN_SUBJECT, _UNSEEN_BACKGROUND = 0.05, 0.005
_SMOOTHNESS, _FINE_SMOOTHNESS = 4.0, 8.0
"""Of the coarse cut, which must not lose thin parts, and of the outline at full resolution."""
_BAND = 0.006
"""Half width of the band that is cut again at full resolution, as a share of the longer side."""


class Sides(NamedTuple):
    """The colors of the subject and of the background around it."""

    subject: LocalMixture
    background: LocalMixture

    def log_odds(self, lab: FloatArray, where: BoolArray) -> FloatArray:
        """Bounded log odds (N,) that the N pixels of lab (H, W, 3) at `where` (H, W) are subject."""
        difference = self.subject.log_density(lab, where) - self.background.log_density(lab, where)
        return np.clip(difference, -_MOST_COLOR, _MOST_COLOR)


def cut_by_prior(
    rgb: FloatArray, lab: FloatArray, prior: FloatArray, *, progress: Progress = ignore_progress
) -> FloatArray:
    """Return alpha (H, W) of the subject of rgb, whose L*a*b* is lab, both (H, W, 3).

    prior: (H, W) 0..1, a coarse mask with soft edges; some of it must be at least one half.
    """
    shape = tuple(max(8, round(n * min(1.0, _CUT_SIDE / max(prior.shape)))) for n in prior.shape)
    small = resize_plane(lab, shape, Image.Resampling.BOX)
    coarse = np.clip(resize_plane(prior, shape, Image.Resampling.BILINEAR), 0.0, 1.0)
    subject, sides = _cut_coarse(small, coarse, progress)
    if sides is None:
        return np.clip(prior, 0.0, 1.0)
    smooth = resize_plane(subject.astype(np.float32), prior.shape, Image.Resampling.BICUBIC)
    inside = smooth > 0.5
    band = find_edge(inside, max(2, round(_BAND * max(prior.shape))))
    ratio = sides.log_odds(lab, band) + _log_odds(prior[band])
    return soften_edge(rgb, recut_band(lab, inside, band, ratio, _FINE_SMOOTHNESS))


def _log_odds(share: FloatArray) -> FloatArray:
    return np.log((share + _DOUBT) / (1 - share + _DOUBT))


def _cut_coarse(lab: FloatArray, prior: FloatArray, progress: Progress) -> tuple[BoolArray, Sides | None]:
    """The labels (H, W), and the colors they were found by; None if one side has no sure pixel."""
    longer = max(prior.shape)
    distance = ndimage.distance_transform_edt(prior <= 0.5)
    around = distance < _AROUND * longer
    subject = prior > 0.5
    # Deep inside the mask, where it is sure, no color can change the label.
    open_ = (distance < _REACH * longer) & ~ndimage.binary_erosion(prior > 1 - _DOUBT, iterations=2)
    odds = _log_odds(prior[open_])
    inner, outer = prior > _SURE, (prior < 1 - _SURE) & around
    sides = None
    for done in range(_ROUNDS):
        if not inner.any() or not outer.any():
            break
        sides = Sides(
            LocalMixture(lab, inner, _COMPONENTS, _NOISE, _UNSEEN_SUBJECT),
            LocalMixture(lab, outer, _COMPONENTS, _NOISE, _UNSEEN_BACKGROUND),
        )
        subject = recut_band(lab, subject, open_, odds + sides.log_odds(lab, open_), _SMOOTHNESS)
        inner = ndimage.binary_erosion(subject, iterations=2) & (prior > 0.3)
        outer = ~ndimage.binary_dilation(subject, iterations=2) & (prior < 0.7) & around
        progress((done + 1) / _ROUNDS)
    return subject, sides
