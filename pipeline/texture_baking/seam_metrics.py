"""Measure how visible the seams between charts are."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F

from ..device import array_to_tensor, tensor_to_array
from ..mesh.topology import list_directed_edges
from ..mesh.weld import weld_equal
from ..types import FloatArray, Mesh

_SAMPLES_ALONG_EDGE = (0.2, 0.5, 0.8)
"""Points of an edge at which its two sides are compared, as shares of its length."""


def measure_seam_differences(mesh: Mesh, texture: FloatArray) -> FloatArray:
    """Color differences (N,) 0..1, mean over channels, across chart borders.

    texture: (H, W, 3 or more), sampled bilinearly at the same points of an edge in both charts. The mesh must
    have uvs; N = 0 if no two charts meet.
    """
    uvs = np.asarray(mesh.uvs, np.float32)
    one, two = (uvs[side] for side in _match_border_edges(mesh))
    shares = np.array(_SAMPLES_ALONG_EDGE, np.float32)[:, None, None]
    points = [((1 - shares) * side[:, 0] + shares * side[:, 1]).reshape(-1, 2) for side in (one, two)]
    colors = _sample_texture(texture, np.concatenate(points))
    return np.abs(colors[: len(points[0])] - colors[len(points[0]) :]).mean(axis=1)


def _match_border_edges(mesh: Mesh) -> tuple[FloatArray, FloatArray]:
    """Vertices (E, 2) on either side of the edges that join two faces of different charts."""
    edges = np.stack(list_directed_edges(mesh.faces), axis=1)
    ends = weld_equal(mesh.positions).inverse[edges]
    turned = ends[:, 0] > ends[:, 1]
    edges = np.where(turned[:, None], edges[:, ::-1], edges)
    key = ends.min(axis=1) * len(mesh.positions) + ends.max(axis=1)
    order = np.argsort(key, kind="stable")
    one, two = order[:-1], order[1:]
    # Two adjacent faces traverse their edge in opposite directions; otherwise they are separate sheets.
    meet = (key[one] == key[two]) & (turned[one] != turned[two]) & (edges[one] != edges[two]).any(axis=1)
    return edges[one[meet]], edges[two[meet]]


def _sample_texture(texture: FloatArray, uvs: FloatArray) -> FloatArray:
    layers = array_to_tensor(texture[..., :3]).permute(2, 0, 1)[None]
    grid = array_to_tensor(uvs * 2 - 1)[None, :, None]
    found = F.grid_sample(layers, grid, align_corners=False, padding_mode="border")
    return tensor_to_array(found[0, :, :, 0].T)
