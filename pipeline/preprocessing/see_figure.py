"""Read the figure of a mesh as of a picture: in the outline of its front view."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F

from ..cameras import frame_camera
from ..device import array_to_tensor, tensor_to_array
from ..figure import Figure
from ..rasterize import rasterize_view
from ..types import FramedPicture, Mesh
from .read_figure import read_figure

_SIDE, _SAMPLES, _MARGIN = 512, 2, 0.16


def see_figure(mesh: Mesh) -> Figure | None:
    """Read the figure that the front view of a mesh shows, which stands upright and faces +Z.

    None if the view shows nothing: of a mesh without faces, without extent, or thin and seen edge on.
    """
    camera = frame_camera(mesh, 0.0, 0.0, _MARGIN)
    positions, faces = array_to_tensor(mesh.positions), array_to_tensor(mesh.faces)
    raster = rasterize_view(camera, positions, faces, _SAMPLES * _SIDE)
    alpha = tensor_to_array(F.avg_pool2d(raster.mask[None].float(), _SAMPLES)[0])
    picture = FramedPicture(np.dstack((np.full((*alpha.shape, 3), 0.5, np.float32), alpha)))
    return read_figure(picture) if picture.mask.any() else None
