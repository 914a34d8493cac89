"""From any triangles to a mesh fit for texturing: no specks, nothing hidden inside, nothing degenerate."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from ..errors import MeshError
from ..progress import Progress, ignore_progress
from ..types import FloatArray, IntArray
from .decimate import decimate_surface, drop_unused

_LEAST_AREA = 0.005
"""Of the largest part's area: what is smaller floats by accident."""


class CleanedSurface(NamedTuple):
    """positions (V, 3) float32, faces (F, 3) int32, and how many parts were removed of each kind."""

    positions: FloatArray
    faces: IntArray
    floaters: int
    internal_shells: int


def clean_surface(
    positions: FloatArray, faces: IntArray, *, face_count: int, progress: Progress = ignore_progress
) -> CleanedSurface:
    """Drop degenerate faces, floaters and shells inside other parts, then decimate to `face_count` faces.

    positions: (V, 3) finite, any frame. faces: (F, 3). A closed manifold without vertices at the same
    place stays one.
    MeshError: nothing with an area is left.
    """
    positions, faces = drop_degenerate_faces(positions, faces)
    if not len(faces):
        raise MeshError("expected triangles with an area, found none")
    progress(0.1)
    positions, faces, floaters = drop_floaters(positions, faces)
    progress(0.3)
    positions, faces, shells = drop_internal_shells(positions, faces)
    progress(0.5)
    positions, faces = decimate_surface(positions, faces, face_count)
    progress(1.0)
    return CleanedSurface(positions, faces, floaters, shells)


def measure_areas(positions: FloatArray, faces: IntArray) -> FloatArray:
    """Area (F,) of every triangle."""
    a, b, c = (positions[faces[:, corner]].astype(np.float64) for corner in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def drop_degenerate_faces(positions: FloatArray, faces: IntArray) -> tuple[FloatArray, IntArray]:
    """Join vertices at equal positions and drop the faces that are then lines or points."""
    distinct, number = np.unique(positions, axis=0, return_inverse=True)
    joined = number.reshape(-1)[faces].astype(np.int32)
    first, second, third = joined.T
    return drop_unused(distinct, joined[(first != second) & (second != third) & (third != first)])


def measure_parts(positions: FloatArray, faces: IntArray) -> tuple[IntArray, FloatArray]:
    """Number (F,) of the connected part that each face belongs to, and the area (P,) of each part."""
    links = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    shape = (len(positions), len(positions))
    graph = sparse.coo_matrix((np.ones(len(links), bool), links.T), shape=shape)
    label = connected_components(graph, directed=False)[1][faces[:, 0]]
    part: IntArray = np.unique(label, return_inverse=True)[1].reshape(-1)
    area: FloatArray = np.bincount(part, weights=measure_areas(positions, faces)).astype(np.float64)
    return part, area


def drop_floaters(positions: FloatArray, faces: IntArray) -> tuple[FloatArray, IntArray, int]:
    """Drop the parts that are tiny beside the largest one; return how many they were as well."""
    part, area = measure_parts(positions, faces)
    large = area >= _LEAST_AREA * area.max()
    return *drop_unused(positions, faces[large[part]]), int((~large).sum())


def drop_internal_shells(positions: FloatArray, faces: IntArray) -> tuple[FloatArray, IntArray, int]:
    """Drop the parts that lie inside a larger one, where nobody sees them; return how many as well."""
    part, area = measure_parts(positions, faces)
    parts = [faces[part == number] for number in np.argsort(-area)]
    seen: list[IntArray] = []
    for one in parts:
        if not any(_is_inside(positions, one, other) for other in seen):
            seen.append(one)
    return *drop_unused(positions, np.concatenate(seen)), len(parts) - len(seen)


def _is_inside(positions: FloatArray, one: IntArray, other: IntArray) -> bool:
    corners, around = positions[one].reshape(-1, 3), positions[other].reshape(-1, 3)
    if (corners.min(axis=0) < around.min(axis=0)).any() or (corners.max(axis=0) > around.max(axis=0)).any():
        return False
    return abs(measure_winding(corners[0], positions, other)) > 0.5


def measure_winding(point: FloatArray, positions: FloatArray, faces: IntArray) -> float:
    """How often the surface winds around the point: 1 inside a closed outward-wound surface, 0 outside.

    The sum of the triangles' solid angles (Van Oosterom and Strackee, "The Solid Angle of a Plane
    Triangle", 1983) over that of the whole sphere (Jacobson et al., "Robust Inside-Outside Segmentation
    using Generalized Winding Numbers", 2013).
    """
    a, b, c = (positions[faces[:, corner]].astype(np.float64) - point for corner in range(3))
    la, lb, lc = (np.linalg.norm(side, axis=1) for side in (a, b, c))
    dot_ab, dot_bc, dot_ca = (np.einsum("ij,ij->i", *pair) for pair in ((a, b), (b, c), (c, a)))
    volume = np.einsum("ij,ij->i", a, np.cross(b, c))
    angles = 2 * np.arctan2(volume, la * lb * lc + dot_ab * lc + dot_bc * la + dot_ca * lb)
    return float(angles.sum() / (4 * np.pi))
