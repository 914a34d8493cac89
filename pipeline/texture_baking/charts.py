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
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from ..mesh.normals import compute_face_normals
from ..progress import Progress, ignore_progress
from ..types import Mesh
from .chart_raster import double_areas
from .split_large_charts import cut_sprawling_charts

Labels = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

AXES = np.array([(0, 0, 1), (0, 0, -1), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0)], np.float64)
_FAVOUR = np.array((1.0, 1.0, 0.9, 0.9, 0.75, 0.75))
"""Front and back reach farther round, so that no seam runs through a face."""
_SURFACE_STEPS = 8
_FARTHEST = 0.005
_SMOOTHING_STEPS = 12
_VOTING_STEPS = 10
_VOTE = 0.35
_LEAST_FACING = 0.2
"""Faces steeper to their chart's plane than this cosine would be stretched more than five times."""
_SMALL_CHART = 0.002
"""Charts below this share of the surface join a neighbour if they can."""
_MERGING_ROUNDS = 6
_CUTTING_ROUNDS = 3
_LEAST_SIZE = 0.03
"""Share of its area that a face must keep in its chart."""


class _Surface(NamedTuple):
    """solid: (F, 3, 3) corners, and corners smoothed. pairs: (E, 2) faces that share an edge.

    faces: (F, 3) corners at one place have one number.
    """

    faces: Labels
    solid: Floats
    solid_normals: Floats
    areas: Floats
    corners: Floats
    normals: Floats
    pairs: Labels


class Charts(NamedTuple):
    """chart: (F,) each face's chart. corners: (F, 3, 3) right, up and height in its plane, about in metres.

    faces: (F, 3) corners at one place have one number. pairs: (E, 2) faces that share an edge.
    """

    chart: Labels
    corners: Floats
    faces: Labels
    pairs: Labels


def segment_charts(mesh: Mesh, progress: Progress = ignore_progress) -> Charts:
    """Cut the mesh into connected charts whose faces all face out of their chart's plane.

    It is the smoothed mesh that is cut and projected, so that noise neither folds faces nor parts charts.
    """
    surface = _read_surface(mesh)
    progress(0.25)
    label = _label_faces(surface)
    progress(0.5)
    chart = connect_faces(surface.pairs, label)
    for _ in range(_MERGING_ROUNDS):
        merged = _merge_small(surface, label, chart)
        if np.array_equal(merged, label):
            break
        label, chart = merged, connect_faces(surface.pairs, merged)
    charts = _project_charts(surface, label, chart)
    for done in range(_CUTTING_ROUNDS):
        progress(0.6 + 0.4 * done / _CUTTING_ROUNDS)
        far = cut_sprawling_charts(charts.corners[..., :2], charts.chart, surface.areas)
        charts = part_charts(charts, far)
    return _split_folds(surface, label, charts)


def part_charts(charts: Charts, parted: npt.NDArray[np.bool_]) -> Charts:
    """Part the marked faces from the others of their chart; every connected piece becomes a chart."""
    if not parted.any():
        return charts
    return charts._replace(chart=connect_faces(charts.pairs, charts.chart * 2 + parted))


def find_lower(charts: Charts, face: Labels, place: Labels) -> npt.NDArray[np.bool_]:
    """Of the faces (N,) that meet at one place (N,), mark all but the highest in their chart: (F,)."""
    lower, count = np.zeros(len(charts.chart), np.bool_), np.bincount(place)
    if count.max(initial=0) < 2:
        return lower
    shared = count[place] > 1
    place, face = place[shared], face[shared]
    order = np.lexsort((face, -charts.corners[face, :, 2].mean(axis=1), place))
    place, face = place[order], face[order]
    lower[face[1:][place[1:] == place[:-1]]] = True
    return lower


