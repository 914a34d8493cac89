"""Mixtures of Gaussians over colors whose weights vary over the picture."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..types import BoolArray, FloatArray
from .mixture import Mixture, component_log_density, fit_mixture

_CELLS = 96
"""Cells of the weights along the longer side."""
_REACH = 0.045
"""Standard deviation of the neighborhood that the weights describe, as a share of the longer side."""
_PRIOR_CELLS = 2.0
"""Pixels of evidence at which a neighborhood counts as much as the whole picture."""
_EVERYWHERE = 0.1
"""Least share of the whole picture's weights."""
_UNIFORM = np.log(1.0 / (100.0 * 180.0 * 180.0))
"""Log density of a color that the mixture has not seen."""


class LocalMixture:
    """The colors of one side of a cut: components of the whole picture, weighted by what lies nearby."""

    def __init__(
        self, lab: FloatArray, where: BoolArray, components: int, noise: float, unseen: float
    ) -> None:
        """Fit to the pixels of lab (H, W, 3), L*a*b*, at `where` (H, W), which must hold some.

        noise: smallest standard deviation of a component. unseen: share of colors in none of them.
        """
        self._unseen = unseen
        self._mixture: Mixture = fit_mixture(lab[where], components, noise)
        label = np.argmax(component_log_density(self._mixture, lab[where]), axis=1)
        count = len(self._mixture.log_weight)
        longer = max(where.shape)
        self._grid = tuple(max(1, round(_CELLS * side / longer)) for side in where.shape)
        cell = self._cells(np.argwhere(where), where.shape)
        pixels = np.bincount(cell * count + label, minlength=self._grid[0] * self._grid[1] * count)
        nearby = ndimage.gaussian_filter(
            pixels.reshape(*self._grid, count).astype(np.float32), (_REACH * _CELLS,) * 2 + (0,), truncate=3.0
        )
        whole = np.exp(self._mixture.log_weight).astype(np.float32)
        nearby = (nearby + _PRIOR_CELLS * whole) / (nearby.sum(axis=-1, keepdims=True) + _PRIOR_CELLS)
        self._weight = ((1 - _EVERYWHERE) * nearby + _EVERYWHERE * whole).reshape(-1, count)

    def log_density(self, lab: FloatArray, where: BoolArray) -> FloatArray:
        """Log density (N,) at the N pixels of lab (H, W, 3) at `where` (H, W); any resolution."""
        density = component_log_density(self._mixture, lab[where]) - self._mixture.log_weight.astype(
            np.float32
        )
        highest = density.max(axis=1)
        weight = self._weight[self._cells(np.argwhere(where), where.shape)]
        mixed = (np.exp(density - highest[:, None]) * weight).sum(axis=1)
        seen = np.log(np.maximum(mixed, 1e-30)) + highest
        return np.logaddexp(np.log(1 - self._unseen) + seen, np.log(self._unseen) + _UNIFORM)

    def _cells(self, pixels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        row, column = (pixels[:, axis] * self._grid[axis] // shape[axis] for axis in (0, 1))
        return row * self._grid[1] + column
