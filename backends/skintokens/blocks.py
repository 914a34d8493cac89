"""What both point encoders and the decoder of skin are made of: waves of coordinates, and one kind of block.

The files name the parts of a block in two ways, and may keep query, key and value apart; layout.py says how.
"""

from __future__ import annotations

import math

import torch
from torch.nn.functional import gelu, scaled_dot_product_attention

from ..layers import manual_cast

BANDS = 8
HEAD_WIDTH = 64
POINT_WIDTH = 3 * (2 * BANDS + 1) + 3
"""Numbers of a point: its coordinates, their waves, and its normal."""


class Block(torch.nn.Module):
    """Attention and two layers, each on the normed input and added to it.

    Query, key and value of a head lie side by side in what the layer before the attention answers.
    """

    def __init__(self, width: int, *, has_context: bool = False) -> None:
        super().__init__()
        self.heads = width // HEAD_WIDTH
        self.norm = manual_cast.LayerNorm(width)
        self.norm_context = manual_cast.LayerNorm(width) if has_context else None
        self.query = manual_cast.Linear(width, width, bias=False) if has_context else None
        self.keys = manual_cast.Linear(width, (2 if has_context else 3) * width, bias=False)
        self.out = manual_cast.Linear(width, width)
        self.norm_feed = manual_cast.LayerNorm(width)
        self.widen = manual_cast.Linear(width, 4 * width)
        self.narrow = manual_cast.Linear(4 * width, width)

    def forward(self, x: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        """(N, C), and (M, C) for a block with context -> (N, C)."""
        normed = self.norm(x)
        if self.query is None or self.norm_context is None or context is None:
            query, key, value = self._split(self.keys(normed))
        else:
            query = self.query(normed).unflatten(-1, (self.heads, -1))
            key, value = self._split(self.keys(self.norm_context(context)))
        query, key, value = (part.transpose(-2, -3)[None] for part in (query, key, value))
        attended = scaled_dot_product_attention(query, key, value)[0].transpose(-2, -3).flatten(-2)
        x = x + self.out(attended)
        fed: torch.Tensor = self.narrow(gelu(self.widen(self.norm_feed(x))))
        return x + fed

    def _split(self, together: torch.Tensor) -> list[torch.Tensor]:
        """(N, parts * C) -> parts of (N, heads, C / heads)."""
        by_head = together.unflatten(-1, (self.heads, -1))
        return list(by_head.split(HEAD_WIDTH, dim=-1))


def embed_points(points: torch.Tensor, frequencies: torch.Tensor) -> torch.Tensor:
    """Points with normals (N, 6) -> (N, POINT_WIDTH): coordinates, sines, cosines, normals."""
    places, normals = points.split(3, dim=-1)
    waves = (places[..., None] * frequencies).flatten(-2)
    return torch.cat((places, waves.sin(), waves.cos(), normals), dim=-1)


def embed_points_twice(points: torch.Tensor) -> torch.Tensor:
    """The same with frequencies of multiples of pi, and with slow waves, which tell the octants apart, added.

    The network was trained with both rounded to bfloat16.
    """
    places, normals = points.split(3, dim=-1)
    numbers = torch.arange(BANDS, dtype=torch.float32)
    share = (numbers + 1) / BANDS
    frequencies = (2.0**numbers * math.pi).bfloat16().to(points)
    phases = ((BANDS ** (1 - share) + share) * 2 * math.pi).bfloat16().to(points)
    waves = (places[..., None] * frequencies).flatten(-2)
    slow = (places[..., None] * math.pi * 0.5 + phases).flatten(-2)
    return torch.cat((places, waves.sin() + slow.sin(), waves.cos() + slow.cos(), normals), dim=-1)
