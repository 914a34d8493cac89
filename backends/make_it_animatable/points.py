"""The points on a mesh's surface that the models see: half of them around the hands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...pipeline.types import FloatArray
from ..surface_points import Samples, build_surface, sample_surface

if TYPE_CHECKING:  # keeps it out of ComfyUI's start-up
    import trimesh

COUNT = 32_768
_HAND_BOX = 0.15
"""Side of the box around a hand, as a fraction of the range of all coordinates."""


def sample_body_and_hands(mesh: trimesh.Trimesh, hands: FloatArray, rng: np.random.Generator) -> Samples:
    """Sample COUNT points: half on the whole surface, then a quarter in a box around each hand (2, 3).

    If a box is empty, its share is sampled on the whole surface and comes last.
    """
    side = _HAND_BOX * float(mesh.vertices.max() - mesh.vertices.min())
    share = COUNT // 4
    parts = [sample_surface(mesh, rng, COUNT - 2 * share)]
    boxes = [_cut_box(mesh, center, side) for center in hands]
    parts += [sample_surface(box, rng, share) for box in boxes if box.area > 0]
    missing = COUNT - sum(len(points) for points, _ in parts)
    if missing:
        parts.append(sample_surface(mesh, rng, missing))
    positions, normals = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return positions, normals


def _cut_box(mesh: trimesh.Trimesh, center: FloatArray, side: float) -> trimesh.Trimesh:
    """The part of the surface inside an axis-aligned box, open where it was cut."""
    from trimesh.intersections import slice_faces_plane

    vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    for normal in np.concatenate((np.eye(3), -np.eye(3))):
        # Trimesh.slice_plane would do, but imports shapely, which ComfyUI does not require.
        origin = center - normal * side / 2
        vertices, faces, _ = slice_faces_plane(vertices, faces, normal, origin)
    return build_surface(vertices, faces)
