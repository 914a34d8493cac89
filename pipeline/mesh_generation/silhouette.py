"""Sample the subject's silhouette on the working grid, and measure its local thickness."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from ..errors import MeshError
from ..types import BoolArray, Float64Array, FloatArray, FramedPicture, IntArray

_CELLS = 480
_MAX_CELLS = 70_000
"""Cells along the subject's longer side, and the largest area, which bulky subjects reach first."""
_MARGIN = 3
_RAMP = 0.7
_MIN_PART = 0.002
"""Separate parts below this share of the subject are dropped."""


class Silhouette(NamedTuple):
    """A grid whose row 0 is at the top; lengths are in cells.

    alpha: (H, W) float32; the outline is where it crosses 0.5. lightness: (H, W) 0..1.
    ground: row coordinate of the lowest point. height: from there to the top.
    origin: x, y of the grid's upper left corner, and step: of a cell, in pixels of the framed picture, whose
    side has `side` pixels.
    """

    alpha: FloatArray
    lightness: FloatArray
    ground: float
    height: float
    origin: tuple[float, float]
    step: float
    side: int

    @property
    def inside(self) -> BoolArray:
        """(H, W) bool."""
        return self.alpha > 0.5

    def locate(self, point: FloatArray) -> Float64Array:
        """Column and row on the grid of a point (x, y) in shares of the framed picture's side."""
        return (point[:2].astype(np.float64) * self.side - self.origin) / self.step - 0.5

    def to_picture(
        self, row: FloatArray | IntArray, column: FloatArray | IntArray, size: int
    ) -> tuple[FloatArray, FloatArray]:
        """Where cells of the grid lie on the framed picture at `size` pixels a side: y and x, in pixels."""
        x, y = self.origin
        scale = size / self.side
        return (y + (row + 0.5) * self.step) * scale, (x + (column + 0.5) * self.step) * scale

    def look_up(self, plane: IntArray, row: FloatArray | IntArray, column: FloatArray | IntArray) -> IntArray:
        """Values of a plane (N, N) over the framed picture at cells of the grid, the nearest ones."""
        y, x = (
            np.clip(place, 0, len(plane) - 1).astype(int)
            for place in self.to_picture(row, column, len(plane))
        )
        return plane[y, x]


def sample_silhouette(picture: FramedPicture) -> Silhouette:
    """Resample the subject to 480 cells on its longer side, fewer if bulky; MeshError if there is none."""
    alpha = _drop_specks(picture.rgba[..., 3])
    if (alpha > 0.5).sum() < 16:
        raise MeshError("the framed picture has no subject: its alpha reaches one half nowhere")
    rows, columns = (np.flatnonzero((alpha > 0.5).any(axis=axis)) for axis in (1, 0))
    centre = np.array([columns[0] + columns[-1] + 1, rows[0] + rows[-1] + 1]) / 2
    spans = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    step = max(max(spans) / _CELLS, float(np.sqrt((alpha > 0.5).sum() / _MAX_CELLS)))
    height, width = (int(np.ceil(span / step)) + 2 * _MARGIN for span in spans)
    shape = height, width
    light = picture.rgba[..., :3] @ np.array((0.2126, 0.7152, 0.0722), dtype=np.float32)
    # A ramp of known width locates the outline between cells better than the picture's own edge.
    grid = ndimage.gaussian_filter(_resample(alpha, centre, step, shape), _RAMP)
    # The outline must be closed within the grid, so nothing may touch its rim.
    grid[0] = grid[-1] = grid[:, 0] = grid[:, -1] = 0.0
    if not (grid > 0.5).any():
        raise MeshError(f"the subject is too thin for a shape: {spans[1]} x {spans[0]} pixels")
    low, high = _vertical_extent(grid)
    x, y = centre - np.array([width, height]) * step / 2
    origin = (float(x), float(y))
    light = _resample(light, centre, step, shape)
    return Silhouette(grid, light, high, high - low, origin, step, len(picture.rgba))


def _drop_specks(alpha: FloatArray) -> FloatArray:
    labels, count = ndimage.label(alpha > 0.5, structure=np.ones((3, 3)))
    if count < 2:
        return alpha
    area = np.bincount(labels.ravel())
    area[0] = 0
    kept = (area >= _MIN_PART * area.sum())[labels]
    return np.where(kept | (ndimage.binary_dilation(kept, iterations=2) & (labels == 0)), alpha, 0.0)


def _resample(plane: FloatArray, centre: FloatArray, step: float, shape: tuple[int, int]) -> FloatArray:
    """Resample plane (H, W) to `shape` cells of `step` pixels around `centre` (x, y); 0 outside."""
    pad = int(np.ceil(max(shape) * step)) // 2 + 2
    image = Image.fromarray(np.pad(plane, pad).astype(np.float32))
    half = np.array([shape[1], shape[0]]) * step / 2
    box = (*(centre + pad - half), *(centre + pad + half))
    return np.array(image.resize((shape[1], shape[0]), Image.Resampling.HAMMING, box=box))


def _vertical_extent(alpha: FloatArray) -> tuple[float, float]:
    """Return the row coordinates of the outline's highest and lowest point, with subcell precision."""
    peak = alpha.max(axis=1)
    rows = np.flatnonzero(peak > 0.5)
    top, bottom = rows[0], rows[-1]
    above = (peak[top] - 0.5) / max(float(peak[top] - peak[top - 1]), 1e-6)
    below = (peak[bottom] - 0.5) / max(float(peak[bottom] - peak[bottom + 1]), 1e-6)
    return float(top - above), float(bottom + below)


def measure_local_thickness(inside: BoolArray, levels: int = 28) -> FloatArray:
    """Radius (H, W), in cells, of the largest disc inside the region that covers each cell.

    Hildebrand and Rüegsegger, "A new method for the model-independent assessment of thickness",
    J. Microscopy 1997; computed at half resolution, in `levels` steps.
    """
    small = inside[::2, ::2]
    radius = ndimage.distance_transform_edt(np.pad(small, 1))[1:-1, 1:-1]
    thickness = np.minimum(radius, 1.0)
    for level in np.geomspace(1.0, max(float(radius.max()), 1.01), levels):
        core = radius >= level
        if core.any():
            covered = ndimage.distance_transform_edt(~core) < level
            thickness = np.where(covered & small, level, thickness)
    full = 2 * ndimage.zoom(thickness, 2, order=1, grid_mode=True, mode="nearest")
    return full[: inside.shape[0], : inside.shape[1]].astype(np.float32)


def label_rows(region: BoolArray) -> IntArray:
    """Number each run of cells in a row of region (H, W), from 1, row by row; 0 outside."""
    return np.asarray(ndimage.label(region, structure=[[0, 0, 0], [1, 1, 1], [0, 0, 0]])[0])


def blur_inside(values: FloatArray, inside: BoolArray, sigma: float) -> FloatArray:
    """Gaussian mean of values (H, W) over the cells inside only; nothing leaks in from outside."""
    weight = ndimage.gaussian_filter(inside.astype(np.float32), sigma, truncate=3)
    total = ndimage.gaussian_filter(np.where(inside, values, 0.0).astype(np.float32), sigma, truncate=3)
    return total / np.maximum(weight, 1e-4)


def spread_nearest(values: FloatArray, known: BoolArray) -> FloatArray:
    """Give every cell (H, W) that is not known the value of the nearest one that is."""
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    return values[tuple(nearest)]
