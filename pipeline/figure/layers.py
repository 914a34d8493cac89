"""Layers of the networks that read figures."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Block(nn.Module):
    """Two convolutions around which the input is carried."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = convolve(channels, channels), convolve(channels, channels, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) in and out."""
        return torch.relu(x + self.second(self.first(x)))


def convolve(inputs: int, outputs: int, stride: int = 1, relu: bool = True) -> nn.Sequential:
    """A 3 x 3 convolution with batch norm (Ioffe and Szegedy 2015)."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if relu else nn.Sequential(*layers)


def double(x: Tensor) -> Tensor:
    """Twice the resolution."""
    return nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def add_places(x: Tensor) -> Tensor:
    """Append y and x, from -1 to 1: two more channels."""
    steps = torch.linspace(-1, 1, x.shape[-1], device=x.device)
    grid = torch.stack(torch.meshgrid(steps, steps, indexing="ij"))
    return torch.cat([x, grid.expand(len(x), -1, -1, -1)], dim=1)