def find_suspects(charts: Charts, folded: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(F,): faces with a corner on their chart's border, or on one of the faces (F,) that are folded over.

    Where faces overlap, some of these do: borders cross, or a face folds.
    """
    ends = np.sort(charts.faces[:, ((0, 1), (1, 2), (2, 0))].reshape(-1, 2), axis=1)
    count = int(charts.faces.max()) + 1
    edge = ends[:, 0] * count + ends[:, 1]
    order = np.lexsort((np.repeat(charts.chart, 3), edge))
    edge, owner = edge[order], np.repeat(charts.chart, 3)[order]
    twin = (edge[1:] == edge[:-1]) & (owner[1:] == owner[:-1])
    alone = ~(np.append(twin, False) | np.insert(twin, 0, False))
    border = np.zeros(count, np.bool_)
    border[ends[order[alone]]] = True
    border[charts.faces[folded]] = True
    suspect: npt.NDArray[np.bool_] = np.any(border[charts.faces], axis=1)
    return suspect


def connect_faces(pairs: Labels, label: Labels) -> Labels:
    """Number the pieces (F,) of faces with one label that pairs (E, 2) connect."""
    same = label[pairs[:, 0]] == label[pairs[:, 1]]
    _, chart = connected_components(_adjacency(pairs[same], len(label)), directed=False)
    return chart.astype(np.int64)


def _read_surface(mesh: Mesh) -> _Surface:
    points, weld = np.unique(mesh.positions, axis=0, return_inverse=True)
    faces = weld.reshape(-1)[mesh.faces].astype(np.int64)
    solid: Floats = points.astype(np.float64)
    smooth = _smooth_points(solid, faces)
    normals, areas = (item.astype(np.float64) for item in compute_face_normals(solid, faces))
    smooth_normals = compute_face_normals(smooth, faces)[0].astype(np.float64)
    pairs = _pair_faces(faces, len(solid))
    return _Surface(faces, solid[faces], normals, areas, smooth[faces], smooth_normals, pairs)


def _smooth_points(points: Floats, faces: Labels) -> Floats:
    """Taubin's smoothing, as far as _FARTHEST of the mesh's size."""
    tail, head = faces.ravel(), faces[:, (1, 2, 0)].ravel()
    links = sparse.csr_array((np.ones(len(tail)), (tail, head)), shape=(len(points),) * 2)
    links = links + links.T
    degree = np.maximum(links.sum(axis=1), 1)[:, None]
    smooth = points
    for step in (0.5, -0.53) * _SURFACE_STEPS:
        smooth = smooth + step * (links @ smooth / degree - smooth)
    moved = smooth - points
    farthest = _FARTHEST * float(np.linalg.norm(np.ptp(points, axis=0)))
    length = np.linalg.norm(moved, axis=1, keepdims=True)
    return points + moved * np.minimum(1, farthest / np.maximum(length, 1e-20))


def _pair_faces(faces: Labels, vertex_count: int) -> Labels:
    """(E, 2): faces that share an edge; around a non-manifold edge, each with the next two."""
    start, stop = faces.ravel(), faces[:, (1, 2, 0)].ravel()
    key = np.minimum(start, stop) * vertex_count + np.maximum(start, stop)
    order = np.argsort(key, kind="stable")
    owner, key = order // 3, key[order]
    near, far = (np.flatnonzero(key[step:] == key[:-step]) for step in (1, 2))
    return np.stack((owner[np.append(near, far)], owner[np.append(near + 1, far + 2)]), axis=1)


def _adjacency(pairs: Labels, count: int) -> sparse.csr_array:
    one, two = np.concatenate((pairs, pairs[:, ::-1])).T
    return sparse.csr_array((np.ones(len(one)), (one, two)), shape=(count, count))


def _label_faces(surface: _Surface) -> Labels:
    """One axis per face: nearest to the smoothed normal, straightened by the neighbours' votes."""
    adjacency = _adjacency(surface.pairs, len(surface.normals))
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


def _fit_planes(surface: _Surface, label: Labels, chart: Labels) -> Floats:
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


def _stand_upright(outward: npt.NDArray[np.float64]) -> Floats:
    """Planes (C, 3, 3) for unit normals (C, 3), with +Y up, or -Z where the normal is nearly vertical."""
    steep = np.abs(outward[:, 1:2]) > 0.9
    up = np.where(steep, (0.0, 0.0, -1.0), (0.0, 1.0, 0.0))
    right = np.cross(up, outward)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    return np.stack((right, np.cross(outward, right), outward), axis=1)


def _project_charts(surface: _Surface, label: Labels, chart: Labels) -> Charts:
    planes = _fit_planes(surface, label, chart)[chart]
    return Charts(chart, np.einsum("fij,fcj->fci", planes, surface.corners), surface.faces, surface.pairs)


def _split_folds(surface: _Surface, label: Labels, charts: Charts) -> Charts:
    """Split off the faces that fold away from their plane or nearly so, in pieces, then one by one.

    Smoothing, good for what lies around them, may have crushed them: they are projected as they are, and so
    are the charts in which nothing folds then.
    """
    count, rough = len(label), np.zeros(len(label), np.bool_)
    bare = surface._replace(corners=surface.solid, normals=surface.solid_normals)
    for single in (False, True):
        as_is = _project_charts(bare, label, charts.chart)
        rough = ~_spread(_find_folded(surface, as_is), charts.chart) | rough
        charts = charts._replace(corners=np.where(rough[:, None, None], as_is.corners, charts.corners))
        folded = _find_folded(surface, charts)
        if not folded.any():
            break
        rough |= folded
        piece = np.where(folded, count + (np.arange(count) if single else charts.chart), charts.chart)
        smoothed = charts.corners
        charts = _project_charts(bare, label, connect_faces(surface.pairs, piece))
        charts = charts._replace(corners=np.where(rough[:, None, None], charts.corners, smoothed))
    return charts


def _spread(marked: npt.NDArray[np.bool_], chart: Labels) -> npt.NDArray[np.bool_]:
    """(F,): whether the face's chart has a marked face."""
    return (np.bincount(chart, marked) > 0)[chart]


def _find_folded(surface: _Surface, charts: Charts) -> npt.NDArray[np.bool_]:
    doubled = double_areas(charts.corners[..., :2])
    return (doubled < _LEAST_SIZE * 2 * surface.areas) & (surface.areas > 1e-9 * surface.areas.mean())
