"""Smooth vertex normals."""

from __future__ import annotations

import numpy as np

from ..types import FloatArray, IntArray, Mesh


def compute_face_normals(positions: FloatArray, faces: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return unit normals (F, 3), 0 for faces without area, and areas (F,) in square metres."""
    corner = positions[faces]
    cross = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    length = np.linalg.norm(cross, axis=1)
    return cross / np.maximum(length, 1e-20)[:, None], length / 2


def compute_vertex_normals(positions: FloatArray, faces: IntArray) -> FloatArray:
    """Return (V, 3) float32 unit normals, each the area-weighted mean of the faces around the vertex.

    A vertex without faces gets +Y.
    """
    normal, area = compute_face_normals(positions, faces)
    weighted = normal * area[:, None]
    total = np.stack(
        [
            np.bincount(faces.ravel(), np.repeat(weighted[:, axis], 3), minlength=len(positions))
            for axis in range(3)
        ],
        axis=1,
    )
    length = np.linalg.norm(total, axis=1, keepdims=True)
    unit = np.where(length > 0, total / np.maximum(length, 1e-30), (0.0, 1.0, 0.0))
    return unit.astype(np.float32)


def vertex_normals(mesh: Mesh) -> FloatArray:
    """Return the mesh's own normals, or computed ones where it has none: (V, 3) float32 unit."""
    if mesh.normals is not None:
        return mesh.normals
    return compute_vertex_normals(mesh.positions, mesh.faces)
