"""A part of a mesh with smaller triangles: red and green refinement.

Source: R. E. Bank, A. H. Sherman, A. Weiser, "Refinement algorithms and data structures for regular local
mesh refinement", 1983: chosen triangles are cut into four, and those beside them so that no gap opens.
"""

from __future__ import annotations

import numpy as np

from ..types import BoolArray, Int64Array, IntArray, Mesh
from .weld import weld_near


def refine_faces(mesh: Mesh, chosen: BoolArray) -> tuple[Int64Array, IntArray]:
    """Cut the chosen (F,) of the faces into four each.

    Returns the vertices as pairs (W, 2) of the old vertices in whose middle they lie, the old ones first and
    with themselves, and the faces (G, 3).
    """
    faces, count = mesh.faces.astype(np.int64), len(mesh.positions)
    points = np.asarray(weld_near(mesh.positions).inverse, np.int64)[faces]
    keys = _name_edges(points, count)
    cut = np.isin(keys, np.unique(keys[chosen]))
    own = _name_edges(faces, count)
    edges, number = np.unique(own[cut], return_inverse=True)
    middles = np.full(cut.shape, -1, np.int64)
    middles[cut] = count + number
    old = np.arange(count)
    sources = np.concatenate((np.stack((old, old), 1), np.stack((edges // count, edges % count), 1)))
    return sources, np.concatenate(_cut_faces(faces, middles)).astype(np.int32)


def _name_edges(corners: Int64Array, count: int) -> Int64Array:
    """(F, 3) a number for each edge of the faces (F, 3): from corner 0 to 1, 1 to 2 and 2 to 0."""
    following = np.roll(corners, -1, axis=1)
    return np.minimum(corners, following) * count + np.maximum(corners, following)


def _cut_faces(faces: Int64Array, middles: Int64Array) -> list[Int64Array]:
    """The faces (F, 3), cut at the middles (F, 3) of their edges where these are not -1."""
    cuts = (middles >= 0).sum(axis=1)
    found = [faces[cuts == 0]]
    turned, between = faces.copy(), middles.copy()
    for _ in range(2):  # so that with one cut it is the first edge's, and with two the last edge has none
        wrong = np.where(cuts == 1, between[:, 0] < 0, between[:, 2] >= 0) & (cuts > 0) & (cuts < 3)
        rows = np.flatnonzero(wrong)
        turned[rows], between[rows] = np.roll(turned[rows], -1, axis=1), np.roll(between[rows], -1, axis=1)
    for pieces, count in ((_ONE, 1), (_TWO, 2), (_THREE, 3)):
        rows = np.concatenate((turned, between), axis=1)[cuts == count]
        found += [rows[:, piece] for piece in pieces]
    return found


_ONE = ([0, 3, 2], [3, 1, 2])
_TWO = ([3, 1, 4], [0, 3, 4], [0, 4, 2])
_THREE = ([0, 3, 5], [3, 1, 4], [5, 4, 2], [3, 4, 5])
"""Pieces of a face by the number of its cut edges: corners 0 to 2, and 3 to 5 the middles of its edges."""
