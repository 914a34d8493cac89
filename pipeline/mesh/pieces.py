"""The connected pieces of a mesh: their faces, boxes and areas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..types import BoolArray, Float64Array, Int64Array, Mesh
from .components import MeshComponents, find_components
from .normals import compute_face_normals

MAX_PIECES = 2000
"""A mesh of more is a soup of triangles, whose pieces mean nothing."""


@dataclass(frozen=True, eq=False)
class Pieces:
    """The connected pieces of a mesh.

    label: (F,) piece of each face. low, high: (C, 3) corners of their boxes. area: (C,). count: (C,) faces.
    """

    welded: MeshComponents
    label: Int64Array
    low: Float64Array
    high: Float64Array
    area: Float64Array
    count: Int64Array

    def box(self, chosen: BoolArray) -> tuple[Float64Array, Float64Array]:
        """Return the lowest and the highest corner of some pieces."""
        return self.low[chosen].min(axis=0), self.high[chosen].max(axis=0)

    def size(self, chosen: BoolArray) -> float:
        """Return the longest side of the box of some pieces."""
        low, high = self.box(chosen)
        return float((high - low).max())

    def faces(self, chosen: BoolArray) -> Int64Array:
        """Return the faces (K, 3) of some pieces, as indices of the welded points."""
        return self.welded.faces[chosen[self.label]]

    def describe(self, chosen: BoolArray) -> str:
        """Return the size and the number of faces of some pieces."""
        low, high = self.box(chosen)
        sides = " × ".join(f"{side:.3g}" for side in high - low)
        faces = int(self.count[chosen].sum())
        return f"{sides}, {faces} {'face' if faces == 1 else 'faces'}"

    def only(self, index: int | np.integer[Any]) -> BoolArray:
        """Return which pieces (C,) are the one at `index`."""
        return np.arange(len(self.area)) == index

    def points(self, index: int | np.integer[Any]) -> Float64Array:
        """Return the points (K, 3) of one piece."""
        return self.welded.points[np.unique(self.faces(self.only(index)))]


def split_pieces(mesh: Mesh) -> Pieces:
    """Split a mesh, with vertices at one place welded, into what hangs together."""
    welded = find_components(mesh)
    label = np.unique(welded.labels[welded.faces[:, 0]], return_inverse=True)[1].reshape(-1)
    count = np.bincount(label)
    order = np.repeat(np.argsort(label, kind="stable"), 3)
    corners = welded.points[welded.faces[order[::3]]].reshape(-1, 3)
    starts = 3 * (np.cumsum(count) - count)
    low, high = (extreme.reduceat(corners, starts) for extreme in (np.minimum, np.maximum))
    areas = compute_face_normals(welded.points, welded.faces)[1]
    return Pieces(welded, label, low, high, np.bincount(label, areas).astype(np.float64), count)
