"""Read the figure of a mesh as of a picture: in the outline of its front view."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from ..cameras import frame_camera
from ..device import CPU, array_to_tensor, tensor_to_array
from ..figure import Figure
from ..rasterize import rasterize_view
from ..types import FramedPicture, Mesh
from .read_figure import read_figure

_SIDE, _SAMPLES, _MARGIN = 512, 2, 0.16


def see_figure(mesh: Mesh, *, device: torch.device = CPU) -> Figure:
    """Read the figure that the front view of a mesh shows, which stands upright and faces +Z."""
    camera = frame_camera(mesh, 0.0, 0.0, _MARGIN)
    faces = array_to_tensor(mesh.faces, device)
    raster = rasterize_view(camera, array_to_tensor(mesh.positions), faces, _SAMPLES * _SIDE)
    alpha = tensor_to_array(F.avg_pool2d(raster.mask[None].float(), _SAMPLES)[0])
    gray = np.full((*alpha.shape, 3), 0.5, np.float32)
    return read_figure(FramedPicture(np.dstack((gray, alpha))), device=device)
