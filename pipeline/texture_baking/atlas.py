"""The texels of an atlas: which face each shows and where in it, and the gutters between the charts.

As in the texture baker of Stable Fast 3D the atlas is rasterized once and every attribute is
interpolated from that. Around each chart lies a ring of texels whose centres are outside but which
bilinear filtering reads at the chart's border: they continue their neighbour's face in its plane, so
that the colour at a border comes out the same in both charts. Faces too small to hold a texel's centre
get the texels around them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from ..errors import MeshError
from ..rasterize import Raster, mix_corners, rasterize_triangles
from ..types import FloatArray, Material, Mesh, TexturedMesh

_REACH = 2.0
"""How far from its face's centre a texel of the ring may lie, in heights of the face: slivers end soon."""


class Texels(NamedTuple):
    """The N texels in charts and in the ring around them.

    place: (N,) int64, row * W + column. face: (N,) int64. weight: (N, 3) float32 barycentrics, in the
    ring some below 0. inside: (N,) bool, whether the centre lies in a chart.
    """

    place: torch.Tensor
    face: torch.Tensor
    weight: torch.Tensor
    inside: torch.Tensor


def list_texels(mesh: Mesh, size: int) -> Texels:
    """List the texels of a (size, size) atlas of a mesh with uvs."""
    uvs, faces = torch.tensor(mesh.uvs) * size, torch.tensor(mesh.faces).long()
    raster = rasterize_triangles(torch.cat((uvs, uvs[:, :1] * 0), dim=1), faces, (size, size))
    inside = torch.nonzero(raster.mask.view(-1)).squeeze(1)
    index, face = _join_once(_grow_ring(raster), _surround_undrawn(raster, uvs, faces))
    return Texels(
        torch.cat((inside, index)),
        torch.cat((raster.face_index.view(-1)[inside], face)),
        torch.cat((raster.barycentric.view(-1, 3)[inside], _weigh_outside(index, uvs[faces[face]], size))),
        torch.arange(len(inside) + len(index)) < len(inside),
    )


def interpolate_texels(
    texels: Texels, faces: torch.Tensor, attributes: torch.Tensor, rows: torch.Tensor
) -> torch.Tensor:
    """Vertex attributes (V, C) at the texels of the given rows (M,): (M, C). faces: (F, 3) int64."""
    return mix_corners(attributes, faces[texels.face[rows]], texels.weight[rows])


def fill_gutters(color: torch.Tensor, index: torch.Tensor, size: int) -> torch.Tensor:
    """Lay colours (N, 3) at flat indices (N,) into a (size, size, 3) picture and fill all between them."""
    picture, known = torch.zeros((3, size * size)), torch.zeros(size * size, dtype=torch.bool)
    picture[:, index], known[index] = color.T, True
    filled = fill_between(picture.view(3, size, size), known.view(size, size))
    return filled.permute(1, 2, 0).contiguous()


def fill_between(picture: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Continue the known pixels (H, W) bool of a picture (C, H, W) over the others; 0 where none are.

    Each takes the mean of the nearest known ones at the scale of its distance to them, from a pyramid
    of halved pictures (Gortler et al. 1996, The Lumigraph, section 3.4: pull-push), so that neither
    filters nor mipmaps read anything foreign.
    """
    mask = known[None].to(picture.dtype)
    return _pull_push(torch.cat((picture * mask, mask))[None])[0]


def apply_texture(mesh: Mesh, picture: FloatArray) -> TexturedMesh:
    """Put a picture (H, W, 3 or 4), sRGB 0..1, of its atlas onto an unwrapped mesh.

    Without a fourth channel it is opaque. Raises MeshError for a mesh without uvs.
    """
    if mesh.uvs is None:
        raise MeshError("a texture needs a mesh with uvs, got one without; unwrap it first")
    alpha = picture[..., 3:] if picture.shape[-1] == 4 else np.ones_like(picture[..., :1])
    return TexturedMesh(mesh, Material(np.concatenate((picture[..., :3], alpha), axis=2).clip(0, 1)))


def _grow_ring(raster: Raster) -> tuple[torch.Tensor, torch.Tensor]:
    """Flat indices of the texels beside charts, and a face that each of them touches."""
    # float32 holds the indices of 16 million faces; any neighbour's face will do.
    near = F.max_pool2d(raster.face_index.to(torch.float32)[None], 3, 1, 1)[0].view(-1)
    index = torch.nonzero((near >= 0) & ~raster.mask.view(-1)).squeeze(1)
    return index, near[index].long()


def _surround_undrawn(
    raster: Raster, uvs: torch.Tensor, faces: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Flat indices of empty texels that are read for faces too small to hold a centre, and such a face."""
    drawn = torch.zeros(len(faces), dtype=torch.bool)
    drawn[raster.face_index[raster.mask]] = True
    face = torch.nonzero(~drawn).squeeze(1)
    size = len(raster.face_index)
    steps = torch.tensor(((0, 0), (0, 1), (1, 0), (1, 1)))
    place = ((uvs[faces[face]] - 0.5).floor().long()[:, :, None] + steps).clamp(0, size - 1).view(-1, 2)
    index = place[:, 1] * size + place[:, 0]
    empty = ~raster.mask.view(-1)[index]
    return index[empty], face.repeat_interleave(12)[empty]


def _join_once(
    first: tuple[torch.Tensor, torch.Tensor], second: tuple[torch.Tensor, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Two lists of indices and faces as one in which every index stands once."""
    index, face = (torch.cat(items) for items in zip(first, second, strict=True))
    unique, place = torch.unique(index, return_inverse=True)
    owner = torch.empty_like(unique).scatter_reduce_(0, place, face, "amin", include_self=False)
    return unique, owner


def _weigh_outside(index: torch.Tensor, corners: torch.Tensor, size: int) -> torch.Tensor:
    """Barycentrics (M, 3) of the centres of texels (M,) in faces (M, 3, 2), in texels, around them."""
    centre = torch.stack((index % size, index.div(size, rounding_mode="floor")), dim=1) + 0.5
    one, two, three = (corners.double() - centre[:, None]).unbind(dim=1)
    area = torch.stack([_cross(two, three), _cross(three, one), _cross(one, two)], dim=1)
    total = area.sum(dim=1, keepdim=True)
    offset = torch.where(total == 0, 0.0, area / total - 1 / 3)
    far = offset.abs().amax(dim=1, keepdim=True)
    return (1 / 3 + offset * (_REACH / far.clamp(min=_REACH))).float()


def _cross(one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
    return one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]


def _pull_push(layers: torch.Tensor) -> torch.Tensor:
    """(1, C, H, W) the colour of (1, C + 1, H, W) colour times mask, and mask, continued everywhere."""
    color, mask = layers[:, :-1], layers[:, -1:]
    height, width = mask.shape[2:]
    if max(height, width) <= 2:
        return torch.where(mask > 0, color / mask.clamp(min=1e-6), _average(color, mask))
    halved = F.avg_pool2d(F.pad(layers, (0, width % 2, 0, height % 2)), 2)
    halved = halved / halved[:, -1:].clamp(min=1e-6)
    coarse = F.interpolate(_pull_push(halved), scale_factor=2, mode="bilinear", align_corners=False)
    return torch.where(mask > 0, color, coarse[..., :height, :width])


def _average(color: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return color.sum(dim=(2, 3), keepdim=True) / mask.sum(dim=(2, 3), keepdim=True).clamp(min=1e-6)
