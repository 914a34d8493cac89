"""Segment a surface into a few connected charts, each of which can be projected onto a plane.

Each face is labelled with one of six axes by its smoothed normal (a cheap substitute for the graph cuts of
Lévy et al. 2002 and of PolyCube maps), small islands join a neighbor, and faces that would fold over in the
projection of their chart are split off. The result is tens of charts, where greedy chart growing makes a
thousand and takes many times as long.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

from ..mesh.areas import measure_double_areas
from ..mesh.laplacian import smooth_positions
from ..mesh.normals import compute_face_normals
from ..mesh.topology import label_components, list_directed_edges
from ..mesh.weld import weld_equal
from ..progress import Progress, ignore_progress
from ..types import BoolArray, Float64Array, Int64Array, Mesh
from .split_large_charts import cut_sprawling_charts

AXES = np.array([(0, 0, 1), (0, 0, -1), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0)], np.float64)
_AXIS_PREFERENCE = np.array((1.0, 1.0, 0.9, 0.9, 0.75, 0.75))
"""Front and back charts extend farther around the body, so that no seam runs through the character's face."""
_POSITION_SMOOTHING_ROUNDS = 8
_LARGEST_SHIFT = 0.005
"""Largest shift of a vertex by smoothing, as a share of the diagonal of the mesh's bounds."""
_NORMAL_SMOOTHING_STEPS = 12
_VOTING_STEPS = 10
_VOTE_WEIGHT = 0.35
_LEAST_FACING = 0.2
"""Least cosine between a face and its chart's plane: below, it would be stretched more than five times."""
_SMALL_CHART = 0.002
"""Charts below this share of the surface join a neighbor if possible."""
_MERGING_ROUNDS = 6
_CUTTING_ROUNDS = 3
_LEAST_AREA_KEPT = 0.03
"""Share of a face's area below which its projection counts as folded."""


class _Surface(NamedTuple):
    """A mesh, welded, as it is and smoothed.

    faces: (F, 3) indices of welded vertices. original, smoothed: (F, 3, 3) corners, metres.
    original_normals, smoothed_normals: (F, 3) unit. areas: (F,) of the original faces.
    pairs: (E, 2) faces that share an edge.
    """

    faces: Int64Array
    original: Float64Array
    original_normals: Float64Array
    areas: Float64Array
    smoothed: Float64Array
    smoothed_normals: Float64Array
    pairs: Int64Array


class Charts(NamedTuple):
    """A segmented surface, projected onto the planes of its charts.

    chart: (F,) chart of each face. corners: (F, 3, 3) right, up and height over the chart's plane, roughly
    in metres. faces: (F, 3) indices of welded vertices. pairs: (E, 2) faces that share an edge.
    """

    chart: Int64Array
    corners: Float64Array
    faces: Int64Array
    pairs: Int64Array


def segment_charts(mesh: Mesh, progress: Progress = ignore_progress) -> Charts:
    """Segment the mesh into connected charts in which every face looks out of the chart's plane.

    A smoothed copy is segmented and projected, so that noise neither folds faces nor breaks up charts.
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
        charts = split_charts(charts, far)
    return _split_folds(surface, label, charts)


def split_charts(charts: Charts, marked: BoolArray) -> Charts:
    """Separate the marked faces (F,) from the rest of their charts; each connected part becomes a chart."""
    if not marked.any():
        return charts
    return charts._replace(chart=connect_faces(charts.pairs, charts.chart * 2 + marked))


def find_covered_faces(charts: Charts, face: Int64Array, texel: Int64Array) -> BoolArray:
    """Where several faces (N,) cover a texel (N,), mark all but the frontmost in their chart: (F,)."""
    covered = np.zeros(len(charts.chart), np.bool_)
    order = np.lexsort((face, -charts.corners[face, :, 2].mean(axis=1), texel))
    texel, face = texel[order], face[order]
    covered[face[1:][texel[1:] == texel[:-1]]] = True
    return covered


def find_overlap_candidates(charts: Charts, folded: BoolArray) -> BoolArray:
    """Faces (F,) that touch their chart's border or one of the folded faces (F,).

    Charts overlap themselves only where borders cross or faces fold, so every overlap involves one of these.
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
    candidates: BoolArray = np.any(border[charts.faces], axis=1)
    return candidates


