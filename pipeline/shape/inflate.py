"""The embedded method of `mesh_generation`: a figure inflated from its silhouette."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..progress import Progress, ignore_progress, span_progress
from ..types import BoolArray, FloatArray, FramedPicture, Mesh
from .depth import Depth, estimate_depth
from .finish import decimate_surface, place_on_ground, smooth_surface
from .landmarks import find_landmarks
from .sheets import Outline, join_sheets, trace_outline
from .silhouette import Silhouette, sample_silhouette

_SMOOTHING_ROUNDS = 10
_LEAST_DEPTH = 0.4
_NEAR_GROUND = 0.025
_SOLE_CURVE = 0.02
"""Shares of the height: what ends so near the ground stands on it, and how far soles curve up."""
_HELD_HEIGHT = 3.0


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
    extended, gap = _extend_into_ground(silhouette)
    depth = estimate_depth(silhouette, outline, landmarks, extended)
    progress(0.5)
    front, back = _lift_sheets(silhouette, outline, depth, extended, gap)
    positions, faces = join_sheets(outline.triangles, front, back)
    positions = smooth_surface(
        positions, faces, _SMOOTHING_ROUNDS, _hold_soles(positions), span_progress(progress, 0.5, 0.8)
    )
    positions, faces = decimate_surface(positions, faces, face_count)
    progress(0.95)
    return place_on_ground(positions, faces)


def _extend_into_ground(silhouette: Silhouette) -> tuple[BoolArray, FloatArray]:
    """Continue what stands on the ground downwards, so that the ground cuts it flat.

    Returns the extended region, (H + n, W) bool, and how far each column (W,) hangs above the ground.
    """
    inside = silhouette.inside
    height = inside.shape[0]
    lowest = np.where(inside.any(axis=0), height - 1 - np.argmax(inside[::-1], axis=0), -1)
    parts, count = ndimage.label(lowest >= silhouette.ground - _NEAR_GROUND * silhouette.height)
    stands, gap = np.zeros_like(parts, dtype=bool), np.zeros(len(parts), dtype=np.float32)
    for part in range(1, count + 1):
        columns = parts == part
        sole = lowest >= lowest[columns].max() - _SOLE_CURVE * silhouette.height
        stands |= columns & sole
    gap[stands] = np.maximum(silhouette.ground - 0.5 - lowest[stands], 0.0)
    extended = np.pad(inside, ((0, int(0.06 * silhouette.height)), (0, 0)))
    rows = np.arange(extended.shape[0])[:, None]
    return extended | (stands & (rows > lowest) & (rows < extended.shape[0] - 1)), gap


def _lift_sheets(
    silhouette: Silhouette, outline: Outline, depth: Depth, extended: BoolArray, gap: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Positions (N, 3) of both sheets, in cells: x right, y up from the ground, z towards the front."""
    points, inner = outline.points, tuple(outline.inner.T)
    start, stop = tuple(outline.start.T), tuple(outline.stop.T)
    height = silhouette.ground - points[:, 0]
    reach = 2.5 * _NEAR_GROUND * silhouette.height
    drop = gap[np.concatenate([outline.inner[:, 1], outline.start[:, 1]])]
    height = np.maximum(height - drop * np.clip(1 - (height - drop) / reach, 0.0, 1.0), 0.0)
    height[len(outline.inner) :][extended[stop]] = 0.0
    centre = np.concatenate([depth.centre[inner], depth.centre[start]])
    sheets = []
    for sign, plane in ((1, depth.front), (-1, depth.back)):
        # The outline itself has no depth, but where the ground cuts the figure.
        cut = plane[start] + (plane[stop] - plane[start]) * outline.fraction
        offset = np.concatenate([np.maximum(plane[inner], _LEAST_DEPTH), np.where(extended[stop], cut, 0.0)])
        sheets.append(np.stack([points[:, 1], height, centre + sign * offset], axis=1).astype(np.float32))
    return sheets[0], sheets[1]


def _hold_soles(positions: FloatArray) -> FloatArray:
    """1 on the ground, 0 from a few cells up: smoothing would round the soles."""
    return np.clip(1 - positions[:, 1:2] / _HELD_HEIGHT, 0.0, 1.0).astype(np.float32)
