"""Fill in colours for surface that no view sees, by diffusion along the surface."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from scipy.spatial import cKDTree

from ..device import array_to_tensor, tensor_to_array
from ..mesh.normals import vertex_normals
from ..progress import Progress
from ..types import BoolArray, FloatArray, IntArray, Mesh
from .atlas import Texels

_NORMAL_WEIGHT = 0.03
"""Weight of normals in the search for the nearest seen vertex, as a share of the mesh's extent."""
_KNOWN_SHARE = 0.95
"""From this share of seen texels around it on a vertex takes their mean colour."""
_ANCHOR = 1e-3
"""Weight of the nearest seen vertex beside the neighbours; it makes isolated parts solvable."""
_TOLERANCE, _MOST_STEPS = 1e-4, 500
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
    """Give every vertex near unseen texels a colour that blends smoothly into those of the seen texels.

    mesh: V vertices with normals; coincident ones are treated as one. color: (N, 3) of the texels.
    share: (N,) 0..1, how well they are seen. Returns (V, 3) float32, mid grey if nothing at all was seen.
    """
    _, first, weld = np.unique(mesh.positions, axis=0, return_index=True, return_inverse=True)
    positions, normals = mesh.positions[first], vertex_normals(mesh)[first]
    welded = weld.reshape(-1)[mesh.faces]
    near = _find_faces_around(welded, _mark_unseen(texels, share, len(mesh.faces)), len(first))
    values, known = _average_texels(welded, near, len(first), texels, color, share)
    if not known.any():
        return np.full_like(mesh.positions, 0.5)
    loose = np.zeros(len(first), np.bool_)
    loose[welded[near]] = True
    loose &= ~known
    weight = _NORMAL_WEIGHT * float(np.ptp(positions, axis=0).max())
    key = np.concatenate((positions, normals * weight), axis=1)
    if loose.any():
        _, nearest = cKDTree(key[known]).query(key[loose])
        values[loose] = values[known][nearest]
        values[loose] = _relax(positions, welded[near], values, loose, progress)
    return values[weld.reshape(-1)].astype(np.float32)


def _mark_unseen(texels: Texels, share: torch.Tensor, faces: int) -> BoolArray:
    """Mark the faces (F,) that have a texel which is not fully seen."""
    unseen = texels.inside.new_zeros(faces)
    unseen[texels.face[share < 1]] = True
    return tensor_to_array(unseen)


def _find_faces_around(faces: IntArray, near: BoolArray, count: int) -> BoolArray:
    """Grow a set of faces (F,) bool by two rings of neighbours."""
    for _ in range(2):
        touched = np.zeros(count, np.bool_)
        touched[faces[near]] = True
        near = np.asarray(touched[faces].any(axis=1))
    return near


def _average_texels(
    faces: IntArray, near: BoolArray, count: int, texels: Texels, color: torch.Tensor, share: torch.Tensor
) -> tuple[FloatArray, BoolArray]:
    """Mean colour (count, 3) of the seen texels around each vertex; and whether nearly all are seen."""
    device = color.device
    rows = torch.nonzero(array_to_tensor(near, device)[texels.face] & texels.inside).squeeze(1)
    seen = share[rows, None]
    terms = torch.cat((color[rows] * seen, seen, torch.ones_like(seen)), dim=1)
    corners, weight = array_to_tensor(faces, device).long()[texels.face[rows]], texels.weight[rows]
    sums = color.new_zeros((count, 5))
    for corner in range(3):
        sums.index_add_(0, corners[:, corner], terms * weight[:, corner : corner + 1])
    known = (sums[:, 3] > _KNOWN_SHARE * sums[:, 4]) & (sums[:, 4] > 0)
    mean = (sums[:, :3] / sums[:, 3:4].clamp(min=1e-9)).double()
    return tensor_to_array(mean), tensor_to_array(known)


def _relax(
    positions: FloatArray, faces: IntArray, values: FloatArray, loose: BoolArray, progress: Progress
) -> FloatArray:
    """Colours (M, 3) of the loose vertices, each the mean of its neighbours weighted by nearness.

    The harmonic function over the graph of edges, found by conjugate gradients from `values`.
    """
    start, stop = faces.ravel(), faces[:, (1, 2, 0)].ravel()
    gap = np.linalg.norm(positions[start].astype(float) - positions[stop], axis=1)
    pull = 1 / np.maximum(gap, 1e-3 * gap.mean() + 1e-12)
    ends = np.concatenate((start, stop)), np.concatenate((stop, start))
    links = sparse.csr_array((np.concatenate((pull, pull)), ends), shape=(len(values),) * 2)
    strength = links.sum(axis=1)
    inner = links[loose][:, loose]
    system = (sparse.diags_array(strength[loose] * (1 + _ANCHOR)) - inner).tocsr()
    target = links[loose][:, ~loose] @ values[~loose] + _ANCHOR * strength[loose, None] * values[loose]
    return _solve_definite(system, target, values[loose], progress)


def _solve_definite(
    system: sparse.csr_array, target: FloatArray, start: FloatArray, progress: Progress
) -> FloatArray:
    """Solve a symmetric positive definite system (M, M) for the columns of target (M, C), from `start`.

    Conjugate gradients with Jacobi's preconditioner, all columns at once. scipy's take one column, and
    their dot products wait for BLAS threads that a busy machine does not run: a second became five.
    """
    found, residual = start.copy(), target - system @ start
    scale = 1 / np.maximum(system.diagonal(), 1e-12)[:, None]
    direction = scale * residual
    power = (residual * direction).sum(axis=0)
    enough = _TOLERANCE**2 * (target**2).sum(axis=0)
    for step in range(_MOST_STEPS):
        if ((residual**2).sum(axis=0) <= enough).all():
            break
        progress(step / _MOST_STEPS)
        pushed = system @ direction
        reach = power / np.maximum((direction * pushed).sum(axis=0), 1e-30)
        found += reach * direction
        residual -= reach * pushed
        steepest = scale * residual
        before, power = power, (residual * steepest).sum(axis=0)
        direction = steepest + direction * (power / np.maximum(before, 1e-30))
    return found
