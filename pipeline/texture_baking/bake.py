"""Bake views of a mesh into its texture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from ..errors import MeshError, PictureError
from ..mesh.normals import vertex_normals
from ..progress import Progress, ignore_progress, span_progress
from ..types import FloatArray, Mesh, TexturedMesh, ViewImages
from .atlas import Texels, apply_texture, fill_gutters, interpolate_texels, list_texels
from .fill_unseen import fill_unseen, split_long_edges
from .project import Blend, Surface, prepare_view
from .seam_metrics import measure_seam_differences

LEAST_COVERAGE = 0.75
"""Share of the texels in charts; with fewer coloured by views the result warns."""
MOST_HIDDEN = 0.25
"""Share of the texels in charts; with more that no camera of the rig can see the result warns."""
MOST_SEAM_CONTRAST = 0.04
"""Mean difference of colours, 0..1, across chart borders; ten levels of 255 show as a line."""
_TEXELS_PER_BLOCK = 1 << 18


@dataclass(frozen=True, eq=False)
class BakedTexture:
    """A textured mesh and how much of it the views showed.

    coverage: (T, T) float32; 1 where a view gave the colour, 0 where it was filled in or no chart lies.
    weights: (N, S, S) float32 0..1, how much each pixel of each view counts: its distance to outlines
    times the cosine between surface and view, 0 in the background.
    metrics: utilization (share of texels in charts); of those texel_coverage (coloured by a view) and
    hidden_share (in sight of no camera, whatever its picture); seam_contrast (mean difference, 0..1,
    of the colours on both sides of chart borders).
    """

    textured: TexturedMesh
    coverage: FloatArray
    weights: FloatArray
    warnings: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)


def bake_views(
    mesh: Mesh,
    images: ViewImages,
    *,
    texture_size: int = 2048,
    weights: FloatArray | None = None,
    progress: Progress = ignore_progress,
) -> BakedTexture:
    """Project the views onto the mesh and write a (texture_size, texture_size) base colour.

    A view counts where its depth shows the surface, more the straighter it looks and the farther the
    pixel is from an outline; what no view shows takes the colour of the surface around it. `weights`,
    (N, S, S) 0..1, takes the place of angle and distance. Raises MeshError for a mesh without uvs,
    PictureError for weights of another size than the views.
    """
    if mesh.uvs is None:
        raise MeshError("baking needs a mesh with uvs, got one without; unwrap it first")
    if weights is not None and weights.shape != images.mask.shape:
        raise PictureError(
            f"expected weights of shape {images.mask.shape}, one per view; found {weights.shape}"
        )
    fine = _refine(mesh)
    progress(0.05)
    texels = list_texels(fine, texture_size)
    progress(0.15)
    blend, used = _blend_views(fine, texels, images, weights, span_progress(progress, 0.15, 0.75))
    color, share = blend.read()
    color = _mix_fill(fine, texels, color, share, span_progress(progress, 0.75, 0.9))
    texture = fill_gutters(color, texels.place, texture_size).numpy()
    progress(0.95)
    coverage = np.zeros((texture_size, texture_size), np.float32)
    coverage.flat[texels.place[texels.inside].numpy()] = share[texels.inside].numpy()
    textured = apply_texture(mesh, texture)
    metrics = _measure_bake(textured, coverage, blend.visible[texels.inside])
    progress(1.0)
    return BakedTexture(textured, coverage, used, _list_warnings(metrics), metrics)


def _refine(mesh: Mesh) -> Mesh:
    """The same surface with no long edges."""
    vertices = np.concatenate((mesh.positions, vertex_normals(mesh), np.asarray(mesh.uvs)), axis=1)
    vertices, faces = split_long_edges(vertices, mesh.faces)
    normals = vertices[:, 3:6] / np.linalg.norm(vertices[:, 3:6], axis=1, keepdims=True).clip(1e-12)
    return Mesh(vertices[:, :3], faces, normals, vertices[:, 6:])


def _blend_views(
    mesh: Mesh, texels: Texels, images: ViewImages, weights: FloatArray | None, progress: Progress
) -> tuple[Blend, FloatArray]:
    """The views' colours at the texels, and the weights (N, S, S) that their pixels had."""
    surface = Surface(torch.tensor(mesh.positions), torch.tensor(mesh.normals), _faces(mesh))
    blend, used = Blend(*_place_texels(texels, surface)), []
    for number, camera in enumerate(images.rig.cameras):
        progress(number / len(images.rig))
        own = None if weights is None else weights[number]
        view = prepare_view(camera, surface, images.color[number], images.mask[number], own)
        progress((number + 0.5) / len(images.rig))
        blend.add(view)
        used.append(view.full_weights)
    progress(1.0)
    return blend, np.stack(used)


def _place_texels(texels: Texels, surface: Surface) -> tuple[torch.Tensor, torch.Tensor]:
    """Points and unit normals, (N, 3) each."""
    placed = torch.empty((len(texels.place), 6))
    attributes = torch.cat((surface.positions, surface.normals), dim=1)
    for rows in torch.arange(len(placed)).split(_TEXELS_PER_BLOCK):
        placed[rows] = interpolate_texels(texels, surface.faces, attributes, rows)
    return placed[:, :3].contiguous(), torch.nn.functional.normalize(placed[:, 3:], dim=1)


def _mix_fill(
    mesh: Mesh, texels: Texels, color: torch.Tensor, share: torch.Tensor, progress: Progress
) -> torch.Tensor:
    """(N, 3): the views' colours where they are seen, and the surroundings' elsewhere."""
    rows = torch.nonzero(share < 1).squeeze(1)
    if not len(rows):
        return color
    fill = torch.from_numpy(fill_unseen(mesh, texels, color, share, progress))
    mixed = color.clone()
    filled = interpolate_texels(texels, _faces(mesh), fill, rows)
    mixed[rows] = filled + (color[rows] - filled) * share[rows, None]
    return mixed


def _faces(mesh: Mesh) -> torch.Tensor:
    return torch.tensor(mesh.faces).long()


def _measure_bake(textured: TexturedMesh, coverage: FloatArray, visible: torch.Tensor) -> dict[str, float]:
    texels = max(len(visible), 1)
    seams = measure_seam_differences(textured.mesh, textured.material.base_color)
    return {
        "utilization": len(visible) / coverage.size,
        "texel_coverage": float(coverage.sum(dtype=np.float64)) / texels,
        "hidden_share": int((visible == 0).sum()) / texels,
        "seam_contrast": float(seams.mean()) if len(seams) else 0.0,
    }


def _list_warnings(metrics: Mapping[str, float]) -> tuple[str, ...]:
    unseen, hidden, seams = 1 - metrics["texel_coverage"], metrics["hidden_share"], metrics["seam_contrast"]
    warnings = []
    if unseen > 1 - LEAST_COVERAGE:
        warnings.append(
            f"{unseen:.0%} of the surface got no colour from any view and took its neighbourhood's"
        )
    if hidden > MOST_HIDDEN:
        warnings.append(f"{hidden:.0%} of the surface is hidden from all cameras")
    if seams > MOST_SEAM_CONTRAST:
        warnings.append(f"colours differ by {seams:.0%} on average where charts meet: seams may show")
    return tuple(warnings)
