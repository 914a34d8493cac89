"""How much the colours of two charts differ where they meet."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from ..types import FloatArray, Mesh

_PLACES = (0.2, 0.5, 0.8)
"""Where along an edge the two sides are compared, as shares of its length."""


def measure_seam_differences(mesh: Mesh, texture: FloatArray) -> FloatArray:
    """Differences (N,) 0..1 of the colour between the two sides of chart borders, mean over channels.

    texture: (H, W, 3 or more), read bilinearly at the same points of an edge in either chart. The mesh
    has uvs; a closed surface without borders gives N = 0.
    """
    uvs = np.asarray(mesh.uvs, np.float32)
    one, two = (uvs[side] for side in _match_border_edges(mesh))
    shares = np.array(_PLACES, np.float32)[:, None, None]
    points = [((1 - shares) * side[:, 0] + shares * side[:, 1]).reshape(-1, 2) for side in (one, two)]
    colors = _sample_texture(texture, np.concatenate(points))
    return np.abs(colors[: len(points[0])] - colors[len(points[0]) :]).mean(axis=1)


def _match_border_edges(mesh: Mesh) -> tuple[FloatArray, FloatArray]:
    """Vertices (E, 2) of the edges that lie at one place and not at one uv, for either side."""
    _, weld = np.unique(mesh.positions, axis=0, return_inverse=True)
    edges = mesh.faces[:, ((0, 1), (1, 2), (2, 0))].reshape(-1, 2)
    ends = weld.reshape(-1)[edges].astype(np.int64)
    turned = ends[:, 0] > ends[:, 1]
    edges = np.where(turned[:, None], edges[:, ::-1], edges)
    key = ends.min(axis=1) * len(mesh.positions) + ends.max(axis=1)
    order = np.argsort(key, kind="stable")
    one, two = order[:-1], order[1:]
    # Two faces beside an edge run along it in opposite directions; equal ones belong to other sheets.
    meet = (key[one] == key[two]) & (turned[one] != turned[two]) & (edges[one] != edges[two]).any(axis=1)
    return edges[one[meet]], edges[two[meet]]


def _sample_texture(texture: FloatArray, uvs: FloatArray) -> FloatArray:
    layers = torch.from_numpy(np.ascontiguousarray(texture[..., :3])).permute(2, 0, 1)[None]
    grid = torch.from_numpy(uvs * 2 - 1)[None, :, None]
    found = F.grid_sample(layers, grid, align_corners=False, padding_mode="border")
    return found[0, :, :, 0].T.numpy()
