"""MV-Adapter's two branches next to a block's self-attention: across views, and to the reference picture.

Huang et al. 2024, "MV-Adapter: Multi-view Consistent Image Generation Made Easy", section 4.2 and, for
geometry-guided models, the row and column attention of its appendix.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from comfy.ldm.modules.attention import optimized_attention

from ..layers import manual_cast

VIEW_COUNT = 6
_AROUND = (0, 1, 2, 3)
"""Front, left, back and right correspond row by row."""
_OVER = (0, 2, 4, 5)
"""Front (mirrored), back, top and bottom correspond column by column."""


class _Branch(torch.nn.Module):
    """The projections of one attention, each C x C."""

    def __init__(self, width: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.to_q, self.to_k, self.to_v = (
            manual_cast.Linear(width, width, bias=False, dtype=dtype) for _ in range(3)
        )
        self.to_out = manual_cast.Linear(width, width, dtype=dtype)


class ViewAttention(torch.nn.Module):
    """The branches of one block of width C: mv across views, ref to the reference picture."""

    def __init__(self, width: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.mv, self.ref = _Branch(width, dtype), _Branch(width, dtype)

    def forward(
        self, hidden: torch.Tensor, reference: list[torch.Tensor | None], heads: int, options: dict[str, Any]
    ) -> torch.Tensor:
        """The sum that both branches add to the block's self-attention.

        hidden: (G * 6, N, C), normed hidden states of G groups of six views. reference: for each group the
        normed hidden states (1, M, C) of the reference picture, or None for the unconditional group. The
        latter's reference is zero, hence its attention too, which leaves the bias of the output projection.
        """
        across = self._attend_views(hidden, heads, options)
        groups = hidden.chunk(len(reference))
        to_reference = [
            self.ref.to_out(torch.zeros_like(group))
            if picture is None
            else self._attend_reference(group, picture, heads, options)
            for group, picture in zip(groups, reference, strict=True)
        ]
        return across + torch.cat(to_reference)

    def _attend_views(self, hidden: torch.Tensor, heads: int, options: dict[str, Any]) -> torch.Tensor:
        side = math.isqrt(hidden.shape[1])
        grid = hidden.unflatten(1, (side, side)).unflatten(0, (-1, VIEW_COUNT))
        queries, keys, values = (item(grid) for item in (self.mv.to_q, self.mv.to_k, self.mv.to_v))
        triple = (queries, keys, values)
        around = _attend_rows([item[:, _AROUND] for item in triple], heads, options)
        over = _attend_rows([_turn(item[:, _OVER]) for item in triple], heads, options)
        mixed = torch.zeros_like(grid)
        mixed[:, _AROUND] = around
        mixed[:, _OVER] += _turn_back(over)
        mixed[:, (0, 2)] /= 2
        joined: torch.Tensor = self.mv.to_out(mixed.flatten(0, 1).flatten(1, 2))
        return joined

    def _attend_reference(
        self, group: torch.Tensor, picture: torch.Tensor, heads: int, options: dict[str, Any]
    ) -> torch.Tensor:
        """Let six views (6, N, C), joined to one long query, attend to the same picture (1, M, C)."""
        query = self.ref.to_q(group).flatten(0, 1)[None]
        keys, values = self.ref.to_k(picture), self.ref.to_v(picture)
        attended = optimized_attention(query, keys, values, heads, transformer_options=options)
        joined: torch.Tensor = self.ref.to_out(attended[0].unflatten(0, (VIEW_COUNT, -1)))
        return joined


def _attend_rows(triple: list[torch.Tensor], heads: int, options: dict[str, Any]) -> torch.Tensor:
    """Attend among the pixels of one row in all views. triple: queries, keys and values (G, V, H, W, C)."""
    groups, views = triple[0].shape[:2]
    rows = [item.transpose(1, 2).flatten(2, 3).flatten(0, 1) for item in triple]
    attended = optimized_attention(*rows, heads, transformer_options=options)
    return attended.unflatten(0, (groups, -1)).unflatten(2, (views, -1)).transpose(1, 2)


def _turn(grid: torch.Tensor) -> torch.Tensor:
    """Mirror the first view (the front) horizontally, then swap rows and columns: (G, V, H, W, C)."""
    return torch.cat((grid[:, :1].flip(3), grid[:, 1:]), dim=1).transpose(2, 3)


def _turn_back(grid: torch.Tensor) -> torch.Tensor:
    """The inverse of _turn."""
    upright = grid.transpose(2, 3)
    return torch.cat((upright[:, :1].flip(3), upright[:, 1:]), dim=1)
