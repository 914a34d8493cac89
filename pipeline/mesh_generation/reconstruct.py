"""Reconstruct the stage's mesh from a field or from raw triangles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..progress import Progress, ignore_progress, span_progress
from ..types import FloatArray, IntArray, Mesh
from .clean import CleanedSurface, clean_surface
from .decimate import find_ground, place_on_ground
from .sparse_field_sampling import SampledField
from .surface import extract_surface


class ReconstructedMesh(NamedTuple):
    """The mesh, and the cleaning's counts for the stage's report."""

    mesh: Mesh
    metrics: Mapping[str, float]


def reconstruct_mesh(
    field: SampledField, *, face_count: int = 50_000, progress: Progress = ignore_progress
) -> ReconstructedMesh:
    """Extract the field's surface, clean it and place it on the ground.

    The field's frame is Hunyuan3D's: +Y up, the character faces +Z, in a cube around the origin. Only
    scale and position change. MeshError: no surface.
    """
    positions, faces = extract_surface(field)
    progress(0.4)
    cleaned = clean_mesh(positions, faces, face_count=face_count, progress=span_progress(progress, 0.4, 1))
    share = field.points / field.values.numel()
    return ReconstructedMesh(
        cleaned.mesh, {**cleaned.metrics, "points": field.points, "share_of_grid": share}
    )


def clean_mesh(
    positions: FloatArray, faces: IntArray, *, face_count: int = 50_000, progress: Progress = ignore_progress
) -> ReconstructedMesh:
    """Clean triangles of any scale that are upright (+Y) and face +Z, and place them on the ground."""
    cleaned = clean_surface(positions, faces, face_count=face_count, progress=progress)
    mesh = place_on_ground(cleaned.positions, cleaned.faces)
    return ReconstructedMesh(mesh, _count(mesh, len(faces), cleaned))


class CleanedMesh(NamedTuple):
    """A mesh before and after it was decimated, and the cleaning's counts for the stage's report.

    whole: its faces that were kept, placed on the ground, with all that belongs to their vertices. mesh: with
    positions and normals only; None if there was nothing to decimate.
    """

    whole: Mesh
    mesh: Mesh | None
    metrics: Mapping[str, float]


def clean_whole_mesh(
    mesh: Mesh, *, face_count: int = 50_000, progress: Progress = ignore_progress
) -> CleanedMesh:
    """As `clean_mesh`, of a mesh whose colors, uvs and all else are to be kept."""
    cleaned = clean_surface(mesh.positions, mesh.faces, face_count=face_count, progress=progress)
    ground = find_ground(cleaned.positions)
    used, faces = np.unique(mesh.faces[cleaned.kept], return_inverse=True)
    left = mesh.take_vertices(used, faces.reshape(-1, 3))
    extras = left.extras
    if extras is not None:
        extras = extras.transform(np.eye(3), ground.scale, ground.shift - ground.low * ground.scale)
    whole = replace(left, positions=ground.apply(left.positions), extras=extras)
    is_decimated = len(cleaned.faces) < len(cleaned.kept)
    reduced = place_on_ground(cleaned.positions, cleaned.faces) if is_decimated else None
    return CleanedMesh(whole, reduced, _count(reduced or whole, len(mesh.faces), cleaned))


def _count(mesh: Mesh, raw_faces: int, cleaned: CleanedSurface) -> Mapping[str, float]:
    return {
        "vertices": len(mesh.positions),
        "faces": len(mesh.faces),
        "raw_faces": raw_faces,
        "floaters": cleaned.floaters,
        "internal_shells": cleaned.internal_shells,
    }
