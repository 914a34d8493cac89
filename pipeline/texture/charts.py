"""Cut a surface into few connected charts, each of which lies flat under its own projection.

Faces are labelled with one of six axes by their smoothed normals (a cheap stand-in for the graph
cut of Lévy et al. 2002 and of PolyCube maps), small islands join a neighbour, and whatever would
fold over or cover another part of its chart in projection is split off. Tens of charts where greedy
chart growing gives a thousand, in a fraction of its time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from ..normals import compute_face_normals
from ..rasterize import list_covered_samples
from ..types import FloatArray, Mesh
from .cuts import cut_sprawling_charts

Labels = npt.NDArray[np.int64]

AXES = np.array([(0, 0, 1), (0, 0, -1), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0)], np.float64)
_FAVOUR = np.array((1.0, 1.0, 0.9, 0.9, 0.75, 0.75))
"""Front and back reach farther round, so that no seam runs through a face."""
_SMOOTHING_STEPS = 12
_VOTING_STEPS = 10
_VOTE = 0.35
_LEAST_FACING = 0.2
"""Faces steeper to their chart's plane than this cosine would be stretched more than five times."""
_SMALL_CHART = 0.002
"""Charts below this share of the surface join a neighbour if they can."""
_MERGING_ROUNDS = 6
_CUTTING_ROUNDS = 3
_LAYER_ROUNDS = 8


class _Surface(NamedTuple):
    """corners: (F, 3, 3). faces: (F, 3) corner indices after welding. pairs: (E, 2) that share an edge."""

    corners: FloatArray
    faces: Labels
    normals: npt.NDArray[np.float64]
    areas: npt.NDArray[np.float64]
    pairs: Labels


class Charts(NamedTuple):
    """chart: (F,) index of each face's chart. planes: (C, 3, 3) rows right, up, outward."""

    chart: Labels
    planes: npt.NDArray[np.float64]


def segment_charts(mesh: Mesh, samples: int = 1 << 22) -> Charts:
    """Cut the mesh into connected charts that do not overlap themselves in their own plane.

    samples: how many points, spread over the whole surface, are searched for overlaps; folds that
    are smaller than their spacing may stay.
    """
    surface = _read_surface(mesh)
    label = _label_faces(surface)
    chart = _connect_faces(surface, label)
    for _ in range(_MERGING_ROUNDS):
        merged = _merge_small(surface, label, chart)
        if np.array_equal(merged, label):
            break
        label, chart = merged, _connect_faces(surface, merged)
    charts = Charts(chart, _fit_planes(surface, label, chart))
    for _ in range(_CUTTING_ROUNDS):
        corners = _project(surface.corners, charts)[..., :2]
        far = cut_sprawling_charts(corners, charts.chart, surface.areas)
        charts = _part_charts(surface, charts, far)
    return _split_layers(surface, charts, samples)


def project_charts(positions: FloatArray, faces: Labels, charts: Charts) -> npt.NDArray[np.float64]:
    """Corners (F, 3, 3) in their chart's plane: right, up and height, in metres."""
    return _project(positions[faces], charts)


def _project(corners: FloatArray, charts: Charts) -> npt.NDArray[np.float64]:
    return np.einsum("fij,fcj->fci", charts.planes[charts.chart], corners.astype(np.float64))


def _read_surface(mesh: Mesh) -> _Surface:
    _, weld = np.unique(mesh.positions, axis=0, return_inverse=True)
    faces = weld.reshape(-1)[mesh.faces].astype(np.int64)
    normals, areas = (item.astype(np.float64) for item in compute_face_normals(mesh.positions, mesh.faces))
    pairs = _pair_faces(faces, int(faces.max(initial=0)) + 1)
    return _Surface(mesh.positions[mesh.faces], faces, normals, areas, pairs)


