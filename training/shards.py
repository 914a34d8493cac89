"""Shards of figures in memory, and how batches of them are moved about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor


class Shards:
    """The fields of all shards, by name; their first axis counts the figures."""

    names: tuple[str, ...]

    def __init__(self, paths: list[Path]) -> None:
        shards = [np.load(path) for path in paths]
        self.fields = {
            name: torch.from_numpy(np.concatenate([shard[name] for shard in shards])) for name in self.names
        }

    def __len__(self) -> int:
        return len(self.fields[self.names[0]])

    def split(self, count: int) -> Self:
        """Take the first `count` figures away, and return them."""
        first = type(self).__new__(type(self))
        first.fields = {name: whole[:count] for name, whole in self.fields.items()}
        self.fields = {name: whole[count:] for name, whole in self.fields.items()}
        return first


class Motion(NamedTuple):
    """turn: standard deviation, degrees. scale: limits. shift: standard deviation, shares of the side."""

    turn: float
    scale: tuple[float, float]
    shift: float


def move_figures(
    maps: Tensor,
    points: Tensor,
    motion: Motion,
    parts: slice,
    mirrors: tuple[Sequence[int], list[int]],
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Flip, turn, scale and shift maps (B, C, S, S) and points (B, N, 3) in the picture's plane.

    The first two maps are depths, `parts` are the channels that hold part numbers. mirrors: what each part
    and each point is on the other side of the body.
    """
    n = len(maps)
    flip = torch.from_numpy(rng.random(n) < 0.5)
    swapped = maps.clone()
    swapped[:, parts] = torch.tensor(mirrors[0], dtype=maps.dtype)[maps[:, parts].long()]
    maps = torch.where(flip[:, None, None, None], swapped.flip(3), maps)
    other = points[:, mirrors[1]] * torch.tensor((-1.0, 1, 1)) + torch.tensor((1.0, 0, 0))
    points = torch.where(flip[:, None, None], other, points)
    angle = torch.from_numpy(np.deg2rad(rng.normal(0, motion.turn, n))).float()
    scale = torch.from_numpy(rng.uniform(*motion.scale, n)).float()
    shift = torch.from_numpy(rng.normal(0, motion.shift, (n, 2))).float()
    c, s = torch.cos(angle), torch.sin(angle)
    # seen[p] = maps[turn(p - shift) / scale]; places from -1 to 1
    across = torch.stack([c, s, -2 * (c * shift[:, 0] + s * shift[:, 1])], dim=1)
    down = torch.stack([-s, c, -2 * (c * shift[:, 1] - s * shift[:, 0])], dim=1)
    theta = torch.stack([across, down], dim=1) / scale[:, None, None]
    grid = torch.nn.functional.affine_grid(theta, list(maps.shape), align_corners=False)
    maps = torch.nn.functional.grid_sample(maps, grid, mode="nearest", align_corners=False)
    maps[:, :2] *= scale[:, None, None, None]
    x, y, k = points[..., 0] - 0.5, points[..., 1] - 0.5, scale[:, None]
    moved = [k * (c[:, None] * x - s[:, None] * y) + shift[:, :1] + 0.5,
             k * (s[:, None] * x + c[:, None] * y) + shift[:, 1:] + 0.5, k * points[..., 2]]  # fmt: skip
    return maps, torch.stack(moved, dim=2)
