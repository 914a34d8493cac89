"""Reconstruct the stage's mesh from a field or from raw triangles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..progress import Progress, ignore_progress, span_progress
from ..types import FloatArray, IntArray, Mesh
from .clean import clean_surface
from .decimate import place_on_ground
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
    metrics = {
        "vertices": len(mesh.positions),
        "faces": len(mesh.faces),
        "raw_faces": len(faces),
        "floaters": cleaned.floaters,
        "internal_shells": cleaned.internal_shells,
    }
    return ReconstructedMesh(mesh, metrics)
