"""The texels of an atlas, the face and barycentrics of each, and the gutters between charts.

The atlas is rasterized once and every attribute is interpolated from that, as in the texture baker of Stable
Fast 3D. Each chart is surrounded by a ring of texels whose centers lie outside of it but which bilinear
filtering reads at its border. They extrapolate the adjacent face in its plane, so that the color along a
border is the same in both charts. Faces too small to cover a texel's center get the texels around them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from ..device import CPU, array_to_tensor
from ..errors import MeshError
from ..rasterize import Raster, mix_corners, rasterize_triangles, take_corners
from ..types import FloatArray, IntArray, Material, Mesh, TexturedMesh

_FARTHEST_EXTRAPOLATION = 2.0
"""Largest distance of a ring texel's barycentrics from those of the centroid; it matters for slivers."""


class Texels(NamedTuple):
    """The N texels in charts and in the rings around them.

    texel: (N,) int64, row * W + column. face: (N,) int64. weight: (N, 3) float32 barycentrics, some of them
    negative in the rings. inside: (N,) bool, True where the texel's center lies in a chart.
    """

    texel: torch.Tensor
    face: torch.Tensor
    weight: torch.Tensor
    inside: torch.Tensor


def rasterize_uv(uvs: FloatArray, faces: IntArray, size: int, device: torch.device = CPU) -> Texels:
    """List the texels of a (size, size) atlas with texture coordinates (V, 2) and faces (F, 3)."""
    place, corners = array_to_tensor(uvs, device) * size, array_to_tensor(faces, device).long()
    raster = rasterize_triangles(torch.cat((place, place[:, :1] * 0), dim=1), corners, (size, size))
    drawn, weight, inside = raster.list_covered()
    index, face = _join_once(_grow_ring(raster), _surround_undrawn(raster, place, corners))
    around = _weigh_outside(index, take_corners(place, corners.index_select(0, face)), size)
    return Texels(
        torch.cat((inside, index)),
        torch.cat((drawn, face)),
        torch.cat((weight, around)),
        torch.arange(len(inside) + len(index), device=index.device) < len(inside),
    )


def interpolate(
    texels: Texels, faces: torch.Tensor, attributes: torch.Tensor, rows: torch.Tensor
) -> torch.Tensor:
    """Interpolate vertex attributes (V, C) at the texels `rows` (M,): (M, C). faces: (F, 3) int64."""
    corners = faces.index_select(0, texels.face.index_select(0, rows))
    return mix_corners(attributes, corners, texels.weight.index_select(0, rows))


def fill_gutters(color: torch.Tensor, index: torch.Tensor, size: int) -> torch.Tensor:
    """Write colors (N, C) to flat indices (N,) of a (size, size, C) texture and fill all other texels."""
    texture = color.new_empty((size, size, color.shape[1]))
    known, picture = index.new_zeros(size * size, dtype=torch.bool), color.new_zeros(size * size)
    known[index] = True
    for channel, values in enumerate(color.T):  # one at a time takes a third of the memory
        picture.index_copy_(0, index, values)
        texture[..., channel] = fill_between(picture.view(1, size, size), known.view(size, size))[0]
    return texture


def fill_between(picture: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Extend the known pixels (H, W) bool of a picture (C, H, W) over all others; 0 if none is known.

    An unknown pixel takes a mean of the nearest known ones, over an area that grows with their distance, from
    a pyramid of halved pictures (pull-push; Gortler et al. 1996, The Lumigraph, section 3.4). So neither
    texture filters nor mipmaps mix in an unrelated color.
    """
    mask = known[None].to(picture.dtype)
    return _pull_push(torch.cat((picture * mask, mask))[None])[0]


def apply_texture(mesh: Mesh, picture: FloatArray) -> TexturedMesh:
    """Make a picture (H, W, 3 or 4), sRGB 0..1, the texture of an unwrapped mesh.

    The texture is opaque if there is no fourth channel. Raises MeshError for a mesh without uvs.
    """
    if mesh.uvs is None:
        raise MeshError("a texture needs a mesh with uvs, got one without; unwrap it first")
    alpha = picture[..., 3:] if picture.shape[-1] == 4 else np.ones_like(picture[..., :1])
    texels = np.concatenate((picture[..., :3], alpha), axis=2)
    return TexturedMesh(mesh, Material(np.clip(texels, 0, 1, out=texels)))


def _grow_ring(raster: Raster) -> tuple[torch.Tensor, torch.Tensor]:
    """Flat indices of the texels next to charts, and the face of one of their neighbors."""
    # float32 is exact up to 16 million faces; beyond that it still names some face.
    near = F.max_pool2d(raster.face_index.to(torch.float32)[None], 3, 1, 1)[0].view(-1)
    index = torch.nonzero((near >= 0) & ~raster.mask.view(-1)).squeeze(1)
    return index, near[index].long()


def _surround_undrawn(
    raster: Raster, uvs: torch.Tensor, faces: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Flat indices of empty texels that filtering reads for faces without a texel, and those faces."""
    drawn = faces.new_zeros(len(faces), dtype=torch.bool)
    drawn[raster.face_index[raster.mask]] = True
    face = torch.nonzero(~drawn).squeeze(1)
    size = len(raster.face_index)
    steps = faces.new_tensor(((0, 0), (0, 1), (1, 0), (1, 1)))
    corners = take_corners(uvs, faces.index_select(0, face))
    texel = ((corners - 0.5).floor().long()[:, :, None] + steps).clamp(0, size - 1).view(-1, 2)
    index = texel[:, 1] * size + texel[:, 0]
    empty = ~raster.mask.view(-1)[index]
    return index[empty], face.repeat_interleave(12)[empty]


def _join_once(
    first: tuple[torch.Tensor, torch.Tensor], second: tuple[torch.Tensor, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Join two lists of indices and faces; an index that occurs twice keeps its lowest face."""
    index, face = (torch.cat(items) for items in zip(first, second, strict=True))
    unique, inverse = torch.unique(index, return_inverse=True)
    owner = torch.empty_like(unique).scatter_reduce_(0, inverse, face, "amin", include_self=False)
    return unique, owner


def _weigh_outside(index: torch.Tensor, corners: torch.Tensor, size: int) -> torch.Tensor:
    """Barycentrics (M, 3) of the centers of texels (M,) with respect to nearby faces (M, 3, 2), in texels."""
    center = torch.stack((index % size, index.div(size, rounding_mode="floor")), dim=1) + 0.5
    one, two, three = (corners.double() - center[:, None]).unbind(dim=1)
    area = torch.stack([_cross(two, three), _cross(three, one), _cross(one, two)], dim=1)
    total = area.sum(dim=1, keepdim=True)
    offset = torch.where(total == 0, 0.0, area / total - 1 / 3)
    far = offset.abs().amax(dim=1, keepdim=True)
    return (1 / 3 + offset * (_FARTHEST_EXTRAPOLATION / far.clamp(min=_FARTHEST_EXTRAPOLATION))).float()


def _cross(one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
    return one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]


def _pull_push(layers: torch.Tensor) -> torch.Tensor:
    """Extend the color of layers (1, C + 1, H, W), color times mask and mask, everywhere: (1, C, H, W)."""
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
