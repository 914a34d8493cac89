"""Colours of surface points from the views that see them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt

from ..cameras import camera_basis, project_points
from ..rasterize import interpolate_attributes, rasterize_triangles
from ..types import Camera, FloatArray
from .atlas import fill_between

_PREFERENCE = {"front": 8.0, "top": 0.25, "bottom": 0.25}
"""The front view is the picture itself; top and bottom are farthest from it and see little."""
_OPAQUE = 0.97
"""Pixels with less mask than this have background in their colour."""
_LEAST_FACING, _FULLY_FACING = 0.1, 0.2
"""Cosines between normal and view from which on a surface is seen, and is seen as well as any."""
_EDGE_RAMP = 1 / 128
"""Trust in a view grows from an outline inwards over this share of its side."""
_ENOUGH = 0.04
"""From this weight on a texel takes the views' colour alone; below, it fades into the fill."""
_NOWHERE = -1e3
"""Depth of the background, in half extents: in front of all, so that nothing is seen through it."""
_STEEPEST_JUMP = 6.0
"""Neighbouring pixels whose depths differ by more pixel widths than this lie on different parts."""
_FINER = 2
"""Depths have this many samples along a pixel, and colours are brought to as many by bicubic filtering."""
_MARGIN = 8
"""Pixels around the mesh's bounds that belong to a view's window."""
_SHARPEN = 1 / 12
"""Share of the Laplacian taken off: 1 / 24 for the area of a pixel, as much for the filters."""
_POINTS_PER_BLOCK = 1 << 18


class Window(NamedTuple):
    """The part of a view's S x S pixels that shows the mesh: rows and columns."""

    rows: slice
    columns: slice
    side: int

    def place(self, uv: torch.Tensor) -> torch.Tensor:
        """Image coordinates (N, 2) 0..1 as pixels (N, 2) of the window."""
        return uv * self.side - torch.tensor((self.columns.start, self.rows.start))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start


class View(NamedTuple):
    """What one camera saw, in a window of height H and width W; U and V are _FINER times these.

    color: (3, U, V) sRGB. depth: (U, V) metres, far in front where the mesh is not. weights: (H, W) 0..1.
    """

    camera: Camera
    window: Window
    color: torch.Tensor
    depth: torch.Tensor
    weights: torch.Tensor

    @property
    def full_weights(self) -> FloatArray:
        """(S, S) the weights in the whole picture, 0 outside the window."""
        full = np.zeros((self.window.side, self.window.side), np.float32)
        full[self.window.rows, self.window.columns] = self.weights.numpy()
        return full


class Surface(NamedTuple):
    """Vertices (V, 3) in metres, their unit normals (V, 3), and faces (F, 3) int64."""

    positions: torch.Tensor
    normals: torch.Tensor
    faces: torch.Tensor


class _Shape(NamedTuple):
    """depth: (U, V), as in View. facing: (H, W) cosine towards the camera. outline: (H, W) bool."""

    depth: torch.Tensor
    facing: torch.Tensor
    outline: torch.Tensor


