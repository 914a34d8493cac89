"""Project views onto the surface: the color of each surface point from the views that see it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt

from ..cameras import measure_facing, measure_scale, project_points
from ..device import array_to_tensor, tensor_to_array
from ..errors import MeshError
from ..rasterize import interpolate_attributes, rasterize_projected, take_corners
from ..types import Camera, CameraRig, FloatArray
from .atlas import fill_between

_OWN = 8.0
"""Preference of views that are pictures of the character themselves …"""
_PREFERENCE = {"top": 0.25, "bottom": 0.25}
"""… and that of others by name: top and bottom are the least reliable."""
_OPPOSITE = {"left": "right", "right": "left"}
_OPAQUE = 0.97
"""Pixels with a lower mask value have some background in their color."""
_LEAST_FACING, _FULLY_FACING = 0.1, 0.2
"""Cosines between normal and view direction at which visibility begins, and is complete."""
_EDGE_RAMP = 1 / 128
"""The weight of a view's pixels ramps up from outlines inwards over this share of the side."""
_LEAST_WEIGHT = 0.01
"""On outlines, whose color is extended from inside: better than the fill where no other view is."""
_ENOUGH = 0.05
"""From this weight on a texel takes the views' color alone; below, it fades to the fill."""
_BACKGROUND_DEPTH = -1e3
"""In half extents: in front of everything, so that no point is visible through the background."""
_STEEPEST_JUMP = 6.0
"""Neighbouring pixels are on different parts if their depths differ by more pixel widths than this …"""
_GOES_ON = 0.5
"""… and the depth does not change by this share of it between the next two as well."""
_SUPERSAMPLING = 2
"""Samples per pixel and axis: of depth by rasterizing, of color by bicubic filtering."""
_MARGIN = 8
"""Pixels around the mesh's bounds that a view's window includes."""
_SHARPEN = 1 / 12
"""Share of the Laplacian that is subtracted: 1 / 24 for the pixel's area, as much for the filters."""
_POINTS_PER_BLOCK = 1 << 18
_LARGEST_SCALE = 20.0
"""The mesh is this many times nearer to a perspective camera than the target plane, at most."""


class Window(NamedTuple):
    """The rows and columns of a view's side x side pixels that show the mesh."""

    rows: slice
    columns: slice
    side: int

    def uv_to_pixels(self, uv: torch.Tensor) -> torch.Tensor:
        """Image coordinates (N, 2), 0..1, to pixel coordinates (N, 2) in the window."""
        return uv * self.side - uv.new_tensor((self.columns.start, self.rows.start))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start


class PreparedView(NamedTuple):
    """One view, cropped to a window of H x W pixels; U and V are _SUPERSAMPLING times H and W.

    color: (C, U, V) 0..1. depth: (U, V) metres, far in front of the mesh in the background.
    weights: (H, W) 0..1. astray: share of the view's mask that lies beside the mesh.
    """

    camera: Camera
    window: Window
    color: torch.Tensor
    depth: torch.Tensor
    weights: torch.Tensor
    astray: float

    @property
    def full_weights(self) -> FloatArray:
        """The weights of the whole view, (S, S), 0 outside the window."""
        full = np.zeros((self.window.side, self.window.side), np.float32)
        full[self.window.rows, self.window.columns] = tensor_to_array(self.weights)
        return full


class Surface(NamedTuple):
    """Vertices (V, 3) in metres, their unit normals (V, 3), and faces (F, 3) int64.

    The positions are on the CPU, where they are projected (see `rasterize_view`), the rest on the device.
    """

    positions: torch.Tensor
    normals: torch.Tensor
    faces: torch.Tensor


class _ViewGeometry(NamedTuple):
    """depth: (U, V), as in PreparedView. facing: (H, W) cosine of normal and view. outline: (H, W) bool.

    mask: (H, W) bool, where the mesh is.
    """

    depth: torch.Tensor
    facing: torch.Tensor
    outline: torch.Tensor
    mask: torch.Tensor