def _pair_faces(faces: Labels, vertex_count: int) -> Labels:
    """(E, 2): faces that share an edge; around a non-manifold edge, a chain of them."""
    start, stop = faces.ravel(), faces[:, (1, 2, 0)].ravel()
    key = np.minimum(start, stop) * vertex_count + np.maximum(start, stop)
    order = np.argsort(key, kind="stable")
    owner = order // 3
    same = key[order[1:]] == key[order[:-1]]
    return np.stack((owner[:-1][same], owner[1:][same]), axis=1)


def _adjacency(surface: _Surface, keep: npt.NDArray[np.bool_] | None = None) -> sparse.csr_array:
    pairs = surface.pairs if keep is None else surface.pairs[keep]
    count = len(surface.faces)
    one, two = np.concatenate((pairs, pairs[:, ::-1])).T
    return sparse.csr_array((np.ones(len(one)), (one, two)), shape=(count, count))


def _label_faces(surface: _Surface) -> Labels:
    """One axis per face: nearest to the smoothed normal, straightened by the neighbours' votes."""
    adjacency = _adjacency(surface)
    smooth = surface.normals * surface.areas[:, None]
    for _ in range(_SMOOTHING_STEPS):
        smooth = smooth + adjacency @ smooth / 3
        smooth /= np.maximum(np.linalg.norm(smooth, axis=1, keepdims=True), 1e-12)
    forbidden = surface.normals @ AXES.T < _LEAST_FACING
    forbidden[np.arange(len(forbidden)), (surface.normals @ AXES.T).argmax(axis=1)] = False
    preference = np.where(forbidden, -10.0, smooth @ AXES.T * _FAVOUR)
    label = preference.argmax(axis=1)
    for _ in range(_VOTING_STEPS):
        label = (preference + _VOTE * (adjacency @ np.eye(6)[label])).argmax(axis=1)
    return label


def _connect_faces(surface: _Surface, label: Labels) -> Labels:
    same = label[surface.pairs[:, 0]] == label[surface.pairs[:, 1]]
    _, chart = connected_components(_adjacency(surface, same), directed=False)
    return chart.astype(np.int64)


def _merge_small(surface: _Surface, label: Labels, chart: Labels) -> Labels:
    """Give each small chart the axis of the neighbour with the longest common border that it can face."""
    count = int(chart.max(initial=-1)) + 1
    area = np.bincount(chart, surface.areas, count).astype(np.float64)
    least = np.full((count, 6), np.inf)
    np.minimum.at(least, chart, surface.normals @ AXES.T)
    border = np.zeros((count, 6))
    for one, two in (surface.pairs.T, surface.pairs.T[::-1]):
        across = chart[one] != chart[two]
        np.add.at(border, (chart[one][across], label[two][across]), 1.0)
    border[least < _LEAST_FACING / 2] = 0
    target = border.argmax(axis=1)
    moves = (area < _SMALL_CHART * surface.areas.sum()) & (border.max(axis=1) > 0)
    moves &= _is_local_minimum(surface, chart, area)
    return np.where(moves[chart], target[chart], label)


