"""From the dense surface to the mesh that leaves the stage."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from ..conventions import CHARACTER_HEIGHT
from ..errors import MeshError
from ..mesh.normals import compute_vertex_normals
from ..progress import Progress
from ..types import FloatArray, IntArray, Mesh

_SHRINK, _GROW = 0.5, -0.53
_FEET_BELOW = 0.1
_HASTE = 5
"""fast-simplification's aggressiveness: how fast its threshold grows."""


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
    """Reduce to face_count faces by edge collapse (Garland and Heckbert 1997); a closed manifold stays one.

    The fast library may, rarely, pinch a thin part; then the thorough one, which needs ten times as long,
    does it anew (benchmarks/decimation.py). MeshError: a closed manifold came out open from both.
    """
    if len(faces) <= face_count:
        return positions, faces
    points, triangles = _collapse_fast(positions, faces, face_count)
    if is_manifold(triangles) or not is_closed(faces):
        return points, triangles
    points, triangles = _collapse_thoroughly(positions, faces, face_count)
    if not len(triangles) or not is_closed(triangles):
        raise MeshError(f"decimation from {len(faces)} to {face_count} faces left the surface open")
    return points, triangles


def _collapse_fast(positions: FloatArray, faces: IntArray, face_count: int) -> tuple[FloatArray, IntArray]:
    import fast_simplification

    # Its thresholds are lengths: at another scale it collapses in the faces' order, not by their error.
    a, b = positions[faces[:, 0]], positions[faces[:, 1]]
    edge = float(np.linalg.norm(b - a, axis=1).mean()) or 1.0
    scaled = (positions / edge).astype(np.float32)
    points, triangles = fast_simplification.simplify(scaled, faces, target_count=face_count, agg=_HASTE)
    return drop_unused((points * edge).astype(np.float32), triangles)


def _collapse_thoroughly(
    positions: FloatArray, faces: IntArray, face_count: int
) -> tuple[FloatArray, IntArray]:
    import igl

    points, triangles, *_ = igl.qslim(
        np.asfortranarray(positions, np.float64), np.asfortranarray(faces, np.int32), face_count
    )
    return drop_unused(points.astype(np.float32), triangles.astype(np.int32))


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


def is_manifold(faces: IntArray) -> bool:
    """Whether the faces are closed and those around each vertex form one fan."""
    if not len(faces) or not is_closed(faces):
        return False
    corners = np.arange(faces.size).reshape(faces.shape)
    tails, heads = faces, faces[:, [1, 2, 0]]
    count = int(faces.max()) + 1
    there = np.argsort((tails.astype(np.int64) * count + heads).ravel())
    back = np.argsort((heads.astype(np.int64) * count + tails).ravel())
    # The corner at an edge's tail, and the corner at the same vertex in the face across the edge.
    one, other = corners.ravel()[there], corners[:, [1, 2, 0]].ravel()[back]
    links = sparse.coo_matrix((np.ones(len(one), bool), (one, other)), shape=(faces.size, faces.size))
    fans, _ = connected_components(links, directed=False)
    return fans == len(np.unique(faces))


def place_on_ground(positions: FloatArray, faces: IntArray) -> Mesh:
    """Scale to CHARACTER_HEIGHT, stand on y = 0 with the middle of the feet at x = 0."""
    low, high = positions.min(axis=0), positions.max(axis=0)
    placed = (positions - low) * (CHARACTER_HEIGHT / (high[1] - low[1]))
    soles = placed[placed[:, 1] < _FEET_BELOW * CHARACTER_HEIGHT, 0]
    middle = (soles.min() + soles.max()) / 2
    depth = float(low[2] * CHARACTER_HEIGHT / (high[1] - low[1]))
    placed = (placed + np.array([-middle, 0.0, depth])).astype(np.float32)
    return Mesh(placed, faces, compute_vertex_normals(placed, faces))
