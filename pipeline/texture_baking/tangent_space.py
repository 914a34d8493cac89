"""Normals of a surface as a normal map has them.

The axes of a texel are those that glTF prescribes where a file has no tangents (glTF 2.0, section 3.7.2.1):
MikkTSpace's (M. Mikkelsen, Simulation of Wrinkled Surfaces Revisited, 2008, section 3.5). A face's tangent
is the direction in which u grows; a vertex takes the mean of its faces' by angle, in the plane across its
normal.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from ..mesh.areas import measure_double_areas
from ..mesh.normals import vertex_normals
from ..rasterize import mix_corners
from ..types import Float64Array, FloatArray, Mesh
from .atlas import Texels

FLAT = (0.5, 0.5, 1.0)
"""What a normal map has where the surface has no detail."""
_TEXELS_PER_BLOCK = 1 << 18


class TangentFrame(NamedTuple):
    """Unit normals and tangents (V, 3), uvs (V, 2) and faces (F, 3) int64 of one mesh, on one device."""

    normals: torch.Tensor
    tangents: torch.Tensor
    uvs: torch.Tensor
    faces: torch.Tensor

    def measure_hands(self) -> torch.Tensor:
        """-1 for the faces (F,) whose chart is mirrored, else 1.

        v is down in a texture, and a bitangent up: so the faces of an unmirrored chart have negative areas.
        """
        mirrored = measure_double_areas(self.uvs.double()[self.faces]) > 0
        return torch.where(mirrored, -1.0, 1.0).to(self.normals.dtype)

    def find_axes(
        self, corners: torch.Tensor, weight: torch.Tensor, hand: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Tangents, bitangents and normals, (N, 3) each and of length 1, at points of faces.

        corners: (N, 3) the vertices of their faces. weight: (N, 3) barycentrics. hand: (N,) of their faces.
        """
        axes = torch.cat((self.normals, self.tangents), dim=1)
        up, right = mix_corners(axes, corners, weight).split(3, dim=1)
        up = F.normalize(up, dim=1)
        right = F.normalize(right - up * (right * up).sum(dim=1, keepdim=True), dim=1)
        return right, torch.linalg.cross(up, right) * hand[:, None], up


def encode_normals(frame: TangentFrame, texels: Texels, normals: torch.Tensor) -> torch.Tensor:
    """Normals (N, 3) of texels in the mesh's frame -> in tangent space, both -1..1 stored as 0..1.

    Green is up in the texture. A normal that points into the surface becomes a flat one.
    """
    hands, encoded = frame.measure_hands(), torch.empty_like(normals)
    for rows in torch.arange(len(normals), device=normals.device).split(_TEXELS_PER_BLOCK):
        face = texels.face[rows]
        axes = frame.find_axes(frame.faces[face], texels.weight[rows], hands[face])
        own = F.normalize(normals[rows] * 2 - 1, dim=1)
        local = torch.stack([(own * axis).sum(dim=1) for axis in axes], dim=1) / 2 + 0.5
        encoded[rows] = torch.where(local[:, 2:] > FLAT[0], local, local.new_tensor(FLAT))
    return encoded


def compute_tangents(mesh: Mesh) -> FloatArray:
    """Unit tangents (V, 3) of a mesh with uvs; 0 at vertices whose faces have no area in the texture."""
    corner = mesh.positions[mesh.faces].astype(np.float64)
    place = np.asarray(mesh.uvs, np.float64)[mesh.faces]
    (one, two), flat = np.moveaxis(corner[:, 1:] - corner[:, :1], 1, 0), place[:, 1:] - place[:, :1]
    turn = np.sign(flat[:, 0, 0] * flat[:, 1, 1] - flat[:, 0, 1] * flat[:, 1, 0])[:, None]
    tangent = (one * flat[:, 1, 1:] - two * flat[:, 0, 1:]) * turn
    normals, total = vertex_normals(mesh).astype(np.float64), np.zeros(mesh.positions.shape)
    for number in range(3):
        vertex, turned = mesh.faces[:, number], np.roll(corner, -number, axis=1)
        sides = _make_unit(turned[:, 1:] - turned[:, :1])
        angle = np.arccos((sides[:, 0] * sides[:, 1]).sum(axis=1).clip(-1, 1))
        own = normals[vertex]
        across = _make_unit(tangent - own * (tangent * own).sum(axis=1, keepdims=True)) * angle[:, None]
        for axis in range(3):
            total[:, axis] += np.bincount(vertex, across[:, axis], minlength=len(total))
    return _make_unit(total).astype(np.float32)


def _make_unit(vectors: Float64Array) -> Float64Array:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True).clip(1e-30)