class ViewBlend:
    """Accumulates the colors of views, `channels` each, at points (N, 3), metres, with unit normals (N, 3).

    visible: (N,) 0..1, how well the best view so far sees the point, regardless of weights.
    """

    def __init__(self, points: torch.Tensor, normals: torch.Tensor, channels: int) -> None:
        self._points, self._normals = points, normals
        self._color, self._total = points.new_zeros((len(points), channels)), points.new_zeros(len(points))
        self.visible, self._best = torch.zeros_like(self._total), torch.zeros_like(self._total)

    def add(self, view: PreparedView, preference: float) -> None:
        """Add the colors of a view at the points that it sees; `preference` multiplies their weight."""
        facing = measure_facing(view.camera, self._points, self._normals)
        for rows in torch.nonzero(facing > _LEAST_FACING).squeeze(1).split(_POINTS_PER_BLOCK):
            seen = (item.index_select(0, rows) for item in (self._points, facing))
            color, weight, visible = look_up(view, *seen)
            sharp = weigh_sharply(weight, visible, preference)
            _update(torch.add, self._color, rows, color * sharp[:, None])
            _update(torch.add, self._total, rows, sharp)
            _update(torch.maximum, self._best, rows, weight * visible)
            _update(torch.maximum, self.visible, rows, visible)

    def read(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Colors (N, C), 0 where unseen, and their opacity (N,) 0..1 over the fill."""
        color = self._color / self._total.clamp(min=1e-30)[:, None]
        return color, (self._best / _ENOUGH).clamp(max=1)


def _update(
    join: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    values: torch.Tensor,
    rows: torch.Tensor,
    more: torch.Tensor,
) -> None:
    """Join some rows (M,) of values (N, …), each named once, with more (M, …), in place."""
    values.index_copy_(0, rows, join(values.index_select(0, rows), more))


def prepare_view(
    camera: Camera, surface: Surface, color: FloatArray, mask: FloatArray, weights: FloatArray | None
) -> PreparedView:
    """Weight the pixels of a view, (S, S, C) 0..1, and extend its reliable colors over outlines.

    mask: (S, S) 0..1. weights: (S, S) 0..1, used in place of computed ones, or None. Raises MeshError for a
    camera that stands in the mesh.
    """
    device = surface.normals.device
    uv, depth = project_points(camera, surface.positions)
    _require_distance(camera, depth)
    window, whole = _frame_mesh(uv, len(mask)), int(np.count_nonzero(mask > 0.5))
    mask, color = (item[window.rows, window.columns] for item in (mask, color))
    geometry = _render_geometry(camera, surface, window, uv, depth)
    shown = array_to_tensor(mask, device)
    outline = geometry.outline | (shown < _OPAQUE)
    astray = 1 - int((geometry.mask & (shown > 0.5)).sum()) / whole if whole else 0.0
    if weights is None:
        ramp = _ramp_from_outline(outline, _EDGE_RAMP * window.side).clamp(min=_LEAST_WEIGHT)
        weight = ramp * geometry.facing * (shown > 0)
    else:
        weight = array_to_tensor(weights[window.rows, window.columns], device)
    clean = _sharpen(fill_between(array_to_tensor(color, device).permute(2, 0, 1), ~outline))
    fine = F.interpolate(clean[None], scale_factor=_SUPERSAMPLING, mode="bicubic", align_corners=False)
    return PreparedView(camera, window, fine[0].clamp(0, 1), geometry.depth, weight, astray)


def look_up(
    view: PreparedView, points: torch.Tensor, facing: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Color (N, C), weight (N,) and visibility (N,) 0..1 of points seen at the cosines `facing` (N,)."""
    uv, depth = project_points(view.camera, points)
    height, width = view.window.size
    grid = (view.window.uv_to_pixels(uv) * 2 / uv.new_tensor((width, height)) - 1)[None, :, None]
    color, surface, weight = (_sample(layers, grid) for layers in (view.color, view.depth, view.weights))
    slope = torch.sqrt(1 - facing.clamp(max=1) ** 2) / facing
    tolerance = _size_pixel(view.camera, view.window) * measure_scale(view.camera, depth) * (1 + slope)
    visible = (2 - (depth - surface[0]) / tolerance).clamp(0, 1)
    frontal = ((facing - _LEAST_FACING) / (_FULLY_FACING - _LEAST_FACING)).clamp(0, 1)
    return color.T, weight[0], visible * frontal


def weigh_sharply(weight: torch.Tensor, visible: torch.Tensor, preference: float) -> torch.Tensor:
    """The weights (N,) of a view's colors: two views mix in a narrow band only, which avoids ghosting."""
    return (weight**3) ** 2 * visible * preference


def list_preferences(rig: CameraRig, pictured: Collection[str] = ("front",)) -> list[float]:
    """Factors on the weights of views: by name, and by how many pixels a view has to a square metre.

    pictured: names of the views that are pictures of the character. Left and right are each other's mirror
    images, so that both count as one if either does.
    """
    own = {*pictured, *(_OPPOSITE[name] for name in pictured if name in _OPPOSITE)}
    finest = min(camera.half_extent for camera in rig.cameras)
    return [
        (_OWN if camera.name in own else _PREFERENCE.get(camera.name, 1.0))
        * (finest / camera.half_extent) ** 2
        for camera in rig.cameras
    ]


def _require_distance(camera: Camera, depth: torch.Tensor) -> None:
    """Depths (V,) of points behind a perspective camera are larger than its distance."""
    scale = measure_scale(camera, depth)
    nearest, scale_there = float(scale.min()), float(scale.max())
    if nearest <= 0 or scale_there > _LARGEST_SCALE:
        raise MeshError(
            f"camera {camera.name} stands in the mesh, or close before it: expected all of the mesh in front "
            f"of it, no nearer than {camera.distance / _LARGEST_SCALE:.3g} m"
        )


def _frame_mesh(uv: torch.Tensor, side: int) -> Window:
    """The bounds of the vertices' image coordinates (V, 2), with a margin for the filters."""
    pixels = torch.stack((uv.amin(dim=0) * side - _MARGIN, uv.amax(dim=0) * side + _MARGIN))
    (left, top), (right, bottom) = pixels.clamp(0, side).round().int().tolist()
    return Window(slice(min(top, side - 1), max(bottom, 1)), slice(min(left, side - 1), max(right, 1)), side)


def _render_geometry(
    camera: Camera, surface: Surface, window: Window, uv: torch.Tensor, depth: torch.Tensor
) -> _ViewGeometry:
    """Rasterize the surface with the image coordinates (V, 2) and depths (V,) of its vertices."""
    pixels = torch.cat((window.uv_to_pixels(uv) * _SUPERSAMPLING, depth[:, None]), dim=1)
    height, width = window.size
    fine_size = height * _SUPERSAMPLING, width * _SUPERSAMPLING
    pixels = pixels.to(surface.faces.device)
    faces = _keep_seen(pixels[:, :2], surface.faces, fine_size)
    raster = rasterize_projected(camera, pixels, faces, fine_size)
    cosine = measure_facing(camera, surface.positions.to(surface.normals.device), surface.normals)
    facing = interpolate_attributes(raster, faces, cosine[:, None])[..., 0]
    seen_depth = torch.where(raster.mask, raster.depth, _BACKGROUND_DEPTH * camera.half_extent)
    pixel_size = torch.where(raster.mask, measure_scale(camera, raster.depth), 0) * _size_pixel(
        camera, window
    )
    edges, blocks = ~raster.mask | _find_jumps(seen_depth, pixel_size), (height, _SUPERSAMPLING, width, -1)
    outline, shown = (item.view(blocks).any(dim=3).any(dim=1) for item in (edges, raster.mask))
    facing = F.avg_pool2d(facing[None], _SUPERSAMPLING)[0].clamp(0, 1)
    return _ViewGeometry(seen_depth, facing, outline, shown)


def _keep_seen(pixels: torch.Tensor, faces: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The faces whose bounds meet the picture (H, W): a close view shows few, and others lie far outside."""
    corners = take_corners(pixels, faces)
    reach = pixels.new_tensor((size[1], size[0]))
    return faces[((corners.amin(dim=1) < reach) & (corners.amax(dim=1) > 0)).all(dim=1)]


def _size_pixel(camera: Camera, window: Window) -> float:
    """Metres, of a sample of the depth in the target plane."""
    return 2 * camera.half_extent / (window.side * _SUPERSAMPLING)


def _find_jumps(depth: torch.Tensor, pixel_size: torch.Tensor) -> torch.Tensor:
    """Pixels on either side of a depth discontinuity, (U, V) bool. pixel_size: (U, V) metres."""
    jumps = torch.zeros_like(depth, dtype=torch.bool)
    most = pixel_size * _STEEPEST_JUMP
    along = _find_steps(depth, most)
    across = _find_steps(depth.T, most.T).T
    for side in (slice(None, -1), slice(1, None)):
        jumps[:, side] |= across
        jumps[side] |= along
    return jumps


def _find_steps(depth: torch.Tensor, most: torch.Tensor) -> torch.Tensor:
    """Between which rows (U - 1, V) the depth differs by more than `most`, and does not go on to do so.

    A surface that is seen nearly from its edge goes on: before or behind the step its depth changes alike.
    """
    step = depth.diff(dim=0)
    size, rise = step.abs(), step.sign()
    beside = F.pad(step, (0, 0, 1, 1))
    onward = torch.maximum(beside[:-2] * rise, beside[2:] * rise)
    return (size > torch.minimum(most[1:], most[:-1])) & (onward < _GOES_ON * size)


def _sharpen(color: torch.Tensor) -> torch.Tensor:
    """Undo the blur that the pixels' own area and the filters after this cause; (C, H, W)."""
    padded = F.pad(color[None], (1, 1, 1, 1), mode="replicate")[0]
    across = padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]
    along = padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1]
    return color * (1 + 4 * _SHARPEN) - (across + along) * _SHARPEN


def _ramp_from_outline(outline: torch.Tensor, ramp: float) -> torch.Tensor:
    """Weights (H, W) float32 that rise from 0 on outlines (H, W) bool to 1 at `ramp` pixels from them."""
    if not outline.any():
        return torch.ones_like(outline, dtype=torch.float32)
    distance = distance_transform_edt(~tensor_to_array(outline)).astype(np.float32)
    return ((array_to_tensor(distance, outline.device) - 1.0) / ramp).clamp(0, 1)


def _sample(layers: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """Sample layers (C, H, W) or (H, W) bilinearly at a grid (1, N, 1, 2), -1..1: (C, N)."""
    return F.grid_sample(layers.view(1, -1, *layers.shape[-2:]), grid, align_corners=False)[0, :, :, 0]
