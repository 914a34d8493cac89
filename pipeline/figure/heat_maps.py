"""What goes into the networks that read figures, and what their heat maps say."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn

from ..types import BoolArray, FloatArray

_OUTSIDE = 0.25
"""Share of the side at which distances outside the mask end."""


def measure_edge_distance(inside: BoolArray) -> FloatArray:
    """Signed distance of each pixel (S, S) to the edge of a mask, in eighths of the side, positive inside.

    Outside it ends at a quarter of the side.
    """
    side = len(inside)
    distance = ndimage.distance_transform_edt(inside)
    if not inside.all():
        distance -= np.minimum(ndimage.distance_transform_edt(~inside), _OUTSIDE * side)
    return np.asarray(distance * (8 / side), np.float32)


def list_places(side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """y and x (side * side,) of the cells of a heat map, in shares of its side."""
    steps = (torch.arange(side, device=device) + 0.5) / side
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return y.flatten(), x.flatten()


def decode_places(chance: Tensor, depth: Tensor, near: float) -> tuple[Tensor, Tensor]:
    """Places (B, N, 3) and their confidence (B, N) of probabilities (B, N, S * S) and depths (B, N, S, S).

    A place is x, y and depth: the mean of the probability within `near`, a share of the side, of its peak.
    The confidence is that probability.
    """
    side = depth.shape[-1]
    peak = nn.functional.avg_pool2d(chance.unflatten(2, (side, side)), 3, 1, 1).flatten(2).argmax(dim=2)
    y, x = list_places(side, chance.device)
    weight = chance * ((x - x[peak][..., None]) ** 2 + (y - y[peak][..., None]) ** 2 < near**2)
    confidence = weight.sum(dim=2)
    weight = weight / confidence.clamp_min(1e-9)[..., None]
    values = [weight @ x, weight @ y, (weight * depth.flatten(2)).sum(dim=2)]
    return torch.stack(values, dim=2), confidence
