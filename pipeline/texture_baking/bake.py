"""Bake views of a mesh into its texture."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch

from ..conventions import TEXTURE_SIZES
from ..device import CPU, array_to_tensor, tensor_to_array
from ..errors import MeshError, PictureError
from ..mesh.normals import vertex_normals
from ..progress import Progress, ignore_progress, span_progress
from ..types import FloatArray, Mesh, TexturedMesh, ViewImages
from .atlas import Texels, apply_texture, fill_gutters, interpolate, rasterize_uv
from .fill_unseen import fill_unseen, split_long_edges
from .level_seams import SeamLevels, add_base
from .project import Surface, ViewBlend, list_preferences, prepare_view
from .seam_metrics import measure_seam_differences
from .tangent_space import FLAT, TangentFrame, compute_tangents, encode_normals
from .view_maps import check_maps, find_channels, split_texture, stack_view

LEAST_COVERAGE = 0.75
"""The result carries a warning if a smaller share of the charts' texels got a color from the views."""
MOST_HIDDEN = 0.25
"""The result carries a warning if a larger share of the charts' texels is hidden from all cameras."""
MOST_SEAM_CONTRAST = 0.04
"""Mean color difference, 0..1, across chart borders above which the result carries a warning.

Ten levels of 255 are visible as a line.
"""
"""Sides of textures in texels."""
MOST_ASTRAY = 0.25
"""The result carries a warning if a larger share of a view's mask lies beside the mesh."""
_TEXELS_PER_PIXEL = 1.25
"""Of a texture's side to a view's: from there on a larger texture shows nothing more (PSNR 48 dB)."""
_TEXELS_PER_BLOCK = 1 << 18
_NO_MAPS: Mapping[str, FloatArray] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class BakedTexture:
    """A textured mesh, and how much of it the views showed.

    coverage: (T, T) float32; 1 where the color is from views, 0 where it was filled in and outside charts.
    weights: (N, S, S) float32 0..1, the weight of each pixel of each view: its distance to outlines, or a
    hundredth on them, times the cosine between surface normal and view direction; 0 in the background.
    metrics: utilization (share of the texels that lie in charts); of those, texel_coverage (share with a
    color from a view) and hidden_share (share that no camera sees, whatever its picture);
    seam_contrast (mean difference, 0..1, between the colors on the two sides of chart borders).
    """

    textured: TexturedMesh
    coverage: FloatArray
    weights: FloatArray
    warnings: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)


def choose_texture_size(view_side: int) -> int:
    """The smallest side, texels, of a texture that holds all that views of `view_side` pixels show."""
    return next((size for size in TEXTURE_SIZES if size >= _TEXELS_PER_PIXEL * view_side), TEXTURE_SIZES[-1])


