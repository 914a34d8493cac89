"""The encoder of the whole shape: points on the surface in, the first 512 words of the language model out.

The perceiver of Z. Zhao et al., "Michelangelo", NeurIPS 2023, without learned queries.
"""

from __future__ import annotations

import numpy as np
import torch

from ...pipeline.progress import Progress, ignore_progress
from ..layers import manual_cast
from ..surface_points import pick_farthest
from .blocks import BANDS, POINT_WIDTH, Block, embed_points

SHAPE_WORDS = 512
_SEED = 0
_PER_WORD = 4
"""Points drawn for each one that is picked because it is far from the others."""
_EPSILON = 2.0**-23


class ShapeEncoder(torch.nn.Module):
    """width: of its blocks. hidden: of the language model."""

    def __init__(self, width: int, depth: int, hidden: int) -> None:
        super().__init__()
        self.embed = manual_cast.Linear(POINT_WIDTH, width)
        self.look = Block(width, has_context=True)
        self.blocks = torch.nn.ModuleList(Block(width) for _ in range(depth))
        self.norm = manual_cast.LayerNorm(width)
        self.say = manual_cast.Linear(width, hidden)
        self.scale = manual_cast.RMSNorm(hidden, eps=_EPSILON)

    def forward(self, points: torch.Tensor, progress: Progress = ignore_progress) -> torch.Tensor:
        """Points with normals (N, 6) -> (SHAPE_WORDS, hidden)."""
        chosen = choose_points(points, SHAPE_WORDS, _SEED)
        frequencies = 2.0 ** torch.arange(BANDS, device=points.device, dtype=points.dtype)
        embedded = self.embed(embed_points(points, frequencies).to(self.embed.weight.dtype))
        progress(0.3)
        x = self.look(embedded[chosen], embedded)
        for number, block in enumerate(self.blocks, start=1):
            progress(0.3 + 0.7 * number / (len(self.blocks) + 1))
            x = block(x)
        said: torch.Tensor = self.scale(self.say(self.norm(x)))
        progress(1.0)
        return said


def choose_points(points: torch.Tensor, count: int, seed: int) -> torch.Tensor:
    """Indices (count,) of points far from each other, among _PER_WORD times as many drawn at random."""
    drawn = np.random.default_rng(seed).choice(
        len(points), count * _PER_WORD, replace=count * _PER_WORD > len(points)
    )
    indices = torch.from_numpy(drawn).to(points.device)
    return indices[pick_farthest(points[indices, :3], count)]
