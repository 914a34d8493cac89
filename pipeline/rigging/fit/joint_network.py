"""The joint network: where a humanoid's joints are inside its surface, read in a view from the front.

It sees the depth of the first and of the last surface behind each pixel, and no colors. It was trained on
random figures alone (`training/`), made of CC0 bodies, hair and hats, and of solids.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ...device import tensor_to_array
from ...figure import PARTS
from ...figure.heat_maps import decode_places, measure_edge_distance
from ...figure.layers import Block, add_places, convolve, double

SIDE = 128
"""Resolution of the depths."""
HEAT_SIDE = 64
"""Resolution of the joints' heat maps."""
_TRUNK = ("hips", "spine", "spine1", "spine2", "neck", "head", "head_top")
_ARM = ("shoulder", "arm", "fore_arm", "hand", "hand_end")
_LEG = ("up_leg", "leg", "foot", "toe_base", "toe_end")
JOINTS = (*_TRUNK, *(f"{side}_{name}" for side in ("left", "right") for name in _ARM + _LEG))
"""In the order of the heat maps."""

_COUNT = len(JOINTS)
_DEPTH_UNIT = 0.1
_NEAR = 0.04


@dataclass(frozen=True)
class JointMaps:
    """heat (B, 27, 64, 64): logits. depth (B, 27, 64, 64): of each joint, if it is there.

    parts (B, 2, 14, 64, 64): logits of PARTS on the first and on the last surface.
    """

    heat: Tensor
    depth: Tensor
    parts: Tensor


class JointNetwork(nn.Module):
    """A U-Net (Ronneberger et al. 2015) of residual blocks; most of its work is done at 32 x 32 and below."""

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64, 112, 144)) -> None:
        super().__init__()
        c64, c32, c16, c8, c4 = widths
        self.stem = convolve(4 * 4 + 2, c64)
        self.down32 = nn.Sequential(convolve(c64, c32, 2), Block(c32))
        self.down16 = nn.Sequential(convolve(c32, c16, 2), Block(c16))
        self.down8 = nn.Sequential(convolve(c16, c8, 2), Block(c8))
        self.down4 = nn.Sequential(convolve(c8, c4, 2), Block(c4))
        self.whole = nn.Linear(c4, c4)
        self.up8, self.up16 = nn.Conv2d(c4, c8, 1), nn.Conv2d(c8, c16, 1)
        self.up32, self.up64 = nn.Conv2d(c16, c32, 1), nn.Conv2d(c32, c64, 1)
        self.at8, self.at16, self.at32 = Block(c8), Block(c16), Block(c32)
        self.at64 = convolve(c64, 28)
        self.depth = nn.Conv2d(c32, _COUNT, 1)
        self.heat = nn.Conv2d(28, _COUNT, 1)
        self.parts = nn.Conv2d(28, 2 * len(PARTS), 1)

    def forward(self, surface: Tensor) -> JointMaps:
        """Read surfaces (B, 4, 128, 128) of `encode_surface`."""
        s64 = self.stem(add_places(nn.functional.pixel_unshuffle(surface, 2)))
        s32 = self.down32(s64)
        s16 = self.down16(s32)
        s8 = self.down8(s16)
        s4 = self.down4(s8)
        s4 = s4 + self.whole(s4.mean(dim=(2, 3)))[:, :, None, None]
        s8 = self.at8(s8 + double(self.up8(s4)))
        s16 = self.at16(s16 + double(self.up16(s8)))
        s32 = self.at32(s32 + double(self.up32(s16)))
        s64 = self.at64(s64 + double(self.up64(s32)))
        depth = double(self.depth(s32)) * _DEPTH_UNIT + _find_middle(surface)
        return JointMaps(self.heat(s64), depth, self.parts(s64).unflatten(1, (2, len(PARTS))))


def _find_middle(surface: Tensor) -> Tensor:
    """Depth halfway between both surfaces, (B, 1, 64, 64); nearby ones around the figure, 0 far from it."""
    inside = nn.functional.avg_pool2d(surface[:, :1], 2)
    middle = nn.functional.avg_pool2d(surface[:, 2:].mean(dim=1, keepdim=True), 2) / _DEPTH_SCALE
    near, weight = (nn.functional.avg_pool2d(x, 5, 1, 2) for x in (middle, inside))
    return near / weight.clamp_min(1e-3)


_DEPTH_SCALE = 4.0


def encode_surface(front: Tensor, back: Tensor) -> Tensor:
    """Stack mask, signed distance to its edge and both depths: (B, 4, 128, 128).

    front, back (B, 128, 128): depth towards the viewer in sides of the view, NaN where nothing is.
    """
    inside = torch.isfinite(front)
    distance = np.stack([measure_edge_distance(mask) for mask in tensor_to_array(inside)])
    depths = torch.stack([front, back], dim=1).nan_to_num(0) * _DEPTH_SCALE
    return torch.cat([torch.stack([inside.float(), torch.from_numpy(distance)], dim=1), depths], dim=1)


def decode_joints(maps: JointMaps) -> tuple[Tensor, Tensor]:
    """Joints (B, 27, 3) in shares of the view's side, and their confidence (B, 27), as of `decode_places`."""
    return decode_places(maps.heat.flatten(2).softmax(dim=2), maps.depth, _NEAR)