class Blend:
    """The views' colours at points (N, 3), metres, with unit normals (N, 3), view by view.

    visible: (N,) 0..1, whether any view so far saw the point, whatever its weight there.
    """

    def __init__(self, points: torch.Tensor, normals: torch.Tensor) -> None:
        self._points, self._normals = points, normals
        self._color, self._total = torch.zeros_like(points), points.new_zeros(len(points))
        self.visible, self._best = torch.zeros_like(self._total), torch.zeros_like(self._total)

    def add(self, view: View) -> None:
        """Add what a view shows."""
        towards = torch.as_tensor(camera_basis(view.camera)[2], dtype=self._points.dtype)
        facing = self._normals @ towards
        for rows in torch.nonzero(facing > _LEAST_FACING).squeeze(1).split(_POINTS_PER_BLOCK):
            color, weight, visible = _look_up(view, self._points[rows], facing[rows])
            # The sixth power: two views mix only in a narrow band, so that no ghosts appear.
            sharp = (weight**3) ** 2 * visible * _PREFERENCE.get(view.camera.name, 1.0)
            self._color[rows] += color * sharp[:, None]
            self._total[rows] += sharp
            self._best[rows] = torch.maximum(self._best[rows], weight * visible)
            self.visible[rows] = torch.maximum(self.visible[rows], visible)

    def read(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Colour (N, 3) sRGB, 0 where unseen; and the share (N,) 0..1 that it has beside the fill."""
        color = self._color / self._total.clamp(min=1e-30)[:, None]
        return color, (self._best / _ENOUGH).clamp(max=1)


def prepare_view(
    camera: Camera, surface: Surface, color: FloatArray, mask: FloatArray, weights: FloatArray | None
) -> View:
    """Find where the colours (S, S, 3) of a view can be trusted, and continue them over outlines.

    mask: (S, S) 0..1. weights: (S, S) 0..1 instead of those found, or None.
    """
    window = _frame_mesh(camera, surface, len(mask))
    mask, color = (item[window.rows, window.columns] for item in (mask, color))
    shape = _render_shape(camera, surface, window)
    outline = shape.outline | (torch.tensor(mask) < _OPAQUE)
    if weights is None:
        weight = _measure_trust(outline, _EDGE_RAMP * window.side) * shape.facing
    else:
        weight = torch.tensor(weights[window.rows, window.columns])
    clean = _sharpen(fill_between(torch.tensor(color).permute(2, 0, 1), ~outline))
    fine = F.interpolate(clean[None], scale_factor=_FINER, mode="bicubic", align_corners=False)
    return View(camera, window, fine[0].clamp(0, 1), shape.depth, weight)


def _frame_mesh(camera: Camera, surface: Surface, side: int) -> Window:
    """The mesh's bounds in the picture and a margin that the filters read."""
    uv, _ = project_points(camera, surface.positions)
    pixels = torch.stack((uv.amin(dim=0) * side - _MARGIN, uv.amax(dim=0) * side + _MARGIN))
    (left, top), (right, bottom) = pixels.clamp(0, side).round().int().tolist()
    return Window(slice(min(top, side - 1), max(bottom, 1)), slice(min(left, side - 1), max(right, 1)), side)


def _render_shape(camera: Camera, surface: Surface, window: Window) -> _Shape:
    uv, depth = project_points(camera, surface.positions)
    placed = torch.cat((window.place(uv) * _FINER, depth[:, None]), dim=1)
    height, width = window.size
    raster = rasterize_triangles(placed, surface.faces, (height * _FINER, width * _FINER))
    towards = torch.as_tensor(camera_basis(camera)[2], dtype=torch.float32)
    facing = interpolate_attributes(raster, surface.faces, (surface.normals @ towards)[:, None])[..., 0]
    depth = torch.where(raster.mask, raster.depth, _NOWHERE * camera.half_extent)
    edges = ~raster.mask | _find_jumps(depth, 2 * camera.half_extent / (window.side * _FINER))
    outline = edges.view(height, _FINER, width, _FINER).any(dim=3).any(dim=1)
    return _Shape(depth, F.avg_pool2d(facing[None], _FINER)[0].clamp(0, 1), outline)


def _find_jumps(depth: torch.Tensor, pixel_metres: float) -> torch.Tensor:
    """(U, V) bool: pixels on either side of a depth discontinuity."""
    jumps = torch.zeros(depth.shape, dtype=torch.bool)
    across = depth.diff(dim=1).abs() > _STEEPEST_JUMP * pixel_metres
    along = depth.diff(dim=0).abs() > _STEEPEST_JUMP * pixel_metres
    for side in (slice(None, -1), slice(1, None)):
        jumps[:, side] |= across
        jumps[side] |= along
    return jumps


def _sharpen(color: torch.Tensor) -> torch.Tensor:
    """(C, H, W) undo the blur of a pixel's own area and of the filters that follow."""
    padded = F.pad(color[None], (1, 1, 1, 1), mode="replicate")[0]
    across = padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]
    along = padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1]
    return color * (1 + 4 * _SHARPEN) - (across + along) * _SHARPEN


def _measure_trust(outline: torch.Tensor, ramp: float) -> torch.Tensor:
    """(H, W) float32: 0 on outlines, of the mask or between parts of the mesh, 1 `ramp` pixels inside."""
    if not outline.any():
        return torch.ones(outline.shape)
    distance = torch.from_numpy(distance_transform_edt(~outline.numpy())).float()
    return ((distance - 1.0) / ramp).clamp(0, 1)


def _look_up(
    view: View, points: torch.Tensor, facing: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Colour (N, 3), weight (N,) and visibility (N,) 0..1 of points whose normals have cosine `facing`."""
    uv, depth = project_points(view.camera, points)
    height, width = view.window.size
    grid = (view.window.place(uv) * 2 / torch.tensor((width, height)) - 1)[None, :, None]
    color, surface, weight = (_sample(layers, grid) for layers in (view.color, view.depth, view.weights))
    slope = torch.sqrt(1 - facing.clamp(max=1) ** 2) / facing
    tolerance = 2 * view.camera.half_extent / (view.window.side * _FINER) * (1 + slope)
    visible = (2 - (depth - surface[0]) / tolerance).clamp(0, 1)
    turned = ((facing - _LEAST_FACING) / (_FULLY_FACING - _LEAST_FACING)).clamp(max=1)
    return color.T, weight[0], visible * turned


def _sample(layers: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """(C, N) layers (C, H, W) or (H, W) at a grid (1, N, 1, 2)."""
    return F.grid_sample(layers.view(1, -1, *layers.shape[-2:]), grid, align_corners=False)[0, :, :, 0]
