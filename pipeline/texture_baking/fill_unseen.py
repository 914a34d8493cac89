"""Fill in colors for surface that no view sees, by diffusion along the surface."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree

from ..device import array_to_tensor, tensor_to_array
from ..mesh.laplacian import link_neighbors, solve_harmonic, weigh_edges
from ..mesh.normals import vertex_normals
from ..mesh.weld import weld_equal
from ..progress import Progress
from ..types import BoolArray, FloatArray, IntArray, Mesh
from .atlas import Texels

_NORMAL_WEIGHT = 0.03
"""Weight of normals in the search for the nearest seen vertex, as a share of the mesh's extent."""
_KNOWN_SHARE = 0.95
"""From this share of seen texels around it on a vertex takes their mean color."""
_ANCHOR = 1e-3
"""Weight of the nearest seen vertex beside the neighbors; it makes isolated parts solvable."""
_LONGEST_EDGE = 1 / 64
_MANY_FACES = 200_000


def split_long_edges(vertices: FloatArray, faces: IntArray) -> tuple[FloatArray, IntArray]:
    """Bisect faces at their longest edge until no edge exceeds a 64th of the extent.

    This gives the fill enough vertices to vary smoothly. vertices: (V, C) attributes, positions first.
    faces: (F, 3). Both faces at an edge are cut at its midpoint, each with a vertex of its own. Stops at
    200,000 faces. Returns new arrays, or the same ones if there is no long edge.
    """
    limit = _LONGEST_EDGE * float(np.ptp(vertices[:, :3], axis=0).max())
    while len(faces) < _MANY_FACES:
        corner = vertices[faces][..., :3]
        length = np.linalg.norm(corner - corner[:, (1, 2, 0)], axis=2)
        long = length.max(axis=1) > limit
        if not long.any():
            break
        turn = (length[long].argmax(axis=1)[:, None] + (0, 1, 2)) % 3
        a, b, c = np.take_along_axis(faces[long], turn, axis=1).T
        middle = len(vertices) + np.arange(len(a))
        halves = np.concatenate((np.stack((a, middle, c), axis=1), np.stack((middle, b, c), axis=1)))
        vertices = np.concatenate((vertices, (vertices[a] + vertices[b]) / 2))
        faces = np.concatenate((faces[~long], halves)).astype(np.int32)
    return vertices, faces


def fill_unseen(
    mesh: Mesh, texels: Texels, color: torch.Tensor, share: torch.Tensor, progress: Progress
) -> FloatArray:
    """Give every vertex near unseen texels a color that blends smoothly into those of the seen texels.

    mesh: V vertices with normals; coincident ones are treated as one. color: (N, C) of the texels.
    share: (N,) 0..1, how well they are seen. Returns (V, C) float32, 0.5 if nothing at all was seen.
    """
    positions, first, inverse = weld_equal(mesh.positions)
    normals, faces = vertex_normals(mesh)[first], inverse[mesh.faces]
    near = _find_faces_around(faces, _mark_unseen(texels, share, len(faces)), len(first))
    values, known = _average_texels(faces, near, len(first), texels, color, share)
    if not known.any():
        return np.full((len(mesh.positions), color.shape[1]), 0.5, np.float32)
    unknown = np.zeros(len(first), np.bool_)
    unknown[faces[near]] = True
    unknown &= ~known
    weight = _NORMAL_WEIGHT * float(np.ptp(positions, axis=0).max())
    key = np.concatenate((positions, normals * weight), axis=1)
    if unknown.any():
        _, nearest = cKDTree(key[known]).query(key[unknown])
        values[unknown] = values[known][nearest]
        links = link_neighbors(faces[near], len(first), weigh_edges(positions, faces[near]))
        values[unknown] = solve_harmonic(links, values, ~unknown, spring=_ANCHOR, progress=progress)
    return values[inverse].astype(np.float32)


def _mark_unseen(texels: Texels, share: torch.Tensor, faces: int) -> BoolArray:
    """Mark the faces (F,) that have a texel which is not fully seen."""
    unseen = texels.inside.new_zeros(faces)
    unseen[texels.face[share < 1]] = True
    return tensor_to_array(unseen)


def _find_faces_around(faces: IntArray, near: BoolArray, count: int) -> BoolArray:
    """Grow a set of faces (F,) bool by two rings of neighbors."""
    for _ in range(2):
        touched = np.zeros(count, np.bool_)
        touched[faces[near]] = True
        near = np.asarray(touched[faces].any(axis=1))
    return near


def _average_texels(
    faces: IntArray, near: BoolArray, count: int, texels: Texels, color: torch.Tensor, share: torch.Tensor
) -> tuple[FloatArray, BoolArray]:
    """Mean color (count, C) of the seen texels around each vertex; and whether nearly all are seen."""
    device = color.device
    rows = torch.nonzero(array_to_tensor(near, device)[texels.face] & texels.inside).squeeze(1)
    seen = share[rows, None]
    terms = torch.cat((color[rows] * seen, seen, torch.ones_like(seen)), dim=1)
    corners, weight = array_to_tensor(faces, device).long()[texels.face[rows]], texels.weight[rows]
    sums = color.new_zeros((count, terms.shape[1]))
    for corner in range(3):
        sums.index_add_(0, corners[:, corner], terms * weight[:, corner : corner + 1])
    total, weights = sums[:, -2], sums[:, -1]
    known = (total > _KNOWN_SHARE * weights) & (weights > 0)
    mean = (sums[:, :-2] / total[:, None].clamp(min=1e-9)).double()
    return tensor_to_array(mean), tensor_to_array(known)
