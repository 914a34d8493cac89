"""Batches to train the joint network: figures flipped, turned, scaled and shifted, with frayed edges."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pack  # noqa: F401
import torch
from character3d.pipeline.figure import PARTS, mirrored_names
from character3d.pipeline.rigging.fit.joint_network import JOINTS, encode_surface
from torch import Tensor

_JOINT_MIRROR, _PART_MIRROR = mirrored_names(JOINTS), mirrored_names(PARTS)
_NAMES = ("front", "back", "front_part", "back_part", "joints")


@dataclass
class JointBatch:
    """surface (B, 4, 128, 128); truths: parts (B, 2, 128, 128) and joints (B, 27, 3), NaN where unknown."""

    surface: Tensor
    parts: Tensor
    joints: Tensor


class Surfaces:
    """All shards of a folder in memory."""

    def __init__(self, paths: list[Path]) -> None:
        shards = [np.load(path) for path in paths]
        self.front, self.back, self.front_part, self.back_part, self.joints = (
            torch.from_numpy(np.concatenate([shard[name] for shard in shards])) for name in _NAMES
        )

    def __len__(self) -> int:
        return len(self.joints)

    def split(self, count: int) -> Surfaces:
        """Take the first `count` figures away, and return them."""
        first = copy.copy(self)
        for name in _NAMES:
            whole = getattr(self, name)
            setattr(first, name, whole[:count])
            setattr(self, name, whole[count:])
        return first

    def batch(self, indices: np.ndarray, rng: np.random.Generator, augment: bool = True) -> JointBatch:
        """Inputs and truths of the figures `indices`."""
        front, back = self.front[indices].float(), self.back[indices].float()
        parts = torch.stack([self.front_part[indices], self.back_part[indices]], dim=1).float()
        inside = torch.isfinite(front)
        maps = torch.cat([torch.stack([front, back, inside], dim=1).nan_to_num(0), parts], dim=1)
        joints = self.joints[indices].clone()
        if augment:
            maps, joints = _move(maps, joints, rng)
            maps = _fray(maps, rng)
        inside = maps[:, 2] > 0.5
        nothing = torch.where(inside, 0.0, torch.nan)
        surface = encode_surface(maps[:, 0] + nothing, maps[:, 1] + nothing)
        return JointBatch(surface, (maps[:, 3:].round() * inside[:, None]).long(), joints)


def _move(maps: Tensor, joints: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Flip, turn, scale and shift in the picture's plane, and shift in depth."""
    n = len(maps)
    flip = torch.from_numpy(rng.random(n) < 0.5)
    mirror = torch.tensor(_PART_MIRROR, dtype=maps.dtype)
    swapped = torch.cat([maps[:, :3], mirror[maps[:, 3:].long()]], dim=1).flip(3)
    maps = torch.where(flip[:, None, None, None], swapped, maps)
    other = joints[:, _JOINT_MIRROR] * torch.tensor((-1.0, 1, 1)) + torch.tensor((1.0, 0, 0))
    joints = torch.where(flip[:, None, None], other, joints)
    angle = torch.from_numpy(np.deg2rad(rng.normal(0, 2, n))).float()
    scale = torch.from_numpy(rng.uniform(0.95, 1.04, n)).float()
    shift = torch.from_numpy(rng.normal(0, 0.008, (n, 2))).float()
    c, s = torch.cos(angle), torch.sin(angle)
    # seen[p] = maps[turn(p - shift) / scale]; places from -1 to 1
    across = torch.stack([c, s, -2 * (c * shift[:, 0] + s * shift[:, 1])], dim=1)
    down = torch.stack([-s, c, -2 * (c * shift[:, 1] - s * shift[:, 0])], dim=1)
    theta = torch.stack([across, down], dim=1) / scale[:, None, None]
    grid = torch.nn.functional.affine_grid(theta, list(maps.shape), align_corners=False)
    maps = torch.nn.functional.grid_sample(maps, grid, mode="nearest", align_corners=False)
    away = torch.from_numpy(rng.normal(0, 0.015, n)).float()
    maps[:, :2] = maps[:, :2] * scale[:, None, None, None] + away[:, None, None, None]
    x, y, k = joints[..., 0] - 0.5, joints[..., 1] - 0.5, scale[:, None]
    moved = [k * (c[:, None] * x - s[:, None] * y) + shift[:, :1] + 0.5,
             k * (s[:, None] * x + c[:, None] * y) + shift[:, 1:] + 0.5,
             k * joints[..., 2] + away[:, None]]  # fmt: skip
    return maps, torch.stack(moved, dim=2)


def _fray(maps: Tensor, rng: np.random.Generator) -> Tensor:
    """Holes, and noise on the depths of some: what meshes made of pictures, or of few polygons, show."""
    for i in np.nonzero(rng.random(len(maps)) < 0.1)[0]:
        for _ in range(rng.integers(1, 4)):
            (y, x), (h, w) = rng.integers(0, maps.shape[-1], 2), rng.integers(1, 6, 2)
            maps[i, 2, y : y + h, x : x + w] = 0
    amount = torch.from_numpy(rng.uniform(0, 0.006, len(maps)) * (rng.random(len(maps)) < 0.3)).float()
    noise = torch.from_numpy(rng.normal(size=(len(maps), 2, *maps.shape[2:]))).float()
    maps[:, :2] += noise * amount[:, None, None, None]
    return maps
