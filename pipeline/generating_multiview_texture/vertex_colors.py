"""Carries colours around the mesh: what neither the front nor the back shows takes them along the surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import splu
from scipy.spatial.distance import cdist

from ..cameras import project_points
from ..color import srgb_to_lab
from ..device import array_to_tensor, tensor_to_array
from ..mesh.normals import vertex_normals
from ..rasterize import interpolate_attributes, rasterize_view
from ..types import BoolArray, Camera, FloatArray, Mesh, ViewMaps
from .color_segmentation import cluster_colors, weigh_lab
from .masked_images import sample_bilinear

FRONT, BACK = 0, 2
_SKULL_INNER, _SKULL_OUTER = 0.86, 1.12
"""Ears grow out of the skull between these shares of its half width."""

_HAIR_FORWARD = 0.3
"""Hair covers the skull's sides up to where they turn to the front by this cosine."""

_SHARPNESS = 3
_GRAZING = (0.22, 0.55)
"""Cosines to the view direction between which the picture fades out: beyond, it would smear."""


@dataclass(frozen=True)
class Skull:
    """Rows top..nape, in front-view pixels, of a haired head's skull, which ears stand out from."""

    top: int
    nape: int
    centre: float
    half_width: float

    def hold(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Columns x (N,) to look up colours at: those of the skull where the ears have their roots."""
        aside = x - self.centre
        root = (np.abs(aside) > _SKULL_INNER * self.half_width) & (
            np.abs(aside) < _SKULL_OUTER * self.half_width
        )
        held = self.centre + np.sign(aside) * _SKULL_INNER * self.half_width
        return np.where(root & self.spans(y), held, x).astype(np.float32)

    def covers(self, x: FloatArray, y: FloatArray) -> BoolArray:
        """Which points (N,) lie on the skull rather than on an ear."""
        return (np.abs(x - self.centre) < _SKULL_OUTER * self.half_width) & self.spans(y)

    def spans(self, y: FloatArray) -> BoolArray:
        """Which rows (N,) lie on the skull."""
        return (y > self.top) & (y < self.nape)


def trust_angle(cosine: FloatArray) -> FloatArray:
    """How far a picture may be trusted on a surface seen at this cosine: 0 grazing, 1 facing."""
    low, high = _GRAZING
    t = np.clip((cosine - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)


def locate_pixels(camera: Camera, points: FloatArray, side: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Column and row (pixel centres at whole numbers) and depth of points (N, 3) in a camera's view."""
    place, depth = project_points(camera, points)
    return place[:, 0] * side - 0.5, place[:, 1] * side - 0.5, depth


def is_visible(maps: ViewMaps, view: int, points: FloatArray) -> BoolArray:
    """Which points (N, 3) on the surface the camera of `view` sees, with a tolerance of 1 % of the view."""
    camera = maps.rig.cameras[view]
    side = maps.mask.shape[-1]
    x, y, depth = locate_pixels(camera, points, side)
    column = np.clip(np.round(x).astype(np.int32), 0, side - 1)
    row = np.clip(np.round(y).astype(np.int32), 0, side - 1)
    near = maps.depth[view][row, column] + 0.02 * camera.half_extent
    return ~maps.mask[view][row, column] | (depth <= near)


def color_vertices(
    mesh: Mesh, maps: ViewMaps, front: FloatArray, back: FloatArray, skull: Skull | None
) -> FloatArray:
    """Colour every vertex (V, 3): seen ones from the pictures, the others by harmonic diffusion.

    front and back: (S, S, 3), both in the pixels of the front view. The sides of a haired `skull`
    take the back's hair, or the ears' skin would spread over them.
    """
    points, normals = mesh.positions, vertex_normals(mesh)
    x, y, _ = locate_pixels(maps.rig.cameras[FRONT], points, front.shape[0])
    from_front = trust_angle(normals[:, 2]) * is_visible(maps, FRONT, points)
    from_back = trust_angle(-normals[:, 2]) * is_visible(maps, BACK, points)
    known = from_front + from_back > 0.5
    if skull is not None:
        haired = ~known & skull.covers(x, y) & (normals[:, 2] < _HAIR_FORWARD)
        known |= haired
        from_back = np.where(haired, 1.0, from_back)
        from_front = np.where(haired, 0.0, from_front)
        x = skull.hold(x, y)
    seen = np.where(
        (from_front >= from_back)[:, None], sample_bilinear(front, x, y), sample_bilinear(back, x, y)
    )
    return diffuse_colors(mesh, seen, known)


def diffuse_colors(mesh: Mesh, colors: FloatArray, known: BoolArray) -> FloatArray:
    """Fill the vertices not `known` (V,) from the known ones along the surface.

    Each material's share and colour is harmonic (every vertex the mean of its neighbours); the shares
    are then sharpened, so that two materials meet at a border instead of fading into each other.
    """
    result = colors.astype(np.float32).copy()
    if known.all():
        return result
    if not known.any():
        result[:] = colors.mean(axis=0)
        return result
    lab = srgb_to_lab(result)
    centres = cluster_colors(lab, known, count=6)
    shares = np.eye(len(centres))[cdist(weigh_lab(lab[known]), centres).argmin(axis=1)]
    weighed = (shares[:, :, None] * result[known][:, None]).reshape(len(shares), -1)
    solved = _solve_harmonic(mesh, np.concatenate([shares, weighed], axis=1), known)
    share = np.maximum(solved[:, : len(centres)], 1e-9)
    color = solved[:, len(centres) :].reshape(len(solved), -1, 3) / share[..., None]
    sharp = share**_SHARPNESS
    sharp /= sharp.sum(axis=1, keepdims=True)
    result[~known] = np.clip((sharp[..., None] * color).sum(axis=1), 0.0, 1.0)
    return result


def _solve_harmonic(mesh: Mesh, values: FloatArray, known: BoolArray) -> FloatArray:
    """Harmonic values (U, C) at the vertices not `known`, from those (K, C) at the known ones."""
    laplacian = _build_laplacian(mesh)
    unknown = ~known
    # The small weight of the mean keeps parts without any known vertex solvable.
    matrix = laplacian[unknown][:, unknown] + 1e-6 * sparse.identity(int(unknown.sum()))
    right = -laplacian[unknown][:, known] @ values + 1e-6 * values.mean(axis=0)
    factor = splu(matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    return factor.solve(np.ascontiguousarray(right))


def _build_laplacian(mesh: Mesh) -> sparse.csr_matrix:
    count = len(mesh.positions)
    a = mesh.faces[:, (0, 1, 2)].ravel()
    b = mesh.faces[:, (1, 2, 0)].ravel()
    length = np.linalg.norm(mesh.positions[a] - mesh.positions[b], axis=1)
    weight = 1.0 / np.maximum(length, 1e-3 * max(float(length.mean()), 1e-9))
    links = sparse.coo_matrix((weight, (a, b)), shape=(count, count)).tocsr()
    links = links + links.T
    return (sparse.diags(np.asarray(links.sum(axis=1)).ravel()) - links).tocsr()


def render_colors(
    mesh: Mesh, camera: Camera, colors: FloatArray, side: int, device: torch.device
) -> FloatArray:
    """Render vertex colours (V, 3) from a camera: (side, side, 3), 0 outside the silhouette."""
    faces = array_to_tensor(mesh.faces, device)
    raster = rasterize_view(camera, array_to_tensor(mesh.positions), faces, side)
    return tensor_to_array(interpolate_attributes(raster, faces, array_to_tensor(colors, device)))
