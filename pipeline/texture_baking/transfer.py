"""Give a mesh the colors and textures of another one that lies at the same place, but has other faces."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from ..color import linear_to_srgb, srgb_to_linear
from ..conventions import TEXTURE_SIZES
from ..device import CPU, array_to_tensor, tensor_to_array
from ..errors import MeshError
from ..mesh.normals import vertex_normals
from ..progress import Progress, ignore_progress, span_progress
from ..rasterize import mix_corners
from ..sample_material import sample_material, sample_texels
from ..types import FloatArray, IntArray, Mesh, TexturedMesh
from .atlas import Texels, fill_gutters, rasterize_uv
from .merge_materials import merge_materials
from .tangent_space import TangentFrame, compute_tangents, encode_normals
from .unwrap import unwrap_mesh

_OUTSIDE = 0.001
"""How far outside the surface its nearest point is looked for, as a share of the mesh's extent: on a thin
sheet, the side that is meant is nearer then."""
_POINTS_PER_BLOCK = 1 << 16


class NearestPoints(NamedTuple):
    """Points of a mesh: corners (N, 3) int64, the vertices of their faces; weight (N, 3) barycentrics."""

    face: torch.Tensor
    corners: torch.Tensor
    weight: torch.Tensor


def transfer_surface(
    source: Mesh | TexturedMesh,
    target: Mesh,
    *,
    texture_size: int | None = None,
    device: torch.device = CPU,
    progress: Progress = ignore_progress,
) -> Mesh | TexturedMesh:
    """Give `target` what `source`, whose surface is nearly the same, has of color at the nearest point.

    Vertex colors without a material stay vertex colors. Textures are drawn anew into an atlas of
    `texture_size`, by default of about as many texels as they have: all materials and the vertex colors into
    one. Normal maps are turned into the tangent space of the target. Raises MeshError for a source without
    colors and materials, and as `unwrap_mesh` does.
    """
    if isinstance(source, TexturedMesh):
        return _draw_atlas(source, target, texture_size, device, progress)
    if source.colors is None:
        raise MeshError("expected a mesh with materials or vertex colors, got one without")
    found = find_nearest(source, target.positions, vertex_normals(target), progress)
    colors = mix_corners(array_to_tensor(source.colors), found.corners, found.weight)
    return replace(target, colors=tensor_to_array(colors).clip(0, 1))


def find_nearest(
    mesh: Mesh, points: FloatArray, normals: FloatArray, progress: Progress = ignore_progress
) -> NearestPoints:
    """The point of a mesh nearest to each of `points` (N, 3) of another surface with unit normals (N, 3)."""
    import igl

    vertices, faces = mesh.positions.astype(np.float64), mesh.faces.astype(np.int64)
    reach = _OUTSIDE * float(np.ptp(vertices, axis=0).max())
    tree, queries = igl.AABB(), points.astype(np.float64) + reach * normals
    tree.init(vertices, faces)
    face, place = np.empty(len(queries), np.int64), np.empty((len(queries), 3))
    for start in range(0, len(queries), _POINTS_PER_BLOCK):
        rows = slice(start, start + _POINTS_PER_BLOCK)
        _, face[rows], place[rows] = tree.squared_distance(vertices, faces, queries[rows])
        progress(start / len(queries))
    corners = faces[face]
    weight = igl.barycentric_coordinates(place, *(vertices[corners[:, number]] for number in range(3)))
    progress(1.0)
    return NearestPoints(
        array_to_tensor(face),
        array_to_tensor(corners),
        array_to_tensor(np.nan_to_num(weight).astype(np.float32)),
    )


def _draw_atlas(
    source: TexturedMesh, target: Mesh, texture_size: int | None, device: torch.device, progress: Progress
) -> TexturedMesh:
    if source.others:
        steps = span_progress(progress, 0, 0.2)
        merged = merge_materials(source, most_texels=TEXTURE_SIZES[-1], device=device, progress=steps)
        source = merged.textured
    material, side = source.material, texture_size or _choose_size(source)
    steps = span_progress(progress, 0.2, 0.5)
    placed = unwrap_mesh(target, texture_size=side, device=device, progress=steps)
    texels = rasterize_uv(np.asarray(placed.uvs), placed.faces, side, device)
    found = _find_texels(source.mesh, placed, texels, span_progress(progress, 0.5, 0.9))
    uvs = mix_corners(array_to_tensor(source.uvs, device), found.corners, found.weight)
    color = sample_material(material, uvs)
    if source.mesh.colors is not None:
        factors = array_to_tensor(source.mesh.colors, device)
        color = _multiply(color, mix_corners(factors, found.corners, found.weight))
    maps = {
        role: sample_texels(array_to_tensor(texture, device), material.wrap, uvs)
        for role, texture in material.maps.items()
    }
    if "normal" in maps:
        turned = _decode_normals(source.mesh, found, maps["normal"])
        maps["normal"] = encode_normals(_make_frame(placed, device), texels, turned / 2 + 0.5)
    drawn = {role: _draw(values, texels, side) for role, values in {"base_color": color, **maps}.items()}
    base = drawn.pop("base_color")
    progress(1.0)
    return TexturedMesh(placed, replace(material, texels=base, maps=drawn, wrap=("CLAMP", "CLAMP")))


def _choose_size(source: TexturedMesh) -> int:
    """The side of an atlas with about as many texels as the largest texture."""
    textures = [source.material.texels, *source.material.maps.values()]
    most = max(max(texture.shape[:2]) for texture in textures)
    return next((size for size in TEXTURE_SIZES if size >= most), TEXTURE_SIZES[-1])


def _find_texels(source: Mesh, placed: Mesh, texels: Texels, progress: Progress) -> NearestPoints:
    device = texels.texel.device
    attributes = np.concatenate((placed.positions, vertex_normals(placed)), axis=1)
    corners = array_to_tensor(placed.faces, device).long()[texels.face]
    values = tensor_to_array(mix_corners(array_to_tensor(attributes, device), corners, texels.weight))
    found = find_nearest(source, values[:, :3], values[:, 3:], progress)
    return NearestPoints(*(part.to(device) for part in found))


def _multiply(srgb: torch.Tensor, linear: torch.Tensor) -> torch.Tensor:
    """sRGB and alpha (N, 4) times linear factors (N, 4)."""
    color, factor = tensor_to_array(srgb), tensor_to_array(linear)
    tinted = linear_to_srgb(srgb_to_linear(color[:, :3]) * factor[:, :3])
    return array_to_tensor(np.concatenate((tinted, color[:, 3:] * factor[:, 3:]), axis=1), srgb.device)


def _decode_normals(mesh: Mesh, found: NearestPoints, encoded: torch.Tensor) -> torch.Tensor:
    """Unit normals (N, 3) in the mesh's frame of values (N, 3) 0..1 of its normal map."""
    frame = _make_frame(mesh, encoded.device)
    hand = frame.measure_hands()[found.face]
    right, forward, up = frame.find_axes(found.corners, found.weight, hand)
    local = encoded * 2 - 1
    return F.normalize(right * local[:, :1] + forward * local[:, 1:2] + up * local[:, 2:], dim=1)


def _make_frame(mesh: Mesh, device: torch.device) -> TangentFrame:
    own = None if mesh.extras is None else mesh.extras.tangents
    axes = compute_tangents(mesh) if own is None else own[:, :3]
    arrays = vertex_normals(mesh), axes, np.asarray(mesh.uvs)
    normals, tangents, uvs = (array_to_tensor(array, device) for array in arrays)
    return TangentFrame(normals, tangents, uvs, array_to_tensor(mesh.faces, device).long())


def _draw(values: torch.Tensor, texels: Texels, side: int) -> IntArray:
    """Values (N, C) 0..1 of the texels as a texture (S, S, C) uint8."""
    picture = fill_gutters(values.float().contiguous(), texels.texel, side)
    return tensor_to_array((picture.clamp(0, 1) * 255).round().to(torch.uint8))