def bake_views(
    mesh: Mesh,
    images: ViewImages,
    *,
    maps: Mapping[str, FloatArray] = _NO_MAPS,
    pictured: Collection[str] = ("front",),
    texture_size: int = 2048,
    weights: FloatArray | None = None,
    device: torch.device = CPU,
    progress: Progress = ignore_progress,
) -> BakedTexture:
    """Project the views onto the mesh and write a (texture_size, texture_size) base color.

    A view contributes where it sees the surface, with a weight that grows with the cosine of the viewing
    angle and with the pixel's distance to an outline. Texels that no view shows take the color of the
    surface around them. `pictured` names the views that are pictures of the character: they count equally,
    and more than the others. `weights`, (N, S, S) 0..1, replaces angle and distance. `maps`: further views of
    the same cameras, (N, S, S, 3) 0..1 by role, which become maps of the material; see view_maps.py. They
    share the color's weights and fill, but for normals, which are flat where no view shows them. Raises
    MeshError for a mesh without uvs and a camera in the mesh, PictureError for maps and weights that do not
    fit.

    On the CPU whatever the device: the distance to outlines, and the sparse system of the fill.
    """
    if mesh.uvs is None:
        raise MeshError("baking needs a mesh with uvs, got one without; unwrap it first")
    if weights is not None and weights.shape != images.mask.shape:
        raise PictureError(
            f"expected weights of shape {images.mask.shape}, one per view; found {weights.shape}"
        )
    check_maps(maps, images)
    fine, tangents = _refine(mesh, has_tangents="normal" in maps)
    progress(0.05)
    texels = rasterize_uv(np.asarray(fine.uvs), fine.faces, texture_size, device)
    surface = Surface(
        array_to_tensor(fine.positions),
        array_to_tensor(np.asarray(fine.normals), device),
        array_to_tensor(fine.faces, device).long(),
    )
    progress(0.15)
    steps = span_progress(progress, 0.15, 0.75)
    projected = _project_views(fine, surface, texels, images, maps, weights, pictured, steps)
    color, share = projected.color, projected.share
    filled = _mix_fill(fine, surface.faces, texels, color, share, span_progress(progress, 0.75, 0.9))
    if "normal" in maps:
        columns, uvs = find_channels(tuple(maps), "normal"), array_to_tensor(np.asarray(fine.uvs), device)
        frame = TangentFrame(surface.normals, array_to_tensor(tangents, device), uvs, surface.faces)
        filled[:, columns] = _mix_flat(encode_normals(frame, texels, color[:, columns]), share)
    texture = tensor_to_array(fill_gutters(filled, texels.texel, texture_size))
    progress(0.95)
    coverage = _draw_coverage(texels, share, texture_size)
    textured = apply_texture(mesh, texture[..., :3])
    textured = replace(textured, material=split_texture(textured.material, texture, tuple(maps)))
    metrics = _measure_bake(textured, coverage, projected.visible[texels.inside])
    progress(1.0)
    warnings = *_name_astray(images, projected.astray), *_list_warnings(metrics)
    return BakedTexture(textured, coverage, projected.weights, warnings, metrics)


def _refine(mesh: Mesh, *, has_tangents: bool) -> tuple[Mesh, FloatArray]:
    """The same surface without long edges, with unit normals and uvs; and its tangents (V, 3), if wanted."""
    columns = [mesh.positions, vertex_normals(mesh), np.asarray(mesh.uvs)]
    if has_tangents:
        columns.append(compute_tangents(mesh))
    vertices, faces = split_long_edges(np.concatenate(columns, axis=1), mesh.faces)
    normals = vertices[:, 3:6] / np.linalg.norm(vertices[:, 3:6], axis=1, keepdims=True).clip(1e-12)
    return Mesh(vertices[:, :3], faces, normals, vertices[:, 6:8]), vertices[:, 8:]


class _Projected(NamedTuple):
    """What the views gave. color, share, visible: (T, C), (T,) and (T,) of the texels, as in ViewBlend.

    weights: (N, S, S), of the views' pixels. astray: of each view, as in PreparedView.
    """

    color: torch.Tensor
    share: torch.Tensor
    visible: torch.Tensor
    weights: FloatArray
    astray: list[float]


def _project_views(
    mesh: Mesh,
    surface: Surface,
    texels: Texels,
    images: ViewImages,
    maps: Mapping[str, FloatArray],
    weights: FloatArray | None,
    pictured: Collection[str],
    progress: Progress,
) -> _Projected:
    """Blend the views' colors and maps at the texels."""
    levels = SeamLevels(mesh, surface.normals.device) if len(pictured) > 1 else None
    blend = ViewBlend(*_locate_texels(texels, surface), 3 + 3 * len(maps))
    used, astray = [], []
    preferences = list_preferences(images.rig, pictured)
    for number, (camera, preference) in enumerate(zip(images.rig.cameras, preferences, strict=True)):
        progress(number / len(images.rig))
        own = None if weights is None else weights[number]
        stack, mask = stack_view(images, maps, number), images.mask[number]
        view = prepare_view(camera, surface, add_base(stack, mask) if levels else stack, mask, own)
        progress((number + 0.5) / len(images.rig))
        if levels:
            levels.add(view, preference)
            view = view._replace(color=view.color[:-3])
        blend.add(view, preference)
        used.append(view.full_weights)
        astray.append(view.astray)
    color, share = blend.read()
    if levels:
        _add_levels(color, levels.read(), texels, surface.faces)
    progress(1.0)
    return _Projected(color, share, blend.visible, np.stack(used), astray)


