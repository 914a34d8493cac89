"""Color the vertices: from the pictures where seen, elsewhere by diffusion along the surface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial.distance import cdist

from ..cameras import camera_basis, project_points
from ..color import srgb_to_lab
from ..device import array_to_tensor, tensor_to_array
from ..mesh.laplacian import link_neighbors, solve_harmonic, weigh_edges
from ..mesh.normals import vertex_normals
from ..rasterize import interpolate_attributes, rasterize_view
from ..types import BoolArray, Camera, FloatArray, Mesh, ViewMaps
from .color_segmentation import cluster_colors, weigh_lab
from .masked_images import sample_bilinear
from .side_colors import sample_sides

FRONT, BACK = 0, 2
_SHARPNESS = 3
"""Exponent of the materials' shares; above 1, materials meet at a border instead of fading."""
_ANCHOR = 1e-6
"""Weight of the mean color beside the neighbors; it makes parts without a known vertex solvable."""
_GRAZING = (0.4, 0.65)
"""Cosines to the view direction between which a picture fades in; at lower ones it would smear."""


class Layers(NamedTuple):
    """Pictures of the surface, (S, S, 3) each, without the rim of their outlines.

    front, back: both in the pixels of the front view. beside: further ones by view, in the pixels of it, each
    with the share (S,) 0..1 that its rows count.
    """

    front: FloatArray
    back: FloatArray
    beside: Mapping[int, tuple[FloatArray, FloatArray]]


def trust_angle(cosine: FloatArray) -> FloatArray:
    """Weight 0..1 of a picture on surface that it shows at this cosine: 0 grazing, 1 facing."""
    low, high = _GRAZING
    t = np.clip((cosine - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)


def locate_pixels(camera: Camera, points: FloatArray, side: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Column and row (integers at pixel centers) and depth of points (N, 3) in a view, (N,) each."""
    uv, depth = project_points(camera, points)
    return uv[:, 0] * side - 0.5, uv[:, 1] * side - 0.5, depth


def is_visible(maps: ViewMaps, view: int, points: FloatArray) -> BoolArray:
    """Which points (N, 3) on the surface the camera of `view` sees, with a tolerance of 1 % of its extent."""
    camera = maps.rig.cameras[view]
    side = maps.mask.shape[-1]
    x, y, depth = locate_pixels(camera, points, side)
    column = np.clip(np.round(x).astype(np.int32), 0, side - 1)
    row = np.clip(np.round(y).astype(np.int32), 0, side - 1)
    near = maps.depth[view][row, column] + 0.02 * camera.half_extent
    return ~maps.mask[view][row, column] | (depth <= near)


def mix_beside(
    maps: ViewMaps,
    beside: Mapping[int, tuple[FloatArray, FloatArray]],
    points: FloatArray,
    normals: FloatArray,
    colors: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Lay the pictures beside front and back over colors (N, 3) of points (N, 3) with normals (N, 3).

    Returns the colors, and how far they are the pictures' (N,) 0..1.
    """
    covered = np.zeros(len(points), np.float32)
    for view, (picture, share) in beside.items():
        x, y, _ = locate_pixels(maps.rig.cameras[view], points, len(picture))
        facing = normals @ camera_basis(maps.rig.cameras[view])[2].astype(np.float32)
        counted = np.interp(y, np.arange(len(share)), share)
        weight = (trust_angle(facing) * is_visible(maps, view, points) * counted).astype(np.float32)
        colors = colors + (sample_bilinear(picture, x, y) - colors) * weight[:, None]
        covered = covered + (1 - covered) * weight
    return colors, covered


def color_vertices(mesh: Mesh, maps: ViewMaps, layers: Layers) -> FloatArray:
    """Color every vertex, (V, 3): visible ones from the pictures, the others by harmonic diffusion."""
    points, normals = mesh.positions, vertex_normals(mesh)
    front, back = layers.front, layers.back
    x, y, _ = locate_pixels(maps.rig.cameras[FRONT], points, front.shape[0])
    in_front, behind = is_visible(maps, FRONT, points), is_visible(maps, BACK, points)
    from_front = trust_angle(normals[:, 2]) * in_front
    from_back = trust_angle(-normals[:, 2]) * behind
    sides = sample_sides(back, maps.mask[FRONT], x, y, normals)
    sides, covered = mix_beside(maps, layers.beside, points, normals, sides)
    seen = np.where((from_front > 0.5)[:, None], sample_bilinear(front, x, y), sides)
    seen = np.where((from_back > 0.5)[:, None], sample_bilinear(back, x, y), seen)
    return diffuse_colors(mesh, seen, in_front | behind | (covered > 0.5))


def diffuse_colors(mesh: Mesh, colors: FloatArray, known: BoolArray) -> FloatArray:
    """Fill in the colors (V, 3) of vertices not `known` (V,) from the known ones along the surface.

    Each material's share and color is harmonic, that is, the mean of its values at the neighbors. The shares
    are sharpened afterwards, so that materials meet at a border instead of fading into each other.
    """
    result = colors.astype(np.float32).copy()
    if known.all():
        return result
    if not known.any():
        result[:] = colors.mean(axis=0)
        return result
    lab = srgb_to_lab(result)
    centers = cluster_colors(lab, known, count=6)
    shares = np.eye(len(centers))[cdist(weigh_lab(lab[known]), centers).argmin(axis=1)]
    weighted = (shares[:, :, None] * result[known][:, None]).reshape(len(shares), -1)
    solved = _diffuse(mesh, np.concatenate([shares, weighted], axis=1), known)
    share = np.maximum(solved[:, : len(centers)], 1e-9)
    color = solved[:, len(centers) :].reshape(len(solved), -1, 3) / share[..., None]
    sharp = share**_SHARPNESS
    sharp /= sharp.sum(axis=1, keepdims=True)
    result[~known] = np.clip((sharp[..., None] * color).sum(axis=1), 0.0, 1.0)
    return result


def _diffuse(mesh: Mesh, values: FloatArray, known: BoolArray) -> FloatArray:
    """Harmonic values (U, C) at the vertices not `known`, from those (K, C) at the known ones."""
    links = link_neighbors(mesh.faces, len(known), weigh_edges(mesh.positions, mesh.faces))
    start = np.tile(values.mean(axis=0), (len(known), 1))
    start[known] = values
    return solve_harmonic(links, start, known, spring=_ANCHOR)


def render_colors(
    mesh: Mesh, camera: Camera, colors: FloatArray, side: int, device: torch.device
) -> FloatArray:
    """Render vertex colors (V, 3) from a camera: (side, side, 3), 0 outside the silhouette."""
    faces = array_to_tensor(mesh.faces, device)
    raster = rasterize_view(camera, array_to_tensor(mesh.positions), faces, side)
    return tensor_to_array(interpolate_attributes(raster, faces, array_to_tensor(colors, device)))