def connect_faces(pairs: Int64Array, label: Int64Array) -> Int64Array:
    """Number (F,) the connected parts of equal label; pairs: (E, 2) faces that share an edge."""
    one, two = pairs.T
    same = label[one] == label[two]
    return label_components((one[same], two[same]), len(label))


def _read_surface(mesh: Mesh) -> _Surface:
    welded = weld_equal(mesh.positions)
    faces = welded.inverse[mesh.faces]
    original = welded.points.astype(np.float64)
    smoothed = _smooth_points(original, faces)
    normals, areas = (item.astype(np.float64) for item in compute_face_normals(original, faces))
    smoothed_normals = compute_face_normals(smoothed, faces)[0].astype(np.float64)
    pairs = _pair_faces(faces, len(original))
    return _Surface(faces, original[faces], normals, areas, smoothed[faces], smoothed_normals, pairs)


def _smooth_points(points: Float64Array, faces: Int64Array) -> Float64Array:
    """Taubin smoothing; no vertex moves farther than _LARGEST_SHIFT of the mesh's diagonal."""
    moved = smooth_positions(points, faces, _POSITION_SMOOTHING_ROUNDS) - points
    farthest = _LARGEST_SHIFT * float(np.linalg.norm(np.ptp(points, axis=0)))
    length = np.linalg.norm(moved, axis=1, keepdims=True)
    return points + moved * np.minimum(1, farthest / np.maximum(length, 1e-20))


def _pair_faces(faces: Int64Array, vertex_count: int) -> Int64Array:
    """Pairs (E, 2) of faces that share an edge; around a non-manifold edge, each with the next two."""
    start, stop = list_directed_edges(faces)
    key = np.minimum(start, stop) * vertex_count + np.maximum(start, stop)
    order = np.argsort(key, kind="stable")
    owner, key = order // 3, key[order]
    near, far = (np.flatnonzero(key[step:] == key[:-step]) for step in (1, 2))
    return np.stack((owner[np.append(near, far)], owner[np.append(near + 1, far + 2)]), axis=1)


def _adjacency(pairs: Int64Array, count: int) -> sparse.csr_array:
    one, two = np.concatenate((pairs, pairs[:, ::-1])).T
    return sparse.csr_array((np.ones(len(one)), (one, two)), shape=(count, count))


def _label_faces(surface: _Surface) -> Int64Array:
    """The axis (F,) nearest to each face's smoothed normal, regularized by the neighbors' votes."""
    normals = surface.smoothed_normals
    adjacency = _adjacency(surface.pairs, len(normals))
    smooth = normals * surface.areas[:, None]
    for _ in range(_NORMAL_SMOOTHING_STEPS):
        smooth = smooth + adjacency @ smooth / 3
        smooth /= np.maximum(np.linalg.norm(smooth, axis=1, keepdims=True), 1e-12)
    forbidden = normals @ AXES.T < _LEAST_FACING
    forbidden[np.arange(len(forbidden)), (normals @ AXES.T).argmax(axis=1)] = False
    preference = np.where(forbidden, -10.0, smooth @ AXES.T * _AXIS_PREFERENCE)
    label = preference.argmax(axis=1)
    for _ in range(_VOTING_STEPS):
        label = (preference + _VOTE_WEIGHT * (adjacency @ np.eye(6)[label])).argmax(axis=1)
    return label


def _merge_small(surface: _Surface, label: Int64Array, chart: Int64Array) -> Int64Array:
    """Relabel each small chart with the axis of the neighbor that it shares most edges with and can face."""
    count = int(chart.max(initial=-1)) + 1
    area = np.bincount(chart, surface.areas, count).astype(np.float64)
    least = np.full((count, 6), np.inf)
    np.minimum.at(least, chart, surface.smoothed_normals @ AXES.T)
    border = np.zeros((count, 6))
    for one, two in (surface.pairs.T, surface.pairs.T[::-1]):
        across = chart[one] != chart[two]
        np.add.at(border, (chart[one][across], label[two][across]), 1.0)
    border[least < _LEAST_FACING / 2] = 0
    target = border.argmax(axis=1)
    moves = (area < _SMALL_CHART * surface.areas.sum()) & (border.max(axis=1) > 0)
    moves &= _is_local_minimum(surface, chart, area)
    return np.where(moves[chart], target[chart], label)


