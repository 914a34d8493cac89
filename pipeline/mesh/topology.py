"""Edges of a triangle mesh: what they connect, and whether they close the surface."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from ..types import BoolArray, FloatArray, Int64Array, IntArray


def drop_collapsed(faces: Int64Array) -> Int64Array:
    """Return the faces (F, 3) whose three corners are three."""
    return faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)]


def list_directed_edges(faces: IntArray) -> tuple[IntArray, IntArray]:
    """Return start and end (3 F,) of the edges of faces (F, 3), in the faces' winding."""
    return faces.ravel(), faces[:, [1, 2, 0]].ravel()


def find_open_edges(start: IntArray, end: IntArray, count: int) -> BoolArray:
    """Return (E,) bool, whether no other of these directed edges between `count` vertices runs back."""
    start, end = start.astype(np.int64), end.astype(np.int64)
    # By sorting: numpy's isin hashes, which takes five times as long.
    forward, backward = np.sort(start * count + end), end * count + start
    found = np.searchsorted(forward, backward)
    return np.asarray(forward[np.minimum(found, len(forward) - 1)] != backward)


def label_components(links: tuple[IntArray, IntArray], count: int) -> Int64Array:
    """Label (count,) the connected components of a graph given by the two ends (E,) of its edges."""
    graph = sparse.coo_matrix((np.ones(len(links[0]), np.int8), links), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def label_face_components(faces: IntArray, vertex_count: int) -> Int64Array:
    """Label (F,) the connected parts of a mesh from 0; faces (F, 3) that share a vertex are connected."""
    label = label_components(list_directed_edges(faces), vertex_count)[faces[:, 0]]
    return np.unique(label, return_inverse=True)[1].reshape(-1)


def drop_unused_vertices(positions: FloatArray, faces: IntArray) -> tuple[FloatArray, IntArray]:
    """Drop the vertices that no face uses; those that stay keep their order."""
    used, inverse = np.unique(faces, return_inverse=True)
    return positions[used], inverse.reshape(-1, 3).astype(np.int32)


def is_closed(faces: IntArray) -> bool:
    """Whether every directed edge occurs once and has its opposite: closed, manifold, one winding."""
    start, end = (ends.astype(np.int64) for ends in list_directed_edges(faces))
    count = int(faces.max()) + 1
    forward = np.sort(start * count + end)
    backward = np.sort(end * count + start)
    return bool((np.diff(forward) > 0).all() and (forward == backward).all())


def is_manifold(faces: IntArray) -> bool:
    """Whether the faces are closed and those around each vertex form a single fan."""
    if not len(faces) or not is_closed(faces):
        return False
    corners = np.arange(faces.size).reshape(faces.shape)
    tails, heads = (ends.astype(np.int64) for ends in list_directed_edges(faces))
    count = int(faces.max()) + 1
    there, back = np.argsort(tails * count + heads), np.argsort(heads * count + tails)
    # The corner at an edge's tail, and the corner at the same vertex in the face across the edge.
    links = corners.ravel()[there], corners[:, [1, 2, 0]].ravel()[back]
    fans = label_components(links, faces.size)
    return int(fans.max()) + 1 == len(np.unique(faces))
