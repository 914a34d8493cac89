"""Clean arbitrary triangles for texturing: no floaters, no internal shells, no degenerate faces."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..errors import MeshError
from ..mesh.areas import measure_areas
from ..mesh.topology import drop_unused_vertices, label_face_components
from ..mesh.weld import weld_equal
from ..progress import Progress, ignore_progress
from ..types import FloatArray, Int64Array, IntArray
from .decimate import decimate_surface

_MIN_AREA = 0.005
"""Share of the largest part's area below which a part counts as a floater."""


class CleanedSurface(NamedTuple):
    """positions (V, 3) float32, faces (F, 3) int32, and how many parts were removed of each kind.

    kept: (K,) the faces of the input that were left to decimate, in order.
    """

    positions: FloatArray
    faces: IntArray
    floaters: int
    internal_shells: int
    kept: Int64Array


def clean_surface(
    positions: FloatArray, faces: IntArray, *, face_count: int, progress: Progress = ignore_progress
) -> CleanedSurface:
    """Drop degenerate faces, floaters and shells inside other parts, then decimate to `face_count` faces.

    positions: (V, 3) finite, any frame; vertices at equal positions are welded. faces: (F, 3). A closed
    manifold without coincident vertices stays one. MeshError: no triangle has an area.
    """
    welded = weld_equal(positions)
    points, joined = welded.points, welded.inverse[faces].astype(np.int32)
    kept = find_sound_faces(joined)
    if not len(kept):
        raise MeshError("expected triangles with an area, found none")
    progress(0.1)
    large, floaters = find_large_parts(points, joined[kept])
    kept = kept[large]
    progress(0.3)
    outer, shells = find_outer_parts(points, joined[kept])
    kept = kept[outer]
    progress(0.5)
    reduced = decimate_surface(*drop_unused_vertices(points, joined[kept]), face_count)
    progress(1.0)
    return CleanedSurface(*reduced, floaters, shells, kept)


def find_sound_faces(faces: IntArray) -> Int64Array:
    """The faces (K,) of welded vertices that do not collapse to lines or points."""
    first, second, third = faces.T
    return np.flatnonzero((first != second) & (second != third) & (third != first))


def measure_parts(positions: FloatArray, faces: IntArray) -> tuple[IntArray, FloatArray]:
    """Return the label (F,) of each face's connected part, and the area (P,) of each part."""
    part = label_face_components(faces, len(positions))
    area: FloatArray = np.bincount(part, weights=measure_areas(positions, faces)).astype(np.float64)
    return part, area


def find_large_parts(positions: FloatArray, faces: IntArray) -> tuple[Int64Array, int]:
    """The faces (K,) of parts that are not tiny compared to the largest, and how many parts are tiny."""
    part, area = measure_parts(positions, faces)
    is_tiny = area < _MIN_AREA * area.max()
    return np.flatnonzero(~is_tiny[part]), int(is_tiny.sum())


def find_outer_parts(positions: FloatArray, faces: IntArray) -> tuple[Int64Array, int]:
    """The faces (K,) of parts that no larger one encloses, and how many are enclosed and never seen."""
    part, area = measure_parts(positions, faces)
    order = np.argsort(-area)
    parts = [faces[part == number] for number in order]
    seen: list[int] = []
    for number, one in enumerate(parts):
        if not any(_is_inside(positions, one, parts[other]) for other in seen):
            seen.append(number)
    return np.flatnonzero(np.isin(part, order[seen])), len(parts) - len(seen)


def _is_inside(positions: FloatArray, one: IntArray, other: IntArray) -> bool:
    corners, around = positions[one].reshape(-1, 3), positions[other].reshape(-1, 3)
    if (corners.min(axis=0) < around.min(axis=0)).any() or (corners.max(axis=0) > around.max(axis=0)).any():
        return False
    return abs(measure_winding(corners[0], positions, other)) > 0.5


def measure_winding(point: FloatArray, positions: FloatArray, faces: IntArray) -> float:
    """Return the winding number around the point: 1 inside a closed outward-wound surface, 0 outside.

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