def _is_local_minimum(surface: _Surface, chart: Int64Array, area: Float64Array) -> BoolArray:
    """Which charts (C,) are smaller than all their neighbors; only these move, so no two swap labels."""
    rank = np.empty(len(area), np.int64)
    rank[np.argsort(area, kind="stable")] = np.arange(len(area))
    lowest = np.full(len(area), len(area))
    for one, two in (surface.pairs.T, surface.pairs.T[::-1]):
        across = chart[one] != chart[two]
        np.minimum.at(lowest, chart[one][across], rank[chart[two][across]])
    return rank < lowest


def _fit_planes(surface: _Surface, label: Int64Array, chart: Int64Array) -> Float64Array:
    """Planes (C, 3, 3) that face the charts' mean normals, or their axes where a face would look inwards."""
    count = int(chart.max(initial=-1)) + 1
    weighted = surface.smoothed_normals * surface.areas[:, None]
    sums = [np.bincount(chart, weighted[:, axis], count) for axis in range(3)]
    mean = np.stack(sums, axis=1).astype(np.float64)
    mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
    least = np.full(count, np.inf)
    np.minimum.at(least, chart, (surface.smoothed_normals * mean[chart]).sum(axis=1))
    axis_of = np.zeros(count, np.int64)
    axis_of[chart] = label
    outward = np.where((least > _LEAST_FACING)[:, None], mean, AXES[axis_of])
    return _build_planes(outward)


def _build_planes(outward: Float64Array) -> Float64Array:
    """Planes (C, 3, 3) with unit normals (C, 3): rows right, up, outward.

    Up is +Y, or -Z where the normal is nearly vertical.
    """
    steep = np.abs(outward[:, 1:2]) > 0.9
    up = np.where(steep, (0.0, 0.0, -1.0), (0.0, 1.0, 0.0))
    right = np.cross(up, outward)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    return np.stack((right, np.cross(outward, right), outward), axis=1)


def _project_charts(surface: _Surface, label: Int64Array, chart: Int64Array) -> Charts:
    planes = _fit_planes(surface, label, chart)[chart]
    return Charts(chart, np.einsum("fij,fcj->fci", planes, surface.smoothed), surface.faces, surface.pairs)


def _split_folds(surface: _Surface, label: Int64Array, charts: Charts) -> Charts:
    """Split off faces that are folded or nearly so, first as connected parts, then one by one.

    Smoothing may have collapsed a face, so split faces are projected from their original positions. So are
    whole charts in which no face is folded then.
    """
    count, unsmoothed = len(label), np.zeros(len(label), np.bool_)
    original = surface._replace(smoothed=surface.original, smoothed_normals=surface.original_normals)
    for single in (False, True):
        projected = _project_charts(original, label, charts.chart)
        unsmoothed |= ~_mark_charts(_find_folded(surface, projected), charts.chart)
        charts = _choose_corners(unsmoothed, projected, charts)
        folded = _find_folded(surface, charts)
        if not folded.any():
            break
        unsmoothed |= folded
        part = np.where(folded, count + (np.arange(count) if single else charts.chart), charts.chart)
        split = _project_charts(original, label, connect_faces(surface.pairs, part))
        charts = split._replace(corners=_choose_corners(unsmoothed, split, charts).corners)
    return charts


def _choose_corners(marked: BoolArray, ours: Charts, theirs: Charts) -> Charts:
    """The second charts, with the corners of the first for the marked faces (F,)."""
    return theirs._replace(corners=np.where(marked[:, None, None], ours.corners, theirs.corners))


def _mark_charts(marked: BoolArray, chart: Int64Array) -> BoolArray:
    """Mark all faces (F,) of the charts that have a marked face."""
    return (np.bincount(chart, marked) > 0)[chart]


def _find_folded(surface: _Surface, charts: Charts) -> BoolArray:
    doubled = measure_double_areas(charts.corners[..., :2])
    return (doubled < _LEAST_AREA_KEPT * 2 * surface.areas) & (surface.areas > 1e-9 * surface.areas.mean())
