"""The pieces of a mesh: vertices at one place are one, faces that share a place are one piece."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from ..rigging.voxel_solid import Indices, Points
from ..types import Mesh

_STEPS = 1 << 20
"""Places of one axis that are told apart."""


@dataclass(frozen=True, eq=False)
class Pieces:
    """places: (P, 3). copies: (V,) place of each vertex. faces: (F, 3) places.

    names: (P,) number of the piece that each place belongs to.
    """

    places: Points
    copies: Indices
    faces: Indices
    names: Indices


def find_pieces(mesh: Mesh) -> Pieces:
    """Weld vertices nearer than a millionth of the mesh's span, and name what hangs together."""
    points = mesh.positions.astype(np.float64)
    low = points.min(axis=0)
    span = max(float(np.ptp(points, axis=0).max()), 1e-30)
    steps = np.rint((points - low) / span * (_STEPS - 1)).astype(np.int64)
    keys = (steps[:, 0] * _STEPS + steps[:, 1]) * _STEPS + steps[:, 2]
    _, first, copies = np.unique(keys, return_index=True, return_inverse=True)
    copies = copies.reshape(-1)
    faces = copies[mesh.faces]
    pairs = np.concatenate((faces[:, [0, 1]], faces[:, [1, 2]]))
    links = sparse.coo_matrix((np.ones(len(pairs), np.int8), pairs.T), shape=(len(first),) * 2)
    _, names = csgraph.connected_components(links, directed=False)
    return Pieces(points[first], copies, faces, names)


def measure_spans(pieces: Pieces) -> Points:
    """(N,) diagonal of the bounds of each piece, metres."""
    order = np.argsort(pieces.names, kind="stable")
    starts = np.searchsorted(pieces.names[order], np.arange(int(pieces.names.max()) + 1))
    low, high = (extreme.reduceat(pieces.places[order], starts) for extreme in (np.minimum, np.maximum))
    return np.asarray(np.linalg.norm(high - low, axis=1))


def split_closed(pieces: Pieces) -> tuple[Points, Points]:
    """Corners (F, 3, 3) of the closed pieces' faces, wound outward, and those of all others.

    A piece is closed where every edge is run as often one way as the other; which way is outward its
    signed volume tells.
    """
    count = len(pieces.places)
    faces = pieces.faces
    faces = faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)]
    start, end = faces.reshape(-1), np.roll(faces, -1, axis=1).reshape(-1)
    edges = np.minimum(start, end) * count + np.maximum(start, end)
    _, edge = np.unique(edges, return_inverse=True)
    balance = np.bincount(edge.reshape(-1), weights=np.where(start < end, 1.0, -1.0))
    is_open = np.zeros(count, bool)
    is_open[pieces.names[start[balance[edge.reshape(-1)] != 0]]] = True
    name = pieces.names[faces[:, 0]]
    corners = pieces.places[faces]
    local = corners - corners[:, :1].mean(axis=(0, 1)) if len(corners) else corners
    volume = np.bincount(
        name, weights=np.einsum("ij,ij->i", local[:, 0], np.cross(local[:, 1], local[:, 2])), minlength=count
    )
    inward = volume[name] < 0
    corners = np.where(inward[:, None, None], corners[:, ::-1], corners)
    loose = is_open[name]
    return corners[~loose], corners[loose]
