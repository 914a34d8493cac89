"""Batches to train the joint network: figures flipped, turned, scaled and shifted, with frayed edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pack  # noqa: F401
import torch
from character3d.pipeline.figure import PARTS, mirrored_names
from character3d.pipeline.rigging.fit.joint_network import JOINTS, encode_surface
from shards import Motion, Shards, move_figures
from torch import Tensor

_JOINT_MIRROR, _PART_MIRROR = mirrored_names(JOINTS), mirrored_names(PARTS)
_MOTION = Motion(turn=2, scale=(0.95, 1.04), shift=0.008)


@dataclass
class JointBatch:
    """surface (B, 4, 128, 128); truths: parts (B, 2, 128, 128) and joints (B, 27, 3), NaN where unknown."""

    surface: Tensor
    parts: Tensor
    joints: Tensor


class Surfaces(Shards):
    """All shards of a folder in memory."""

    names = ("front", "back", "front_part", "back_part", "joints")

    def batch(self, indices: np.ndarray, rng: np.random.Generator, augment: bool = True) -> JointBatch:
        """Inputs and truths of the figures `indices`."""
        front, back, front_part, back_part, joints = (self.fields[name][indices] for name in self.names)
        front, back = front.float(), back.float()
        parts = torch.stack([front_part, back_part], dim=1).float()
        inside = torch.isfinite(front)
        maps = torch.cat([torch.stack([front, back, inside], dim=1).nan_to_num(0), parts], dim=1)
        if augment:
            maps, joints = _move(maps, joints, rng)
            maps = _fray(maps, rng)
        inside = maps[:, 2] > 0.5
        nothing = torch.where(inside, 0.0, torch.nan)
        surface = encode_surface(maps[:, 0] + nothing, maps[:, 1] + nothing)
        return JointBatch(surface, (maps[:, 3:].round() * inside[:, None]).long(), joints)


def _move(maps: Tensor, joints: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Move in the picture's plane, and in depth."""
    maps, joints = move_figures(maps, joints, _MOTION, slice(3, None), (_PART_MIRROR, _JOINT_MIRROR), rng)
    away = torch.from_numpy(rng.normal(0, 0.015, len(maps))).float()
    maps[:, :2] += away[:, None, None, None]
    joints[..., 2] += away[:, None]
    return maps, joints


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
