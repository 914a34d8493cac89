"""What small pieces of a mesh touch: a bolt its armor, a ball its socket, and the socket the body.

Points are spread evenly over all surfaces; two pieces touch by as much as pairs of them are near each other.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from ...mesh.areas import measure_areas, spread_points
from ...mesh.components import MeshComponents
from ...types import BoolArray, Float64Array, Int64Array

_REACH, _SPACING = 0.01, 0.006
"""Shares of the body's height: how near is a touch, and how far apart the points are."""
_MAX_POINTS = 80_000


def share_contacts(by_point: Float64Array, pieces: MeshComponents, is_small: BoolArray) -> Float64Array:
    """Return the shares (C, K) that small pieces (C,) have in the parts of what they touch; 0 for others.

    by_point: (P, K) share of each part at a point. What another small piece touches counts for those that
    touch it: the shares are where a random walk over touching pieces ends that no large one lets go on.
    Rows sum to 1, and to 0 where no large piece is reached.
    """
    small, shares = np.flatnonzero(is_small), np.zeros((len(is_small), by_point.shape[1]))
    one, other, parts = _find_contacts(by_point, pieces, is_small)
    touched = np.bincount(one, minlength=len(is_small))[small]
    weight = 1.0 / np.maximum(touched, 1)
    number = np.cumsum(is_small) - 1
    go_on = is_small[other]
    order = (number[one[go_on]], number[other[go_on]])
    steps = sparse.coo_matrix((weight[order[0]], order), shape=(len(small),) * 2)
    ends = np.zeros((len(small), by_point.shape[1]))
    np.add.at(ends, number[one[~go_on]], parts[~go_on])
    # A little is lost at each step, or pieces that touch only each other would have no answer.
    walk = splu(((1 + 1e-6) * sparse.identity(len(small)) - steps).tocsc())
    shares[small] = walk.solve(ends * weight[:, None])
    return shares


def _find_contacts(
    by_point: Float64Array, pieces: MeshComponents, is_small: BoolArray
) -> tuple[Int64Array, Int64Array, Float64Array]:
    """Pairs of a small piece (N,) and another (N,) that it touches, and the shares (N, K) of the place."""
    height = float(np.ptp(pieces.points[:, 1]))
    area = float(measure_areas(pieces.points, pieces.faces).sum())
    count = int(min(area / (_SPACING * height) ** 2, _MAX_POINTS)) + 1
    places, chosen = spread_points(pieces.points, pieces.faces, count)
    labels, shares = pieces.labels[pieces.faces[chosen, 0]], by_point[pieces.faces[chosen]].mean(axis=1)
    own = np.flatnonzero(is_small[labels])
    if not len(own):
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, by_point.shape[1]))
    pairs = cKDTree(places[own]).sparse_distance_matrix(
        cKDTree(places), _REACH * height, output_type="coo_matrix"
    )
    one, other = labels[own[pairs.row]], labels[pairs.col]
    apart = one != other
    return one[apart], other[apart], shares[pairs.col[apart]]
