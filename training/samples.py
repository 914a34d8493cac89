"""Batches for training: figures flipped, turned, scaled and shifted; torn outlines; good and bad hints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pack  # noqa: F401
import torch
from character3d.pipeline.figure import LANDMARKS, PARTS, mirrored_names
from character3d.pipeline.figure.body_network import SIDE, encode_colors, encode_hints, encode_outline
from paint import paint_figures
from shards import Motion, Shards, move_figures
from torch import Tensor

_LANDMARK_MIRROR, _PART_MIRROR = mirrored_names(LANDMARKS), mirrored_names(PARTS)
_MOTION = Motion(turn=3, scale=(0.93, 1.04), shift=0.012)
_COLORLESS = 0.15
"""Share of the figures whose colors are not known."""
_SELDOM_HINTED = [LANDMARKS.index("crown")]
_CHAINS = [
    [LANDMARKS.index(f"{side}_{name}") for side in ("left", "right") for name in names.split()]
    for names in ("shoulder elbow wrist hand", "hip knee ankle toe", "wrist hand", "ankle toe")
]


@dataclass
class Batch:
    """outline (B, 2, 128, 128), hints (B, 20, 32, 32), colors (B, 3, 128, 128); truths: front and back with
    NaN, part, landmarks."""

    outline: Tensor
    hints: Tensor
    colors: Tensor
    front: Tensor
    back: Tensor
    part: Tensor
    landmarks: Tensor


class Figures(Shards):
    """All shards of a folder in memory."""

    names = ("front", "back", "part", "landmarks")

    def batch(self, indices: np.ndarray, rng: np.random.Generator, augment: bool = True) -> Batch:
        """Truths and inputs of the figures `indices`."""
        front, back, part, landmarks = (self.fields[name][indices] for name in self.names)
        front, back = front.float(), back.float()
        inside = torch.isfinite(front)
        maps = torch.stack([front.nan_to_num(0), back.nan_to_num(0), part.float(), inside.float()], dim=1)
        if augment:
            mirrors = _PART_MIRROR, _LANDMARK_MIRROR
            maps, landmarks = move_figures(maps, landmarks, _MOTION, slice(2, 3), mirrors, rng)
        inside, part = maps[:, 3] > 0.5, maps[:, 2].round().long()
        masks = _tear(inside.float(), rng).numpy() if augment else inside.float().numpy()
        outline = torch.from_numpy(np.stack([encode_outline(mask) for mask in masks]))
        hints, trust = random_hints(landmarks[..., :2].numpy(), rng)
        spots = encode_hints(torch.from_numpy(hints), torch.from_numpy(trust))
        nothing = torch.where(inside, 0.0, torch.nan)
        colors = self._paint(maps[:, 0], part, landmarks, inside, torch.from_numpy(masks), rng)
        return Batch(
            outline, spots, colors, maps[:, 0] + nothing, maps[:, 1] + nothing, part * inside, landmarks
        )

    def _paint(
        self,
        front: Tensor,
        part: Tensor,
        landmarks: Tensor,
        inside: Tensor,
        masks: Tensor,
        rng: np.random.Generator,
    ) -> Tensor:
        """Colors in the torn masks, for all but a few of the figures."""
        colors = paint_figures(front, part, landmarks, inside, rng)
        known = torch.from_numpy(rng.random(len(front)) > _COLORLESS)
        return encode_colors(colors, masks) * known[:, None, None, None]


def _tear(masks: Tensor, rng: np.random.Generator) -> Tensor:
    """Ragged or rounded edges, small holes, filled gaps: what cut-outs of real pictures show."""
    n = len(masks)
    noise = torch.zeros_like(masks)[:, None]
    for side, strength in ((64, 0.5), (32, 0.35), (16, 0.25)):
        amount = torch.from_numpy(rng.uniform(0, strength, n) * (rng.random(n) < 0.5)).float()
        rough = torch.from_numpy(rng.normal(size=(n, 1, side, side))).float() * amount[:, None, None, None]
        noise += torch.nn.functional.interpolate(
            rough, size=masks.shape[-2:], mode="bilinear", align_corners=False
        )
    blurred = masks[:, None]
    wide = torch.from_numpy(rng.random(n) < 0.3)[:, None, None, None]
    blurred = torch.where(wide, _blur(blurred, 5), _blur(blurred, 3))
    torn = (blurred + 0.5 * noise * (blurred > 0.02) * (blurred < 0.98) > 0.5).float()[:, 0]
    for i in np.nonzero(rng.random(n) < 0.15)[0]:
        for _ in range(rng.integers(1, 4)):
            y, x = rng.integers(0, SIDE, 2)
            h, w = rng.integers(1, 6, 2)
            torn[i, y : y + h, x : x + w] = 0
    keep = torn.sum(dim=(1, 2)) > 100
    return torch.where(keep[:, None, None], torn, masks)


def _blur(x: Tensor, size: int) -> Tensor:
    return torch.nn.functional.avg_pool2d(x, size, 1, size // 2)


def random_hints(landmarks: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks as another reader may give them, with confidence (B, 20): noisy, missing, swapped, wrong."""
    n, count, _ = landmarks.shape
    hints = landmarks + rng.normal(size=landmarks.shape) * rng.uniform(0, 0.025, (n, 1, 1))
    hints += rng.normal(size=(n, 1, 2)) * 0.02 * (rng.random((n, 1, 1)) < 0.15)
    trust = np.where(
        rng.random((n, count)) < rng.uniform(0, 0.6, (n, 1)) * (rng.random((n, 1)) < 0.5), 0.0, 1.0
    )
    for i in range(n):
        kind = rng.random()
        if kind < 0.05:
            hints[i] = hints[i][_LANDMARK_MIRROR]
        elif kind < 0.11:
            chain = _CHAINS[rng.integers(len(_CHAINS))]
            hints[i, chain] = hints[i][[_LANDMARK_MIRROR[j] for j in chain]]
        elif kind < 0.2:
            wrong = rng.integers(0, count, rng.integers(1, 4))
            hints[i, wrong] = rng.uniform(0.1, 0.9, (len(wrong), 2))
        elif kind < 0.27:  # as of a body of other proportions in the same box
            hints[i] = 0.5 + (hints[i] - 0.5) * rng.uniform(0.6, 1.1, 2) + rng.normal(0, 0.06, 2)
        elif kind < 0.32:  # as of another figure
            hints[i] = landmarks[rng.integers(n)]
    trust[:, _SELDOM_HINTED] *= rng.random((n, 1)) < 0.3
    trust *= rng.random((n, 1)) > 0.33
    trust *= rng.uniform(0.6, 1.0, (n, count))
    outside = ((hints < 0) | (hints > 1)).any(axis=2)
    trust[outside] = 0
    return hints.astype(np.float32), trust.astype(np.float32)
