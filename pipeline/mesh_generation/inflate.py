"""The embedded method of `mesh_generation`: a figure inflated from its silhouette."""

from __future__ import annotations

import numpy as np

from ..progress import Progress, ignore_progress, span_progress
from ..types import FloatArray, FramedPicture, Mesh
from .decimate import decimate_surface, place_on_ground, smooth_surface
from .depth import estimate_depth
from .ground import settle_on_ground
from .landmarks import find_landmarks
from .lift import lift_sheets
from .silhouette import sample_silhouette
from .silhouette_triangulation import join_sheets, trace_outline

_SMOOTHING_ROUNDS = 10
_HELD_HEIGHT = 3.0
_MOST_FACES = 40_000
"""More would show nothing more: the grid that the silhouette is read on is no finer."""


def inflate_silhouette(
    picture: FramedPicture, *, face_count: int = _MOST_FACES, progress: Progress = ignore_progress
) -> Mesh:
    """Make a closed, outward-wound mesh whose front view is the picture's subject.

    Two sheets over the silhouette, before and behind the picture's plane, meet along the outline.
    Their depth solves a Poisson problem, so limbs come out round (the idea of Igarashi et al., "Teddy",
    SIGGRAPH 1999, without its ridges); trunk, head and feet get a human's proportions of depth. Holes
    in the silhouette stay open. Height CHARACTER_HEIGHT, feet on y = 0, x = 0 between the feet.
    Returns a mesh of at most face_count faces, and 40,000, with smooth normals. MeshError: no subject.
    """
    silhouette = sample_silhouette(picture)
    outline = trace_outline(silhouette.alpha)
    landmarks = find_landmarks(silhouette)
    progress(0.1)
    ground = settle_on_ground(silhouette)
    depth = estimate_depth(silhouette, outline, landmarks, ground)
    progress(0.5)
    triangles, front, back = lift_sheets(outline, depth, ground)
    positions, faces = join_sheets(triangles, front, back)
    # Without the soles: their long triangles would pull front and back together.
    sheets = faces[: 2 * len(triangles)]
    positions = smooth_surface(
        positions, sheets, _SMOOTHING_ROUNDS, _hold_soles(positions), span_progress(progress, 0.5, 0.8)
    )
    positions, faces = decimate_surface(positions, faces, min(face_count, _MOST_FACES))
    progress(0.95)
    return place_on_ground(positions, faces)


def _hold_soles(positions: FloatArray) -> FloatArray:
    """(V, 3): heights are held on the ground, less up to a few cells: smoothing would round the soles."""
    held = np.zeros_like(positions)
    held[:, 1] = np.clip(1 - positions[:, 1] / _HELD_HEIGHT, 0.0, 1.0)
    return held
