"""The condition encoder: from position and normal maps to features that are added inside the UNet.

A T2I-Adapter (Mou et al. 2023) in the layout that diffusers calls full_adapter_xl.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ..layers import manual_cast
from ..tensor_checks import Shapes, find_usual

_STAGES, _RESNETS, _MAPS = 4, 2, 6
"""Stages, blocks of each, and channels of the maps."""
PATCH = 16
"""Side of the pixel squares that the encoder merges into one."""


class ConditionEncoder(torch.nn.Module):
    """The encoder, with sizes read from its weights: those under `adapter.` in the file."""

    def __init__(self, weights: Mapping[str, torch.Tensor], dtype: torch.dtype) -> None:
        super().__init__()
        width, channels = weights["conv_in.weight"].shape[:2]
        self.conv_in = manual_cast.Conv2d(channels, width, 3, padding=1, dtype=dtype)
        self.body = torch.nn.ModuleList()
        while f"body.{len(self.body)}.resnets.0.block1.weight" in weights:
            name = f"body.{len(self.body)}."
            out = weights[f"{name}resnets.0.block1.weight"].shape[0]
            blocks = len({key.split(".")[3] for key in weights if key.startswith(f"{name}resnets.")})
            halves = len(self.body) == 2
            self.body.append(_Stage(width, out, blocks, halves, dtype))
            width = out

    def forward(self, maps: torch.Tensor) -> list[torch.Tensor]:
        """maps: (N, 6, S, S), 0..1, S a multiple of 32. Returns a feature map (N, C, H, W) for each stage."""
        features = [self.conv_in(torch.nn.functional.pixel_unshuffle(maps, PATCH))]
        for stage in self.body:
            features.append(stage(features[-1]))
        return features[1:]


def list_encoder_shapes(weights: Mapping[str, torch.Tensor]) -> Shapes:
    """Return the shapes of all tensors of an encoder, in the widths on which its tensors agree."""
    widths = []
    for number in range(_STAGES):
        stage = {key: value for key, value in weights.items() if key.startswith(f"body.{number}.resnets.")}
        widths.append(find_usual([value.shape[0] for value in stage.values() if value.dim()], 0))
    shapes: dict[str, tuple[int, ...]] = {
        "conv_in.weight": (widths[0], _MAPS * PATCH**2, 3, 3),
        "conv_in.bias": (widths[0],),
    }
    before = widths[0]
    for number, width in enumerate(widths):
        if width != before:
            shapes |= {f"body.{number}.in_conv.weight": (width, before, 1, 1)}
            shapes |= {f"body.{number}.in_conv.bias": (width,)}
        for block in (f"body.{number}.resnets.{index}" for index in range(_RESNETS)):
            for part, side in (("block1", 3), ("block2", 1)):
                shapes[f"{block}.{part}.weight"] = (width, width, side, side)
                shapes[f"{block}.{part}.bias"] = (width,)
        before = width
    return shapes


class _Stage(torch.nn.Module):
    def __init__(self, width: int, out: int, blocks: int, halves: bool, dtype: torch.dtype) -> None:
        super().__init__()
        self.halves = halves
        self.in_conv = None if width == out else manual_cast.Conv2d(width, out, 1, dtype=dtype)
        self.resnets = torch.nn.Sequential(*(_Residual(out, dtype) for _ in range(blocks)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.halves:
            x = torch.nn.functional.avg_pool2d(x, 2, ceil_mode=True)
        return self.resnets(x if self.in_conv is None else self.in_conv(x))


class _Residual(torch.nn.Module):
    def __init__(self, width: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.block1 = manual_cast.Conv2d(width, width, 3, padding=1, dtype=dtype)
        self.block2 = manual_cast.Conv2d(width, width, 1, dtype=dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.block2(torch.relu(self.block1(x)))
