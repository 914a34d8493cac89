"""Decoding along the tree of joints: each joint is conditioned on its parent's output."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn.functional import normalize, scaled_dot_product_attention

from ..layers import manual_cast
from .joints import PARENTS, list_levels, mark_ancestors

_HEADS = 8


class _SelfAttention(torch.nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.in_proj = manual_cast.Linear(width, 3 * width)
        self.out_proj = manual_cast.Linear(width, width)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        parts = self.in_proj(x).chunk(3, dim=-1)
        query, key, value = (part.unflatten(-1, (_HEADS, -1)).transpose(0, 1) for part in parts)
        attended = scaled_dot_product_attention(query, key, value, attn_mask=mask)
        out: torch.Tensor = self.out_proj(attended.transpose(0, 1).flatten(-2))
        return out


class _Layer(torch.nn.Module):
    """A pre-norm transformer layer, as in torch."""

    def __init__(self, weights: Mapping[str, torch.Tensor], name: str) -> None:
        super().__init__()
        inner, width = weights[f"{name}.linear1.weight"].shape
        self.self_attn = _SelfAttention(width)
        self.linear1, self.linear2 = manual_cast.Linear(width, inner), manual_cast.Linear(inner, width)
        self.norm1, self.norm2 = manual_cast.LayerNorm(width), manual_cast.LayerNorm(width)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = x + self.self_attn(self.norm1(x), mask)
        out: torch.Tensor = x + self.linear2(torch.relu(self.linear1(self.norm2(x))))
        return out


class TreeDecoder(torch.nn.Module):
    """Decodes features of the joints (52, C) to six numbers each, (52, 6), level by level from Hips.

    A joint attends to itself and its ancestors, and is given its parent's output through `encoder`: both ends
    of the parent's bone, or two axes, which are orthonormalized first.
    """

    def __init__(
        self, weights: Mapping[str, torch.Tensor], name: str, encoder: torch.nn.Module, *, is_axes: bool
    ) -> None:
        super().__init__()
        self.encoder, self.is_axes = encoder, is_axes
        self.layers = torch.nn.ModuleList()
        while f"{name}.layers.{len(self.layers)}.linear1.weight" in weights:
            self.layers.append(_Layer(weights, f"{name}.layers.{len(self.layers)}"))
        width = weights[f"{name}.layers.0.norm1.weight"].shape[0]
        self.decoder = manual_cast.Linear(width, weights[f"{name}.decoder.weight"].shape[0])

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(52, C) -> (52, 6)."""
        mask = torch.from_numpy(mark_ancestors()).to(features.device)
        parents = torch.tensor(PARENTS, device=features.device)
        out = features.new_zeros((len(PARENTS), self.decoder.out_features))
        for level in list_levels():
            decided = orthonormalize_axes(out) if self.is_axes else out
            x = features + self.encoder(decided)[parents] * (parents >= 0)[:, None]
            for layer in self.layers:
                x = layer(x, mask)
            joints = torch.from_numpy(np.asarray(level)).to(features.device)
            out[joints] = self.decoder(x[joints])
        return out


def orthonormalize_axes(axes: torch.Tensor) -> torch.Tensor:
    """Two vectors (..., 6) -> orthonormal vectors (..., 6), the first one's direction kept.

    Y. Zhou et al., "On the Continuity of Rotation Representations in Neural Networks", CVPR 2019. Zeros
    stay zeros.
    """
    return axes_to_matrices(axes)[..., :2].transpose(-1, -2).flatten(-2)


def axes_to_matrices(axes: torch.Tensor) -> torch.Tensor:
    """Two vectors (..., 6) -> rotation matrices (..., 3, 3) whose first column is along the first."""
    first = normalize(axes[..., :3], dim=-1)
    third = normalize(torch.linalg.cross(first, axes[..., 3:]), dim=-1)
    return torch.stack((first, torch.linalg.cross(third, first), third), dim=-1)
