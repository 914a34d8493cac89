"""Decimate a surface, and place it on the ground."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..conventions import CHARACTER_HEIGHT
from ..errors import MeshError
from ..mesh.normals import compute_vertex_normals
from ..mesh.topology import drop_unused_vertices, is_closed, is_manifold
from ..types import FloatArray, IntArray, Mesh

_FEET_BELOW = 0.1
_AGGRESSIVENESS = 5
"""How fast fast-simplification's threshold grows."""


def decimate_surface(positions: FloatArray, faces: IntArray, face_count: int) -> tuple[FloatArray, IntArray]:
    """Reduce to face_count faces by edge collapse (Garland and Heckbert 1997); a closed manifold stays one.

    fast-simplification rarely pinches a thin part; libigl, ten times slower, then starts over
    (benchmarks/decimation.py). MeshError: a closed manifold came out open from both.
    """
    if len(faces) <= face_count:
        return positions, faces
    points, triangles = _collapse_with_fast_simplification(positions, faces, face_count)
    if is_manifold(triangles) or not is_closed(faces):
        return points, triangles
    points, triangles = _collapse_with_igl(positions, faces, face_count)
    if not len(triangles) or not is_closed(triangles):
        raise MeshError(f"decimation from {len(faces)} to {face_count} faces left the surface open")
    return points, triangles


def _collapse_with_fast_simplification(
    positions: FloatArray, faces: IntArray, face_count: int
) -> tuple[FloatArray, IntArray]:
    import fast_simplification

    # Its thresholds are absolute lengths: at another scale it collapses in face order, not by error.
    a, b = positions[faces[:, 0]], positions[faces[:, 1]]
    edge = float(np.linalg.norm(b - a, axis=1).mean()) or 1.0
    scaled = (positions / edge).astype(np.float32)
    points, triangles = fast_simplification.simplify(
        scaled, faces, target_count=face_count, agg=_AGGRESSIVENESS
    )
    return drop_unused_vertices((points * edge).astype(np.float32), triangles)


def _collapse_with_igl(
    positions: FloatArray, faces: IntArray, face_count: int
) -> tuple[FloatArray, IntArray]:
    import igl

    points, triangles, *_ = igl.qslim(
        np.asfortranarray(positions, np.float64), np.asfortranarray(faces, np.int32), face_count
    )
    return drop_unused_vertices(points.astype(np.float32), triangles.astype(np.int32))


class Placement(NamedTuple):
    """How points are placed: their lowest corner (3,) goes to 0, they are scaled, then shifted by (3,)."""

    low: FloatArray
    scale: float
    shift: FloatArray

    def apply(self, points: FloatArray) -> FloatArray:
        """Points (N, 3) where they belong."""
        return ((points - self.low) * self.scale + self.shift).astype(np.float32)


def find_ground(positions: FloatArray) -> Placement:
    """Scale to CHARACTER_HEIGHT and place on y = 0, the midpoint of the feet at x = 0."""
    low, high = positions.min(axis=0), positions.max(axis=0)
    scale = CHARACTER_HEIGHT / (high[1] - low[1])
    placed = (positions - low) * scale
    soles = placed[placed[:, 1] < _FEET_BELOW * CHARACTER_HEIGHT, 0]
    middle = (soles.min() + soles.max()) / 2
    return Placement(low, scale, np.array([-middle, 0.0, float(low[2] * scale)]))


def place_on_ground(positions: FloatArray, faces: IntArray) -> Mesh:
    """The mesh as `find_ground` places it, with smooth normals."""
    placed = find_ground(positions).apply(positions)
    return Mesh(placed, faces, compute_vertex_normals(placed, faces))
