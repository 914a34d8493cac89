"""Position, normal, depth and mask maps of a mesh for the cameras of a rig."""

from __future__ import annotations

import numpy as np
import torch

from ..device import CPU, array_to_tensor, tensor_to_array
from ..mesh.normals import vertex_normals
from ..progress import Progress, ignore_progress
from ..rasterize import Raster, interpolate_attributes, rasterize_view
from ..types import CameraRig, FloatArray, Mesh, ViewMaps


def render_view_maps(
    mesh: Mesh,
    rig: CameraRig,
    size: int,
    *,
    device: torch.device = CPU,
    progress: Progress = ignore_progress,
) -> ViewMaps:
    """Render the maps of `mesh` for each camera at (size, size) pixels, one sample per pixel center."""
    positions, faces = array_to_tensor(mesh.positions), array_to_tensor(mesh.faces, device)
    attributes = array_to_tensor(np.concatenate((mesh.positions, vertex_normals(mesh)), axis=1), device)
    shape = len(rig), size, size
    position, normal = (np.empty((*shape, 3), np.float32) for _ in range(2))
    depth, mask = np.empty(shape, np.float32), np.empty(shape, np.bool_)
    for number, camera in enumerate(rig.cameras):
        progress(number / len(rig))
        raster = rasterize_view(camera, positions, faces, size)
        view = _read_maps(raster, interpolate_attributes(raster, faces, attributes))
        position[number], normal[number], depth[number], mask[number] = view
    for array in (position, normal, depth, mask):
        array.setflags(write=False)  # so that it is kept, not copied
    progress(1.0)
    return ViewMaps(rig, position, normal, depth, mask)


def _read_maps(raster: Raster, values: torch.Tensor) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    mask = raster.mask
    position, normal = values[..., :3], torch.nn.functional.normalize(values[..., 3:], dim=-1)
    depth = torch.where(mask, raster.depth, 0.0)
    return tensor_to_array(position), tensor_to_array(normal), tensor_to_array(depth), tensor_to_array(mask)
