"""The embedded method of `mesh_generation`: a figure inflated from its silhouette."""

from __future__ import annotations

import numpy as np

from ..progress import Progress, ignore_progress, span_progress
from ..types import BoolArray, FloatArray, FramedPicture, Mesh
from .depth import Depth, estimate_depth
from .finish import decimate_surface, place_on_ground, smooth_surface
from .landmarks import Landmarks, find_landmarks
from .sheets import Outline, join_sheets, trace_outline
from .silhouette import Silhouette, sample_silhouette

_SMOOTHING_ROUNDS = 6
_LEAST_DEPTH = 0.4


def inflate_silhouette(
    picture: FramedPicture, *, face_count: int = 40_000, progress: Progress = ignore_progress
) -> Mesh:
    """Make a closed, outward-wound mesh whose front view is the picture's subject.

    Two sheets over the silhouette, before and behind the picture's plane, meet along the outline.
    Their depth solves a Poisson problem, so limbs come out round (the idea of Igarashi et al., "Teddy",
    SIGGRAPH 1999, without its ridges); trunk, head and feet get a human's proportions of depth. Holes
    in the silhouette stay open. Height CHARACTER_HEIGHT, feet on y = 0, x = 0 between the feet.
    Returns a mesh of about face_count faces with smooth normals. MeshError: no subject.
    """
    silhouette = sample_silhouette(picture)
    outline = trace_outline(silhouette.alpha)
    landmarks = find_landmarks(silhouette)
    progress(0.1)
    extended = _extend_into_ground(silhouette, landmarks)
    depth = estimate_depth(silhouette, outline, landmarks, extended)
    progress(0.5)
    front, back = _lift_sheets(silhouette, outline, depth, extended)
    positions, faces = join_sheets(outline.triangles, front, back)
    positions = smooth_surface(
        positions, faces, _SMOOTHING_ROUNDS, np.float32(0), span_progress(progress, 0.5, 0.8)
    )
    positions, faces = decimate_surface(positions, faces, face_count)
    progress(0.95)
    return place_on_ground(positions, faces)


def _extend_into_ground(silhouette: Silhouette, landmarks: Landmarks) -> BoolArray:
    """Continue what stands on the ground downwards, so that the ground cuts it flat."""
    inside = silhouette.inside
    depth = int(0.06 * silhouette.height)
    extended = np.pad(inside, ((0, depth), (0, 0)))
    lowest = np.where(inside.any(axis=0), inside.shape[0] - 1 - np.argmax(inside[::-1], axis=0), -1)
    stands = lowest >= silhouette.ground - 0.02 * silhouette.height
    rows = np.arange(extended.shape[0])[:, None]
    return extended | (stands & (rows > lowest) & (rows < extended.shape[0] - 1))


def _lift_sheets(
    silhouette: Silhouette, outline: Outline, depth: Depth, extended: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """Positions (N, 3) of both sheets, in cells: x right, y up from the ground, z towards the front."""
    points = outline.points
    count = len(outline.inner)
    sheets = []
    for sign, plane in ((1, depth.front), (-1, depth.back)):
        inner = np.maximum(plane[tuple(outline.inner.T)], _LEAST_DEPTH)
        # The outline itself has no depth, but where the ground cuts the figure.
        near, far = plane[tuple(outline.start.T)], plane[tuple(outline.stop.T)]
        cut = extended[tuple(outline.stop.T)]
        edge = np.where(cut, near + (far - near) * outline.fraction, 0.0)
        offset = sign * np.concatenate([inner, edge])
        centre = np.concatenate([depth.centre[tuple(outline.inner.T)], depth.centre[tuple(outline.start.T)]])
        sheets.append(np.stack([points[:, 1], silhouette.ground - points[:, 0], centre + offset], axis=1))
    assert len(sheets[0]) == count + len(outline.start)
    return sheets[0].astype(np.float32), sheets[1].astype(np.float32)
