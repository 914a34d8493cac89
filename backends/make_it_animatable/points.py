"""Sampling points on a mesh's surface, and picking points far from each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...pipeline.types import FloatArray

if TYPE_CHECKING:  # keeps it out of ComfyUI's start-up
    import trimesh

COUNT = 32_768
_HAND_BOX = 0.15
"""Side of the box around a hand, as a fraction of the range of all coordinates."""

Samples = tuple[FloatArray, FloatArray]
"""Positions (N, 3), and the normals (N, 3) of the faces they lie on."""


def build_surface(positions: FloatArray, faces: Any) -> trimesh.Trimesh:
    """A trimesh of positions (V, 3) and faces (F, 3), unprocessed."""
    import trimesh

    return trimesh.Trimesh(positions, faces, process=False)


def sample_surface(mesh: trimesh.Trimesh, rng: np.random.Generator, count: int = COUNT) -> Samples:
    """Sample `count` points evenly on the surface."""
    from trimesh.sample import sample_surface as sample_even

    points, faces = sample_even(mesh, count, seed=rng)
    return np.asarray(points, np.float32), np.asarray(mesh.face_normals[faces], np.float32)


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


def pick_farthest(points: torch.Tensor, count: int) -> torch.Tensor:
    """Indices (count,) of points (N, 3): the first, then always the one farthest from those picked so far.

    Y. Eldar et al., "The farthest point strategy", 1997.
    """
    picked = torch.zeros(count, dtype=torch.long, device=points.device)
    distance = (points - points[0]).square().sum(dim=1)
    for number in range(1, count):
        farthest = distance.argmax()
        picked[number] = farthest
        distance = torch.minimum(distance, (points - points[farthest]).square().sum(dim=1))
    return picked
