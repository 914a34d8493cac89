"""The body network: what goes in, its layers, and what its landmark heat maps say.

It was trained on random figures alone (`training/`), made from CC0 bodies, hair and hats, painted at random.
Of colors it sees how they differ within the figure, or nothing: some of what it was trained on had none.
Landmarks found by other means are one of its inputs, left out or wrong at random in training: it checks them
against the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..types import FloatArray
from .figure import LANDMARKS, PARTS
from .heat_maps import decode_places, measure_edge_distance
from .layers import Block, add_places, convolve, double

SIDE = 128
"""Resolution of mask and depths."""
HEAT_SIDE = 32
"""Resolution of the landmarks' heat maps and of the hints."""

_COUNT = len(LANDMARKS)
_DEPTH_UNIT = 0.1
_HINT_RADIUS = 1.2 / HEAT_SIDE
_NEAR = 0.055


@dataclass(frozen=True)
class NetworkOutput:
    """heat (B, 20, 1025): logits over 32 x 32 cells and, last, `not in the picture`.

    depth (B, 20, 32, 32): of each landmark, if it is there. surfaces (B, 4, 128, 128): front, back, and the
    logarithms of their Laplace scales. parts (B, 14, 64, 64): logits.
    """

    heat: Tensor
    depth: Tensor
    surfaces: Tensor
    parts: Tensor


class ColorLayers(nn.Module):
    """What the colors add to the outline's features at 64 x 64, 32 x 32 and 16 x 16."""

    def __init__(self, outputs: tuple[int, int, int], widths: tuple[int, int, int] = (24, 48, 64)) -> None:
        super().__init__()
        c64, c32, c16 = widths
        self.at64 = nn.Sequential(convolve(3 * 4, c64), Block(c64))
        self.at32 = nn.Sequential(convolve(c64, c32, 2), Block(c32))
        self.at16 = nn.Sequential(convolve(c32, c16, 2), Block(c16))
        self.out = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(widths, outputs, strict=True))
        for weights in self.out.parameters():  # at first an outline's reading is left as it is
            nn.init.zeros_(weights)

    def forward(self, colors: Tensor) -> tuple[Tensor, ...]:
        """Colors (B, 3, 128, 128) in; nothing is known of a picture whose colors are all 0."""
        seen, x = [], nn.functional.pixel_unshuffle(colors, 2)
        for layers, out in zip((self.at64, self.at32, self.at16), self.out, strict=True):
            x = layers(x)
            seen.append(out(x))
        return tuple(seen)


class BodyNetwork(nn.Module):
    """A U-Net (Ronneberger et al. 2015) of residual blocks; most of its work is done at 32 x 32 and below."""

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64, 128, 160)) -> None:
        super().__init__()
        c64, c32, c16, c8, c4 = widths
        self.stem = convolve(2 * 4 + 2, c64)
        self.down32 = convolve(c64, c32, 2)
        self.mix32 = nn.Sequential(convolve(c32 + _COUNT, c32), Block(c32))
        self.down16 = nn.Sequential(convolve(c32, c16, 2), Block(c16))
        self.down8 = nn.Sequential(convolve(c16, c8, 2), Block(c8))
        self.down4 = nn.Sequential(convolve(c8, c4, 2), Block(c4))
        self.whole = nn.Linear(c4, c4)
        self.absent = nn.Linear(c4, _COUNT)
        self.up8, self.up16 = nn.Conv2d(c4, c8, 1), nn.Conv2d(c8, c16, 1)
        self.up32, self.up64 = nn.Conv2d(c16, c32, 1), nn.Conv2d(c32, c64, 1)
        self.at8, self.at16, self.at32 = Block(c8), Block(c16), Block(c32)
        self.at64 = convolve(c64, 32)
        self.heat = nn.Conv2d(c32, 2 * _COUNT, 1)
        self.surfaces = nn.Conv2d(32, 4 * 4, 1)
        self.parts = nn.Conv2d(32, len(PARTS), 1)
        self.colors = ColorLayers((c64, c32, c16))

    def forward(self, outline: Tensor, hints: Tensor, colors: Tensor) -> NetworkOutput:
        """Read masks and distances (B, 2, 128, 128), hint maps (B, 20, 32, 32), colors (B, 3, 128, 128)."""
        x = nn.functional.pixel_unshuffle(outline, 2)
        seen64, seen32, seen16 = self.colors(colors)
        s64 = self.stem(add_places(x)) + seen64
        s32 = self.mix32(torch.cat([self.down32(s64), hints], dim=1)) + seen32
        s16 = self.down16(s32) + seen16
        s8 = self.down8(s16)
        s4 = self.down4(s8)
        pooled = s4.mean(dim=(2, 3))
        s4 = s4 + self.whole(pooled)[:, :, None, None]
        s8 = self.at8(s8 + double(self.up8(s4)))
        s16 = self.at16(s16 + double(self.up16(s8)))
        s32 = self.at32(s32 + double(self.up32(s16)))
        heat, depth = self.heat(s32).split(_COUNT, dim=1)
        s64 = self.at64(s64 + double(self.up64(s32)))
        return NetworkOutput(
            torch.cat([heat.flatten(2), self.absent(pooled)[:, :, None]], dim=2),
            depth * _DEPTH_UNIT,
            nn.functional.pixel_shuffle(self.surfaces(s64), 2) * _units(outline),
            self.parts(s64),
        )


def _units(like: Tensor) -> Tensor:
    """Depths leave the last layer in tenths, logarithms of scales as they are; (4, 1, 1)."""
    return like.new_tensor((_DEPTH_UNIT, _DEPTH_UNIT, 1.0, 1.0))[:, None, None]


def encode_outline(mask: FloatArray) -> FloatArray:
    """Mask (128, 128) and signed distance to its edge, in eighths of the side: (2, 128, 128).

    Distances are positive inside, and end at a quarter of the side outside.
    """
    inside = mask > 0.5
    return np.stack([inside, measure_edge_distance(inside)]).astype(np.float32)


def encode_colors(colors: Tensor, mask: Tensor) -> Tensor:
    """Colors (B, 3, H, W) inside masks (B, H, W), from their mean and in units of their spread."""
    inside = (mask > 0.5)[:, None].to(colors.dtype)
    count = inside.sum(dim=(2, 3), keepdim=True).clamp_min(1)
    centered = (colors - (colors * inside).sum(dim=(2, 3), keepdim=True) / count) * inside
    spread = (centered.square().sum(dim=(1, 2, 3), keepdim=True) / (3 * count)).sqrt()
    return centered / spread.clamp_min(0.05)


def encode_hints(hints: Tensor, confidence: Tensor) -> Tensor:
    """Draw hints (B, 20, 2) as soft spots, as bright as they are trusted: (B, 20, 32, 32)."""
    centers = (torch.arange(HEAT_SIDE, device=hints.device) + 0.5) / HEAT_SIDE
    x, y = (torch.exp(-((centers - hints[..., i, None]) ** 2) / (2 * _HINT_RADIUS**2)) for i in (0, 1))
    return y[..., :, None] * x[..., None, :] * confidence[..., None, None]


def decode_landmarks(output: NetworkOutput) -> tuple[Tensor, Tensor]:
    """Landmarks (B, 20, 3) and their confidence (B, 20) of the heat maps, as `decode_places` finds them."""
    return decode_places(output.heat.softmax(dim=2)[..., :-1], output.depth, _NEAR)
