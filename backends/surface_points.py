"""Points on a mesh's surface, and points far from each other: what networks see of a shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..pipeline.types import FloatArray

if TYPE_CHECKING:  # keeps it out of ComfyUI's start-up
    import trimesh

Samples = tuple[FloatArray, FloatArray]
"""Positions (N, 3), and the normals (N, 3) of the faces they lie on."""


def build_surface(positions: FloatArray, faces: Any) -> trimesh.Trimesh:
    """A trimesh of positions (V, 3) and faces (F, 3), unprocessed."""
    import trimesh

    return trimesh.Trimesh(positions, faces, process=False)


def sample_surface(mesh: trimesh.Trimesh, rng: np.random.Generator, count: int) -> Samples:
    """Sample `count` points evenly on the surface."""
    from trimesh.sample import sample_surface as sample_even

    points, faces = sample_even(mesh, count, seed=rng)
    return np.asarray(points, np.float32), np.asarray(mesh.face_normals[faces], np.float32)


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
