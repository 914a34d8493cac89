"""From the dense surface to the mesh that leaves the stage."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from ..conventions import CHARACTER_HEIGHT
from ..errors import MeshError
from ..normals import compute_vertex_normals
from ..progress import Progress
from ..types import FloatArray, IntArray, Mesh

_SHRINK, _GROW = 0.5, -0.53
_FEET_BELOW = 0.1
_SCHEDULES = ((1.0, 5), (1.0, 7), (0.98, 6), (1.05, 8), (1.3, 7), (2.0, 7))
"""Shares of the target and fast-simplification's aggressiveness, in the order tried."""


def smooth_surface(
    positions: FloatArray, faces: IntArray, rounds: int, held: FloatArray, progress: Progress
) -> FloatArray:
    """Taubin's smoothing ("A Signal Processing Approach to Fair Surface Design", SIGGRAPH 1995).

    held: (V, 3) 0..1, how far each coordinate of each vertex is kept where it is.
    """
    average = _average_neighbours(len(positions), faces)
    result = positions.astype(np.float32)
    for done in range(rounds):
        for step in (_SHRINK, _GROW):
            result = result + step * (1 - held) * (average @ result - result)
        progress((done + 1) / rounds)
    return result


def _average_neighbours(count: int, faces: IntArray) -> sparse.csr_matrix:
    tail = faces.ravel()
    head = faces[:, [1, 2, 0]].ravel()
    ones = np.ones(len(tail), dtype=np.float32)
    links = sparse.csr_matrix((ones, (tail, head)), shape=(count, count))
    degree = np.maximum(np.asarray(links.sum(axis=1)).ravel(), 1.0)
    return sparse.diags((1.0 / degree).astype(np.float32)) @ links


def decimate_surface(positions: FloatArray, faces: IntArray, face_count: int) -> tuple[FloatArray, IntArray]:
    """Reduce to about face_count faces (Garland and Heckbert 1997); MeshError if it comes out open.

    Collapses may, rarely, pinch a thin part into an edge of four faces; another schedule avoids it.
    """
    import fast_simplification

    if len(faces) <= face_count:
        return positions, faces
    for share, haste in _SCHEDULES:
        target = int(share * face_count)
        points, triangles = fast_simplification.simplify(positions, faces, target_count=target, agg=haste)
        points, triangles = drop_unused(points, triangles)
        if is_closed(triangles):
            return points, triangles
    raise MeshError(f"decimation from {len(faces)} to {face_count} faces left the surface open")


def drop_unused(positions: FloatArray, faces: IntArray) -> tuple[FloatArray, IntArray]:
    """Drop the vertices that no face uses."""
    used, inverse = np.unique(faces, return_inverse=True)
    return positions[used], inverse.reshape(-1, 3).astype(np.int32)


def is_closed(faces: IntArray) -> bool:
    """Whether every directed edge occurs once and has its opposite: closed, manifold, one winding."""
    edges = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2).astype(np.int64)
    count = int(faces.max()) + 1
    forward = np.sort(edges[:, 0] * count + edges[:, 1])
    backward = np.sort(edges[:, 1] * count + edges[:, 0])
    return bool((np.diff(forward) > 0).all() and (forward == backward).all())


def place_on_ground(positions: FloatArray, faces: IntArray) -> Mesh:
    """Scale to CHARACTER_HEIGHT, stand on y = 0 with the middle of the feet at x = 0."""
    low, high = positions.min(axis=0), positions.max(axis=0)
    placed = (positions - low) * (CHARACTER_HEIGHT / (high[1] - low[1]))
    soles = placed[placed[:, 1] < _FEET_BELOW * CHARACTER_HEIGHT, 0]
    middle = (soles.min() + soles.max()) / 2
    depth = float(low[2] * CHARACTER_HEIGHT / (high[1] - low[1]))
    placed = (placed + np.array([-middle, 0.0, depth])).astype(np.float32)
    return Mesh(placed, faces, compute_vertex_normals(placed, faces))
