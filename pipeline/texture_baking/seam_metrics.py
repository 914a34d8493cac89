"""Measure how visible seams are: between charts, and between the sides of the views that were baked."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
import torch.nn.functional as F

from ..color import srgb_to_lab
from ..device import array_to_tensor, tensor_to_array
from ..mesh.normals import vertex_normals
from ..mesh.topology import list_directed_edges
from ..mesh.weld import weld_equal
from ..types import FloatArray, IntArray, Mesh, TexturedMesh, ViewImages
from .fill_unseen import split_long_edges
from .project import Surface, ViewBlend, list_preferences, prepare_view

_SAMPLES_ALONG_EDGE = (0.2, 0.5, 0.8)
"""Points of an edge at which its two sides are compared, as shares of its length."""
_LENGTHS = 8
"""Classes of length within which edges across a seam are compared with others."""


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


def measure_side_seams(
    textured: TexturedMesh, images: ViewImages, pictured: Collection[str] = ("front",)
) -> float:
    """Color step (CIE 1976) along edges where one view hands over to another, over that of edges within one.

    A vertex is of the view that counts most there. The edges compared are of equal length, at most a 64th of
    the extent. 1: the seam is not to be told from the rest; NaN without a seam.
    """
    mesh = textured.mesh
    columns = np.concatenate((mesh.positions, vertex_normals(mesh), textured.uvs), axis=1)
    vertices, faces = split_long_edges(columns, mesh.faces)
    owner = _find_owners(vertices, faces, images, pictured)
    edges = np.unique(np.sort(np.stack(list_directed_edges(faces), axis=1), axis=1), axis=0)
    edges = edges[(owner[edges] >= 0).all(axis=1)]
    lab = srgb_to_lab(_sample_texture(textured.material.base_color, vertices[:, 6:8]))
    one, two = edges.T
    step = np.linalg.norm(lab[one] - lab[two], axis=1)
    length = np.linalg.norm(vertices[one, :3] - vertices[two, :3], axis=1)
    across = owner[one] != owner[two]
    if not across.any():
        return float("nan")
    bounds = np.quantile(length[across], np.linspace(0, 1, _LENGTHS + 1)[1:-1])
    group = np.searchsorted(bounds, length)
    within = np.array([step[(group == number) & ~across].mean() for number in range(_LENGTHS)])
    return float(step[across].mean() / within[group[across]].mean())


def _find_owners(
    vertices: FloatArray, faces: IntArray, images: ViewImages, pictured: Collection[str]
) -> IntArray:
    """The view (V,) that counts most at each vertex, of its position and normal; -1 where none sees it."""
    places, normals = (array_to_tensor(vertices[:, first : first + 3].copy()) for first in (0, 3))
    surface = Surface(places, F.normalize(normals, dim=1), array_to_tensor(faces).long())
    blend = ViewBlend(surface.positions, surface.normals, len(images.rig))
    preferences = list_preferences(images.rig, pictured)
    for number, (camera, preference) in enumerate(zip(images.rig.cameras, preferences, strict=True)):
        name = np.zeros((*images.mask.shape[1:], len(images.rig)), np.float32)
        name[..., number] = 1
        blend.add(prepare_view(camera, surface, name, images.mask[number], None), preference)
    shares, opacity = blend.read()
    return tensor_to_array(torch.where(opacity > 0, shares.argmax(dim=1), -1))


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