def _is_local_minimum(
    surface: _Surface, chart: Labels, area: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Which charts are smaller than all their neighbours, so that no two of them swap places: (C,)."""
    rank = np.empty(len(area), np.int64)
    rank[np.argsort(area, kind="stable")] = np.arange(len(area))
    lowest = np.full(len(area), len(area))
    for one, two in (surface.pairs.T, surface.pairs.T[::-1]):
        across = chart[one] != chart[two]
        np.minimum.at(lowest, chart[one][across], rank[chart[two][across]])
    return rank < lowest


def _fit_planes(surface: _Surface, label: Labels, chart: Labels) -> npt.NDArray[np.float64]:
    """Each chart's plane faces its mean normal where all its faces then still face out, else its axis."""
    count = int(chart.max(initial=-1)) + 1
    weighted = surface.normals * surface.areas[:, None]
    sums = [np.bincount(chart, weighted[:, axis], count) for axis in range(3)]
    mean = np.stack(sums, axis=1).astype(np.float64)
    mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
    least = np.full(count, np.inf)
    np.minimum.at(least, chart, (surface.normals * mean[chart]).sum(axis=1))
    axis_of = np.zeros(count, np.int64)
    axis_of[chart] = label
    outward = np.where((least > _LEAST_FACING)[:, None], mean, AXES[axis_of])
    return _stand_upright(outward)


def _stand_upright(outward: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Planes (C, 3, 3) for unit normals (C, 3), with +Y up, or -Z where the normal is nearly vertical."""
    steep = np.abs(outward[:, 1:2]) > 0.9
    up = np.where(steep, (0.0, 0.0, -1.0), (0.0, 1.0, 0.0))
    right = np.cross(up, outward)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    return np.stack((right, np.cross(outward, right), outward), axis=1)


def _split_layers(surface: _Surface, charts: Charts, samples: int) -> Charts:
    """Split off, again and again, the faces that lie under others of their chart."""
    hidden = _find_hidden(surface, charts, samples)
    for _ in range(_LAYER_ROUNDS):
        if not hidden.any():
            break
        charts = _part_charts(surface, charts, hidden)
        hidden = _find_hidden(surface, charts, samples)
    return charts


def _part_charts(surface: _Surface, charts: Charts, parted: npt.NDArray[np.bool_]) -> Charts:
    """Part the marked faces from the others of their chart; every connected piece becomes a chart."""
    if not parted.any():
        return charts
    chart = _connect_faces(surface, charts.chart * 2 + parted)
    planes = np.empty((int(chart.max()) + 1, 3, 3))
    planes[chart] = charts.planes[charts.chart]
    return Charts(chart, planes)


def _find_hidden(surface: _Surface, charts: Charts, samples: int) -> npt.NDArray[np.bool_]:
    """(F,): faces that fold away from their plane, or have a sample under another face of their chart."""
    corners = _project(surface.corners, charts)
    corners *= np.sqrt(samples / max(float(surface.areas.sum()), 1e-20))
    face, place = _sample_charts(corners[..., :2], charts.chart)
    hidden = (surface.normals * charts.planes[charts.chart, 2]).sum(axis=1) <= 0
    shared = np.bincount(place)[place] > 1
    return hidden | _find_lower(place[shared], face[shared], -corners[..., 2].mean(axis=1))


def _sample_charts(corners: npt.NDArray[np.float64], chart: Labels) -> tuple[Labels, Labels]:
    """Sample flat corners (F, 3, 2), in pixels, each chart in a window of its own.

    Returns the face and the place of every sample, each (N,); places of two charts never coincide.
    """
    count = int(chart.max(initial=-1)) + 1
    low, high = np.full((count, 2), np.inf), np.full((count, 2), -np.inf)
    np.minimum.at(low, chart, corners.min(axis=1))
    np.maximum.at(high, chart, corners.max(axis=1))
    size = np.ceil(high - low).astype(np.int64) + 1
    side = int(size.max(initial=1))
    flat = torch.from_numpy((corners - low[chart][:, None]).reshape(-1, 2))
    triangles = torch.arange(len(flat)).reshape(-1, 3)
    face, pixel = (item.numpy() for item in list_covered_samples(flat, triangles, (side, side)))
    row = pixel // side
    area = size.prod(axis=1)
    start = np.cumsum(area) - area
    owner = chart[face]
    return face, start[owner] + row * (size[owner, 0] - side) + pixel


def _find_lower(place: Labels, face: Labels, depth: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Of the faces (N,) that meet at one place (N,), mark all but the nearest: (F,)."""
    order = np.lexsort((face, depth[face], place))
    place, face = place[order], face[order]
    lower = np.zeros(len(depth), np.bool_)
    lower[face[1:][place[1:] == place[:-1]]] = True
    return lower