def _add_levels(color: torch.Tensor, levels: FloatArray, texels: Texels, faces: torch.Tensor) -> None:
    """Add levels (V, 3) of the vertices to the colors (N, 3 or more) of the texels, in place."""
    attributes = array_to_tensor(levels, color.device)
    for rows in torch.arange(len(color), device=color.device).split(_TEXELS_PER_BLOCK):
        changed = color[rows, :3] + interpolate(texels, faces, attributes, rows)
        color[rows, :3] = changed.clamp(0, 1)


def _locate_texels(texels: Texels, surface: Surface) -> tuple[torch.Tensor, torch.Tensor]:
    """Points, metres, and unit normals of the texels, (N, 3) each."""
    attributes = torch.cat((surface.positions.to(surface.normals.device), surface.normals), dim=1)
    located = attributes.new_empty((len(texels.texel), 6))
    for rows in torch.arange(len(located), device=located.device).split(_TEXELS_PER_BLOCK):
        located[rows] = interpolate(texels, surface.faces, attributes, rows)
    return located[:, :3].contiguous(), torch.nn.functional.normalize(located[:, 3:], dim=1)


def _mix_fill(
    mesh: Mesh,
    faces: torch.Tensor,
    texels: Texels,
    color: torch.Tensor,
    share: torch.Tensor,
    progress: Progress,
) -> torch.Tensor:
    """Blend the views' colors (N, C) with those of the surrounding surface where they are not fully seen."""
    rows, mixed = torch.nonzero(share < 1).squeeze(1), color.clone()
    if not len(rows):
        return mixed
    fill = array_to_tensor(fill_unseen(mesh, texels, color, share, progress), color.device)
    filled = interpolate(texels, faces, fill, rows)
    mixed[rows] = filled + (color[rows] - filled) * share[rows, None]
    return mixed


def _mix_flat(detail: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Blend encoded normals (N, 3) with flat ones where they are not fully seen."""
    flat = detail.new_tensor(FLAT)
    return flat + (detail - flat) * share[:, None]


def _draw_coverage(texels: Texels, share: torch.Tensor, size: int) -> FloatArray:
    """The share (N,) of each texel in charts as a picture (size, size)."""
    coverage = share.new_zeros(size * size)
    coverage[texels.texel[texels.inside]] = share[texels.inside]
    return tensor_to_array(coverage.view(size, size))


def _measure_bake(textured: TexturedMesh, coverage: FloatArray, visible: torch.Tensor) -> dict[str, float]:
    texels = max(len(visible), 1)
    seams = measure_seam_differences(textured.mesh, textured.material.base_color)
    return {
        "utilization": len(visible) / coverage.size,
        "texel_coverage": float(coverage.sum(dtype=np.float64)) / texels,
        "hidden_share": int((visible == 0).sum()) / texels,
        "seam_contrast": float(seams.mean()) if len(seams) else 0.0,
    }


def _name_astray(images: ViewImages, astray: Sequence[float]) -> list[str]:
    """Views that show something else than the mesh. A mask that is white all over says nothing."""
    return [
        f"{share:.0%} of the mask of view {number} ({camera.name}) lies beside the mesh: was the view made "
        "from this camera?"
        for number, (share, camera) in enumerate(zip(astray, images.rig.cameras, strict=True), start=1)
        if share > MOST_ASTRAY and images.mask[number - 1].min() < 0.5
    ]


def _list_warnings(metrics: Mapping[str, float]) -> tuple[str, ...]:
    unseen, hidden, seams = 1 - metrics["texel_coverage"], metrics["hidden_share"], metrics["seam_contrast"]
    warnings = []
    if unseen > 1 - LEAST_COVERAGE:
        warnings.append(f"{unseen:.0%} of the surface got no color from any view and took its neighborhood's")
    if hidden > MOST_HIDDEN:
        warnings.append(f"{hidden:.0%} of the surface is hidden from all cameras")
    if seams > MOST_SEAM_CONTRAST:
        warnings.append(f"colors differ by {seams:.0%} on average where charts meet: seams may show")
    return tuple(warnings)
