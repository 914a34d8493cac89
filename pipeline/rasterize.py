"""A triangle rasterizer in plain torch: exact coverage, z-buffer, attribute interpolation.

It serves camera images and a texture's UV plane alike, on the device of its inputs. Vertices are snapped to a
grid of 1/256 pixel, so the edge functions are exact integers (held in float64) and the top-left rule assigns
every sample on a shared edge to exactly one face (Pineda 1988; Direct3D 11 functional specification, section
3.4). Faces are first cut into row spans and then into samples, so the cost grows with the covered pixels, not
with the bounding boxes. Rows are taken by `index_select`, which is several times faster on the CPU than
indexing with a tensor.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import torch

from .cameras import measure_scale, project_points
from .mesh.areas import measure_double_areas
from .types import Camera

SUBPIXELS = 256
_SAMPLES_PER_BLOCK = 1 << 20
_PIXELS_PER_BLOCK = 1 << 16
_SIGN = 0x7FFFFFFF
_EMPTY = torch.iinfo(torch.int64).max


class Raster(NamedTuple):
    """The face at each pixel center.

    face_index: (H, W) int64, -1 for background. barycentric: (H, W, 3) float32, weights of the face's
    corners, 0 for background. depth: (H, W) float32, +inf for background.
    """

    face_index: torch.Tensor
    barycentric: torch.Tensor
    depth: torch.Tensor

    @property
    def mask(self) -> torch.Tensor:
        """(H, W) bool, True where a face covers the pixel center."""
        return self.face_index >= 0

    def list_covered(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Of the N covered pixels: face (N,), barycentrics (N, 3) and number, row * W + column (N,)."""
        pixel = torch.nonzero(self.mask.view(-1)).squeeze(1)
        weight = self.barycentric.view(-1, 3).index_select(0, pixel)
        return self.face_index.view(-1).index_select(0, pixel), weight, pixel


class _Edges(NamedTuple):
    """Edge functions of oriented triangles, (3, F) float64 each: dx * y - dy * x + constant is not negative
    at the samples inside, x and y in subpixels, the fill rule's bias in the constant."""

    dx: torch.Tensor
    dy: torch.Tensor
    constant: torch.Tensor


class _Spans(NamedTuple):
    """Runs of pixels in a row: face, row, first column and length, each (N,) int64."""

    face: torch.Tensor
    row: torch.Tensor
    column: torch.Tensor
    length: torch.Tensor


def rasterize_triangles(positions: torch.Tensor, faces: torch.Tensor, size: tuple[int, int]) -> Raster:
    """Rasterize triangles given in pixels; both windings are drawn.

    positions: (V, 3) float, x and y in pixels (the center of the top left pixel is 0.5, 0.5; y down;
    |x|, |y| < 65536) and z a depth, nearer is smaller. faces: (F, 3) integer. size: (H, W).
    At equal depth the lower face index wins. Faces without area are not drawn.
    """
    height, width = size
    faces = faces.to(torch.int64)
    corners = take_corners(positions.to(torch.float32), faces)
    depth_plane = _fit_depth_planes(corners)
    keys = torch.full((height * width,), _EMPTY, dtype=torch.int64, device=positions.device)
    snapped = _snap(corners)
    for spans in _iterate_spans(snapped, size):
        _draw_spans(keys, spans, depth_plane, width)
    return _resolve(keys, corners, snapped, size)


