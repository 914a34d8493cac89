"""Level the colors of pictures that meet: their difference is spread along the surface, details stay sharp.

Where one picture hands over to another, details come from one of both, in a narrow band, so that nothing is
seen twice. What is blurred mixes over a band about as wide as the blur (Burt and Adelson 1983, A
Multiresolution Spline With Application to Image Mosaics). The band is measured along the surface, not by the
angle of view: thin parts turn from one picture to the next within a step. Away from seams nothing changes.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from ..cameras import measure_facing
from ..device import array_to_tensor, tensor_to_array
from ..mesh.laplacian import diffuse_values
from ..mesh.weld import weld_equal
from ..types import FloatArray, Mesh
from .project import PreparedView, look_up, weigh_sharply

_BLUR = 0.008
"""Width of the blur whose result mixes over a band, as a share of a view's side …"""
_BAND = 0.012
"""… and the length along the surface in which the band fades by e, as a share of the mesh's extent."""


def add_base(color: FloatArray, mask: FloatArray) -> FloatArray:
    """The channels of a view (S, S, C), and its color blurred within the mask (S, S): (S, S, C + 3)."""
    inside = (mask > 0.5).astype(np.float32)[..., None]
    spread = _BLUR * len(mask), _BLUR * len(mask), 0
    blurred, weight = (
        gaussian_filter(item, spread, truncate=3) for item in (color[..., :3] * inside, inside)
    )
    return np.concatenate((color, blurred / np.maximum(weight, 1e-3)), axis=2)


class SeamLevels:
    """Accumulates views, whose last three channels are the blurred color, at the vertices of a mesh."""

    def __init__(self, mesh: Mesh, device: torch.device) -> None:
        """mesh: V vertices with unit normals; coincident ones are treated as one."""
        self._positions, first, self._inverse = weld_equal(mesh.positions)
        self._faces = self._inverse[mesh.faces]
        self._points = array_to_tensor(self._positions, device)
        self._normals = array_to_tensor(np.asarray(mesh.normals)[first], device)
        self._base: list[FloatArray] = []
        self._weight: list[FloatArray] = []
        self._visible: list[FloatArray] = []

    def add(self, view: PreparedView, preference: float) -> None:
        """Add a view; `preference` multiplies its weight."""
        facing = measure_facing(view.camera, self._points, self._normals)
        color, weight, visible = look_up(view, self._points, facing)
        self._base.append(tensor_to_array(color[:, -3:]))
        self._weight.append(tensor_to_array(weigh_sharply(weight, visible, preference)))
        self._visible.append(tensor_to_array(visible))

    def read(self) -> FloatArray:
        """What to add to the views' colors, (V, 3): their bases mixed over the band, less those as mixed."""
        narrow, visible = _to_shares(np.stack(self._weight, axis=1)), np.stack(self._visible, axis=1)
        length = _BAND * float(np.ptp(self._positions, axis=0).max())
        wide = _to_shares(diffuse_values(self._positions, self._faces, narrow, length) * visible)
        seen = np.asarray((wide.sum(axis=1) > 0) & (narrow.sum(axis=1) > 0))
        change = (wide - narrow) * seen[:, None]
        level = np.einsum("vn,nvc->vc", change, np.stack(self._base))
        return level[self._inverse].astype(np.float32)


def _to_shares(weights: FloatArray) -> FloatArray:
    """Weights (V, N) of views as shares of their sum; 0 where no view counts."""
    return weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-30)
