"""The network: points on a surface in; joints, their rotations to the T-pose, or skin weights out.

Z. Guo et al., "Make-It-Animatable", CVPR 2025, on the point transformer of B. Zhang et al.,
"3DShape2VecSet", SIGGRAPH 2023. Module names match the published files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch.nn.functional import gelu, scaled_dot_product_attention

from ...pipeline.progress import Progress, ignore_progress, span_progress
from ..layers import manual_cast
from ..surface_points import pick_farthest
from .joints import NAMES
from .tree import TreeDecoder

Weights = Mapping[str, torch.Tensor]

LATENTS = 512
_HEAD_WIDTH = 64
_EMBEDDING_TIME = 0.3
"""Fraction of encode's time that embedding the points takes."""
_CHUNK = 8192
"""Points or vertices processed at once: fits a small card, and takes a fraction of a second on a CPU."""


class PointCloud(NamedTuple):
    """Points on a surface in the model's frame.

    positions, normals: (N, 3). around_hands: how many of the last points were sampled around the hands.
    """

    positions: torch.Tensor
    normals: torch.Tensor
    around_hands: int


class PointEmbedding(torch.nn.Module):
    """A linear layer on coordinates and their sines and cosines at doubling frequencies."""

    def __init__(self, weights: Weights, name: str, points: int = 1) -> None:
        super().__init__()
        out, inputs = weights[f"{name}.mlp.weight"].shape
        self.bands = (inputs // points - 3) // 6
        self.mlp = manual_cast.Linear(inputs, out)

    def forward(self, coordinates: torch.Tensor) -> torch.Tensor:
        """(N, 3 * points) -> (N, C)."""
        points = coordinates.reshape(len(coordinates), -1, 3)
        frequencies = math.pi * 2.0 ** torch.arange(self.bands, device=points.device)
        waves = (points[..., None] * frequencies).flatten(2)
        embedded: torch.Tensor = self.mlp(torch.cat((waves.sin(), waves.cos(), points), dim=2).flatten(1))
        return embedded


class Attention(torch.nn.Module):
    """Multi-head attention to a context, which may be the input itself."""

    def __init__(self, weights: Weights, name: str, heads: int) -> None:
        super().__init__()
        inner, width = weights[f"{name}.to_q.weight"].shape
        self.heads = heads
        self.to_q = manual_cast.Linear(width, inner, bias=False)
        self.to_kv = manual_cast.Linear(width, 2 * inner, bias=False)
        self.to_out = manual_cast.Linear(inner, width)

    def forward(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """(N, C), (M, C) -> (N, C), with any leading dimensions."""
        parts = (self.to_q(x), *self.to_kv(context).chunk(2, dim=-1))
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(-2, -3) for part in parts)
        attended = scaled_dot_product_attention(query, key, value)
        out: torch.Tensor = self.to_out(attended.transpose(-2, -3).flatten(-2))
        return out


class _FeedForward(torch.nn.Module):
    """Two linear layers, the first of them gated."""

    def __init__(self, weights: Weights, name: str) -> None:
        super().__init__()
        doubled, width = weights[f"{name}.net.0.weight"].shape
        inner, outer = manual_cast.Linear(width, doubled), manual_cast.Linear(doubled // 2, width)
        self.net = torch.nn.ModuleDict({"0": inner, "2": outer})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value, gate = self.net["0"](x).chunk(2, dim=-1)
        out: torch.Tensor = self.net["2"](value * gelu(gate))
        return out


class _Block(torch.nn.Module):
    """Attention or a feed-forward layer on the normed input; a context has a norm of its own."""

    def __init__(self, weights: Weights, name: str, heads: int | None) -> None:
        super().__init__()
        width = weights[f"{name}.norm.weight"].shape[0]
        self.norm = manual_cast.LayerNorm(width)
        has_context = f"{name}.norm_context.weight" in weights
        self.norm_context = manual_cast.LayerNorm(width) if has_context else None
        inner = f"{name}.fn"
        self.fn = _FeedForward(weights, inner) if heads is None else Attention(weights, inner, heads)

    def forward(self, x: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        normed = self.norm(x)
        if context is not None and self.norm_context is not None:
            return self.fn(normed, self.norm_context(context))
        return self.fn(normed, normed) if isinstance(self.fn, Attention) else self.fn(normed)


class _Base(torch.nn.Module):
    """The point transformer without its output layer. Attention between different sets has one head."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        heads = weights["base.layers.0.0.fn.to_q.weight"].shape[0] // _HEAD_WIDTH
        self.point_embed = PointEmbedding(weights, "base.point_embed")
        blocks = "base.cross_attend_blocks"
        self.cross_attend_blocks = torch.nn.ModuleList(
            (_Block(weights, f"{blocks}.0", 1), _Block(weights, f"{blocks}.1", None))
        )
        self.layers = torch.nn.ModuleList()
        while f"base.layers.{len(self.layers)}.0.norm.weight" in weights:
            name = f"base.layers.{len(self.layers)}"
            pair = (_Block(weights, f"{name}.0", heads), _Block(weights, f"{name}.1", None))
            self.layers.append(torch.nn.ModuleList(pair))
        self.decoder_cross_attn = _Block(weights, "base.decoder_cross_attn", 1)


class _NormalAttention(torch.nn.Module):
    """Each point attends to itself and to its normal."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        width = weights["input_attn.norm.weight"].shape[0]
        self.norm, self.norm_context = manual_cast.LayerNorm(width), manual_cast.LayerNorm(width)
        heads = weights["input_attn.attn.to_q.weight"].shape[0] // _HEAD_WIDTH
        self.attn = Attention(weights, "input_attn.attn", heads)

    def forward(self, points: torch.Tensor, normals: torch.Tensor) -> torch.Tensor:
        pair = torch.stack((points, normals), dim=1)
        return points + self.attn(self.norm(points)[:, None], self.norm_context(pair))[:, 0]


class PointModel(torch.nn.Module):
    """One of the five models, with sizes and outputs read from its weights.

    KeyError with the first missing key.
    """

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.base = _Base(weights)
        width = weights["base.decoder_cross_attn.norm.weight"].shape[0]
        self.has_normals = "normal_embed.mlp.weight" in weights
        if self.has_normals:
            self.normal_embed = PointEmbedding(weights, "normal_embed")
            self.input_attn = _NormalAttention(weights)
        if "bw_head.weight" in weights:
            self.bw_head = manual_cast.Linear(width, len(NAMES))
        for name in ("joints_embed", "pose_embed"):
            if name in weights:
                self.register_parameter(name, torch.nn.Parameter(torch.empty(1, len(NAMES), width)))
        if "joints_head.weight" in weights:
            self.joints_head: torch.nn.Module = manual_cast.Linear(width, 6)
        elif "joints_embed" in weights:
            encoder = PointEmbedding(weights, "joints_head.encoder", points=2)
            self.joints_head = TreeDecoder(weights, "joints_head", encoder, is_axes=False)
        if "pose_embed" in weights:
            self.joints_embedder = PointEmbedding(weights, "joints_embedder", points=2)
            encoder = manual_cast.Linear(6, width)
            self.pose_head = TreeDecoder(weights, "pose_head", encoder, is_axes=True)

    def encode(self, cloud: PointCloud, progress: Progress = ignore_progress) -> torch.Tensor:
        """Encode the shape as tokens (LATENTS, C), one for each of the points spread over the cloud."""
        progress(0.0)
        chosen = _spread(cloud)
        x = self._embed(cloud.positions[chosen], cloud.normals[chosen])
        attend, feed = self.base.cross_attend_blocks
        x = attend(x, self._embed_all(cloud, span_progress(progress, 0, _EMBEDDING_TIME))) + x
        x = feed(x) + x
        progress = span_progress(progress, _EMBEDDING_TIME, 1)
        for number, (attend, feed) in enumerate(self.base.layers):  # type: ignore[misc]
            progress(number / len(self.base.layers))
            x = attend(x) + x
            x = feed(x) + x
        progress(1.0)
        return x

    def predict_weights(
        self,
        latents: torch.Tensor,
        positions: torch.Tensor,
        normals: torch.Tensor,
        progress: Progress = ignore_progress,
    ) -> torch.Tensor:
        """Skin weights (V, 52) of points (V, 3) with normals (V, 3); rows sum to 1."""
        parts = []
        for start in range(0, len(positions), _CHUNK):
            progress(start / len(positions))
            some = slice(start, start + _CHUNK)
            decoded = self._decode(latents, self._embed(positions[some], normals[some]))
            parts.append(self.bw_head(decoded).softmax(dim=-1))
        progress(1.0)
        return torch.cat(parts)

    def predict_joints(self, latents: torch.Tensor) -> torch.Tensor:
        """Both ends of each joint's bone, (52, 6): the joint itself, then the far end."""
        joints: torch.Tensor = self.joints_head(self._decode(latents, self._read("joints_embed", latents)))
        return joints

    def predict_turns(self, latents: torch.Tensor, joints: torch.Tensor) -> torch.Tensor:
        """Rotations (52, 6) to the T-pose of predict_joints' joints: two axes each, see axes_to_matrices."""
        queries = self._read("pose_embed", latents) + self.joints_embedder(joints)
        turns: torch.Tensor = self.pose_head(self._decode(latents, queries))
        return turns

    def _read(self, name: str, like: torch.Tensor) -> torch.Tensor:
        """Read a parameter; ComfyUI does not move these when it offloads parts of a model."""
        parameter: torch.Tensor = getattr(self, name)[0]
        return parameter.to(like)

    def _embed(self, positions: torch.Tensor, normals: torch.Tensor) -> torch.Tensor:
        embedded: torch.Tensor = self.base.point_embed(positions)
        return self.input_attn(embedded, self.normal_embed(normals)) if self.has_normals else embedded

    def _embed_all(self, cloud: PointCloud, progress: Progress) -> torch.Tensor:
        parts = []
        for start in range(0, len(cloud.positions), _CHUNK):
            progress(start / len(cloud.positions))
            some = slice(start, start + _CHUNK)
            parts.append(self._embed(cloud.positions[some], cloud.normals[some]))
        return torch.cat(parts)

    def _decode(self, latents: torch.Tensor, queries: torch.Tensor) -> torch.Tensor:
        decoded: torch.Tensor = self.base.decoder_cross_attn(queries, latents)
        return decoded


def _spread(cloud: PointCloud) -> torch.Tensor:
    """Indices of LATENTS points far from each other; half of them are around the hands, if any point is."""
    body = len(cloud.positions) - cloud.around_hands
    if not cloud.around_hands:
        return pick_farthest(cloud.positions, LATENTS)
    on_body = pick_farthest(cloud.positions[:body], LATENTS // 2)
    return torch.cat((on_body, body + pick_farthest(cloud.positions[body:], LATENTS - LATENTS // 2)))