def list_covered_samples(
    positions: torch.Tensor, faces: torch.Tensor, size: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """List every pair of a face and a pixel whose center it covers, as `rasterize_triangles` without depth.

    positions: (V, 2 or more), pixels. Returns two (N,) int64 tensors: face index and row * W + column.
    """
    pairs = list(iterate_covered_samples(positions, faces, size))
    if not pairs:
        return faces.new_zeros(0, dtype=torch.int64), faces.new_zeros(0, dtype=torch.int64)
    found, pixel = (torch.cat(items) for items in zip(*pairs, strict=True))
    return found, pixel


def iterate_covered_samples(
    positions: torch.Tensor, faces: torch.Tensor, size: tuple[int, int]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """As `list_covered_samples`, in blocks: faces that overlap a lot have more pairs than memory holds."""
    for spans in _iterate_spans(_snap(take_corners(positions, faces.to(torch.int64))), size):
        owner, offset = _expand(spans.length)
        pixel = (spans.row * size[1] + spans.column).index_select(0, owner) + offset
        yield spans.face.index_select(0, owner), pixel


def take_corners(positions: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """The positions (V, C) of the corners of faces (F, 3) int64: (F, 3, C)."""
    return positions.index_select(0, faces.reshape(-1)).view(*faces.shape, positions.shape[1])


def rasterize_view(camera: Camera, positions: torch.Tensor, faces: torch.Tensor, size: int) -> Raster:
    """Rasterize positions (V, 3), metres, and faces (F, 3) into the (size, size) image of `camera`.

    The positions stay on the CPU and are projected there; the faces choose the device. So every device
    rasterizes the same coordinates to the last bit and finds the same coverage.
    """
    uv, depth = project_points(camera, positions)
    pixels = torch.cat((uv * size, depth[:, None]), dim=1).to(faces.device)
    return rasterize_projected(camera, pixels, faces, (size, size))


def rasterize_projected(
    camera: Camera, pixels: torch.Tensor, faces: torch.Tensor, size: tuple[int, int]
) -> Raster:
    """As `rasterize_triangles`, of what `project_points` made of a mesh, with the mesh's barycentrics."""
    raster = rasterize_triangles(pixels, faces, size)
    if math.isinf(camera.distance):
        return raster
    corners = faces.to(torch.int64)[raster.face_index.clamp(min=0)]
    weight = raster.barycentric * measure_scale(camera, pixels[:, 2])[corners]
    total = weight.sum(dim=2, keepdim=True)
    return raster._replace(barycentric=torch.where(total > 0, weight / total, 0.0))


def interpolate_attributes(raster: Raster, faces: torch.Tensor, attributes: torch.Tensor) -> torch.Tensor:
    """Interpolate vertex attributes (V, C) float at every pixel.

    Returns (H, W, C), 0 for background. faces: (F, 3) integer, those that were rasterized.
    """
    face, weight, pixel = raster.list_covered()
    values = attributes.new_zeros((raster.face_index.numel(), attributes.shape[-1]))
    corners = faces.to(torch.int64).index_select(0, face)
    values.index_copy_(0, pixel, mix_corners(attributes, corners, weight))
    return values.view(*raster.face_index.shape, attributes.shape[-1])


def mix_corners(attributes: torch.Tensor, corners: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Interpolate vertex attributes (V, C) at points given by their faces' corners (N, 3): (N, C).

    weight: (N, 3) barycentrics. Corners are added one by one, so no (N, 3, C) array is ever held.
    """
    weight = weight.to(attributes.dtype)
    value = attributes.index_select(0, corners[:, 0]) * weight[:, :1]
    for corner in (1, 2):
        value += attributes.index_select(0, corners[:, corner]) * weight[:, corner : corner + 1]
    return value


def split_by_total(counts: torch.Tensor, limit: int) -> list[tuple[int, int]]:
    """Split (N,) counts into consecutive non-empty ranges whose totals stay near `limit`."""
    if len(counts) == 0:
        return []
    ends = torch.cumsum(counts, dim=0)
    total = int(ends[-1])
    if total <= limit:
        return [(0, len(counts))]
    targets = torch.arange(limit, total, limit, device=counts.device)
    cuts = sorted({0, len(counts), *(torch.searchsorted(ends, targets) + 1).tolist()})
    return list(pairwise(cuts))


def _snap(corners: torch.Tensor) -> torch.Tensor:
    """Round corners (F, 3, 2 or more) in pixels to whole subpixels, (F, 3, 2) float64."""
    return (corners[..., :2].to(torch.float64) * SUBPIXELS).round()


def _iterate_spans(snapped: torch.Tensor, size: tuple[int, int]) -> Iterator[_Spans]:
    """Yield the spans of all faces, in blocks of bounded size."""
    height, width = size
    edges = _orient_edges(snapped)
    rows_from, row_count = _bound_rows(snapped, height)
    for block in split_by_total(row_count, _SAMPLES_PER_BLOCK):
        spans = _cut_spans(edges, rows_from, row_count, block, width)
        for low, high in split_by_total(spans.length, _SAMPLES_PER_BLOCK):
            yield _Spans(*(item[low:high] for item in spans))


def _orient_edges(snapped: torch.Tensor) -> _Edges:
    """Edge i runs from corner i + 1 to corner i + 2, opposite corner i."""
    sign = torch.sign(measure_double_areas(snapped))
    start, stop = (snapped[:, order].permute(2, 1, 0).contiguous() for order in ((1, 2, 0), (2, 0, 1)))
    dx, dy = sign * (stop - start)
    owns_border = (dy < 0) | ((dy == 0) & (dx > 0))
    return _Edges(dx, dy, dy * start[0] - dx * start[1] - (~owns_border).to(dx.dtype))


def _bound_rows(snapped: torch.Tensor, height: int) -> tuple[torch.Tensor, torch.Tensor]:
    """First row and number of rows, (F,) int64, whose pixel centers each face may cover."""
    rows = snapped[..., 1] / SUBPIXELS - 0.5
    first = rows.amin(dim=1).ceil().clamp(0, height).to(torch.int64)
    last = rows.amax(dim=1).floor().clamp(-1, height - 1).to(torch.int64)
    count = torch.where(measure_double_areas(snapped) == 0, 0, last - first + 1)
    return first, count.clamp(min=0)


def _expand(counts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Repeat each item's index by its count (N,); also return the running number within each item."""
    owner = torch.repeat_interleave(counts)
    starts = torch.cumsum(counts, dim=0) - counts
    return owner, torch.arange(len(owner), device=counts.device) - starts.index_select(0, owner)


def _cut_spans(
    edges: _Edges, rows_from: torch.Tensor, row_count: torch.Tensor, block: tuple[int, int], width: int
) -> _Spans:
    owner, offset = _expand(row_count[block[0] : block[1]])
    face = owner + block[0]
    row = rows_from.index_select(0, face) + offset
    low = torch.zeros(len(face), dtype=torch.float64, device=face.device)
    high = torch.full_like(low, width - 1)
    sample_y = (row.to(torch.float64) + 0.5) * SUBPIXELS
    for side in range(3):
        dx, dy, constant = (item[side].index_select(0, face) for item in edges)
        # A sample is inside where dy * SUBPIXELS * column <= value. All terms are integers below 2**53,
        # so the quotient is exact enough to floor.
        value = dx * sample_y - dy * (SUBPIXELS // 2) + constant
        bound = torch.floor(value / (dy.abs() * SUBPIXELS).clamp(min=1.0))
        high = torch.where(dy > 0, torch.minimum(high, bound), high)
        low = torch.where(dy < 0, torch.maximum(low, -bound), low)
        high = torch.where((dy == 0) & (value < 0), -1.0, high)
    length = (high - low + 1).clamp(min=0)
    kept = torch.nonzero(length).squeeze(1)
    face, row, low, length = (item.index_select(0, kept) for item in (face, row, low, length))
    return _Spans(face, row, low.to(torch.int64), length.to(torch.int64))


def _fit_depth_planes(corners: torch.Tensor) -> torch.Tensor:
    """(F, 7): an anchor x, y, z, the slopes dz/dx and dz/dy, and the range of the face's depths."""
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    area = torch.where(area == 0, torch.ones_like(area), area)
    slope_x = (one[:, 2] * two[:, 1] - two[:, 2] * one[:, 1]) / area
    slope_y = (two[:, 2] * one[:, 0] - one[:, 2] * two[:, 0]) / area
    depths = corners[..., 2]
    columns = (*corners[:, 0].unbind(dim=1), slope_x, slope_y, depths.amin(dim=1), depths.amax(dim=1))
    return torch.stack(columns, dim=1)


def _draw_spans(keys: torch.Tensor, spans: _Spans, depth_plane: torch.Tensor, width: int) -> None:
    """Take the minimum of `keys` (H * W,) and the spans' depth and face index, packed into one integer."""
    owner, offset = _expand(spans.length)
    x, y, z, slope_x, slope_y, nearest, farthest = depth_plane.index_select(0, spans.face).unbind(dim=1)
    start_x, start_y = (item.to(torch.float32) + 0.5 for item in (spans.column, spans.row))
    line = z + slope_x * (start_x - x) + slope_y * (start_y - y)
    start = spans.row * width + spans.column
    spread = (line, slope_x, nearest, farthest, spans.face, start)
    line, slope_x, nearest, farthest, face, start = (item.index_select(0, owner) for item in spread)
    depth = line + slope_x * offset.to(torch.float32)
    # The planes of slivers are steep: rounding must not push a depth beyond those of the corners.
    depth = torch.minimum(torch.maximum(depth, nearest), farthest)
    key, pixel = (_orderable(depth) << 32) | face, start + offset
    keys.scatter_reduce_(0, pixel, key, "amin")


def _orderable(depth: torch.Tensor) -> torch.Tensor:
    """Map float32 to int64 in the same order: below zero the magnitude bits are flipped."""
    bits = depth.contiguous().view(torch.int32).to(torch.int64)
    return torch.where(bits < 0, bits ^ _SIGN, bits)


def _resolve(
    keys: torch.Tensor, corners: torch.Tensor, snapped: torch.Tensor, size: tuple[int, int]
) -> Raster:
    height, width = size
    face_index = torch.full_like(keys, -1)
    barycentric = corners.new_zeros((height * width, 3))
    depth = corners.new_full((height * width,), torch.inf)
    weighing, depths = _prepare_weighing(snapped), corners[..., 2].contiguous()
    for pixel in torch.nonzero(keys != _EMPTY).squeeze(1).split(_PIXELS_PER_BLOCK):
        face = keys.index_select(0, pixel) & 0xFFFFFFFF
        weight = _weigh_corners(weighing.index_select(1, face), pixel, width)
        face_index.index_copy_(0, pixel, face)
        barycentric.index_copy_(0, pixel, weight)
        one, two, three = (weight * depths.index_select(0, face)).unbind(dim=1)
        depth.index_copy_(0, pixel, one + two + three)
    return Raster(face_index.view(size), barycentric.view(height, width, 3), depth.view(size))


def _prepare_weighing(snapped: torch.Tensor) -> torch.Tensor:
    """(F, 7) float64, whole numbers: the first corner's x and y, how the areas opposite to the second and the
    third corner grow with x and y, and the whole area, of triangles (F, 3, 2) in subpixels."""
    one, two = snapped[:, 1] - snapped[:, 0], snapped[:, 2] - snapped[:, 0]
    slopes = two[:, 1], -two[:, 0], -one[:, 1], one[:, 0]
    columns = (*snapped[:, 0].unbind(dim=1), *slopes, measure_double_areas(snapped))
    return torch.stack(columns)


def _weigh_corners(weighing: torch.Tensor, pixel: torch.Tensor, width: int) -> torch.Tensor:
    """Barycentrics (N, 3) float32 of the centers of pixels (N,) in triangles (N, 7), see `_prepare_weighing`.

    All terms are whole numbers below 2**53, so a center on an edge gets an exact zero.
    """
    row = pixel.div(width, rounding_mode="floor")
    x0, y0, x_two, y_two, x_three, y_three, area = weighing.unbind()
    x, y = ((item * SUBPIXELS + SUBPIXELS // 2) for item in (pixel - row * width, row))
    x, y = x - x0, y - y0
    two, three = x * x_two + y * y_two, x * x_three + y * y_three
    return (torch.stack((area - two - three, two, three), dim=1) / area[:, None]).to(torch.float32)
