"""Position, normal, depth and mask maps of a mesh, as the cameras of a rig see it."""

from __future__ import annotations

import numpy as np
import torch

from ..mesh.normals import vertex_normals
from ..progress import Progress, ignore_progress
from ..rasterize import Raster, interpolate_attributes, rasterize_view
from ..types import CameraRig, FloatArray, Mesh, ViewMaps


def render_view_maps(
    mesh: Mesh, rig: CameraRig, size: int, *, progress: Progress = ignore_progress
) -> ViewMaps:
    """Render what each camera sees of `mesh` at (size, size) pixels, one sample per pixel centre."""
    positions = torch.tensor(mesh.positions)
    faces = torch.tensor(mesh.faces)
    attributes = torch.cat((positions, torch.tensor(vertex_normals(mesh))), dim=1)
    views = []
    for number, camera in enumerate(rig.cameras):
        progress(number / len(rig))
        raster = rasterize_view(camera, positions, faces, size)
        views.append(_read_maps(raster, interpolate_attributes(raster, faces, attributes)))
    position, normal, depth, mask = (np.stack(items) for items in zip(*views, strict=True))
    progress(1.0)
    return ViewMaps(rig, position, normal, depth, mask)


def _read_maps(raster: Raster, values: torch.Tensor) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    mask = raster.mask
    position, normal = values[..., :3], torch.nn.functional.normalize(values[..., 3:], dim=-1)
    depth = torch.where(mask, raster.depth, 0.0)
    return position.numpy(), normal.numpy(), depth.numpy(), mask.numpy()
