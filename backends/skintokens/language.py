"""The language model that says a rig: a decoder of A. Yang et al., "Qwen3 Technical Report", 2025.

Module names match the published file's below `transformer.model`.
"""

from __future__ import annotations

import comfy.ops
import torch
from torch.nn.functional import linear, scaled_dot_product_attention, silu

from ...pipeline.progress import Progress, ignore_progress
from ..layers import manual_cast

_BASE = 1_000_000.0
"""Of the wave lengths that tell positions apart."""
_EPSILON = 1e-6

Memory = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values (sentences, heads, words, head width) of each layer."""


class _Attention(torch.nn.Module):
    def __init__(self, hidden: int, heads: int, shared_heads: int, head: int) -> None:
        super().__init__()
        self.head = head
        self.q_proj = manual_cast.Linear(hidden, heads * head, bias=False)
        self.k_proj = manual_cast.Linear(hidden, shared_heads * head, bias=False)
        self.v_proj = manual_cast.Linear(hidden, shared_heads * head, bias=False)
        self.o_proj = manual_cast.Linear(heads * head, hidden, bias=False)
        self.q_norm = manual_cast.RMSNorm(head, eps=_EPSILON)
        self.k_norm = manual_cast.RMSNorm(head, eps=_EPSILON)

    def forward(
        self, x: torch.Tensor, waves: tuple[torch.Tensor, torch.Tensor], memory: Memory, layer: int
    ) -> torch.Tensor:
        query = _turn(self.q_norm(self._split(self.q_proj(x))), waves)
        key = _turn(self.k_norm(self._split(self.k_proj(x))), waves)
        value = self._split(self.v_proj(x))
        is_first = layer == len(memory)
        if is_first:
            memory.append((key, value))
        else:
            before = memory[layer]
            key, value = torch.cat((before[0], key), dim=2), torch.cat((before[1], value), dim=2)
            memory[layer] = key, value
        sharing = query.shape[1] // key.shape[1]
        keys, values = (part.repeat_interleave(sharing, dim=1) for part in (key, value))
        attended = scaled_dot_product_attention(query, keys, values, is_causal=is_first)
        out: torch.Tensor = self.o_proj(attended.transpose(1, 2).flatten(2))
        return out

    def _split(self, together: torch.Tensor) -> torch.Tensor:
        return together.unflatten(-1, (-1, self.head)).transpose(1, 2)


class _FeedForward(torch.nn.Module):
    def __init__(self, hidden: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = manual_cast.Linear(hidden, inner, bias=False)
        self.up_proj = manual_cast.Linear(hidden, inner, bias=False)
        self.down_proj = manual_cast.Linear(inner, hidden, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.down_proj(silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class _Layer(torch.nn.Module):
    def __init__(self, hidden: int, heads: int, shared_heads: int, head: int, inner: int) -> None:
        super().__init__()
        self.input_layernorm = manual_cast.RMSNorm(hidden, eps=_EPSILON)
        self.self_attn = _Attention(hidden, heads, shared_heads, head)
        self.post_attention_layernorm = manual_cast.RMSNorm(hidden, eps=_EPSILON)
        self.mlp = _FeedForward(hidden, inner)

    def forward(
        self, x: torch.Tensor, waves: tuple[torch.Tensor, torch.Tensor], memory: Memory, layer: int
    ) -> torch.Tensor:
        x = x + self.self_attn(self.input_layernorm(x), waves, memory, layer)
        out: torch.Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class LanguageModel(torch.nn.Module):
    """The words of its vocabulary are embedded and scored with the same table."""

    def __init__(
        self,
        *,
        vocabulary: int,
        hidden: int,
        layers: int,
        heads: int,
        shared_heads: int,
        head: int,
        inner: int,
    ) -> None:
        super().__init__()
        self.head = head
        self.embed_tokens = manual_cast.Embedding(vocabulary, hidden)
        self.layers = torch.nn.ModuleList(
            _Layer(hidden, heads, shared_heads, head, inner) for _ in range(layers)
        )
        self.norm = manual_cast.RMSNorm(hidden, eps=_EPSILON)

    def embed(self, words: torch.Tensor) -> torch.Tensor:
        """Words (sentences, n) -> (sentences, n, hidden)."""
        embedded: torch.Tensor = self.embed_tokens(words, out_dtype=self.embed_tokens.weight.dtype)
        return embedded

    def forward(self, x: torch.Tensor, memory: Memory, progress: Progress = ignore_progress) -> torch.Tensor:
        """Understand embedded words (sentences, n, hidden), in the same shape.

        memory: of the words before, empty at first; the new words are added to it.
        """
        said = memory[0][0].shape[2] if memory else 0
        waves = _list_waves(said, x.shape[1], self.head, x)
        for number, layer in enumerate(self.layers):
            progress(number / len(self.layers))
            x = layer(x, waves, memory, number)
        progress(1.0)
        understood: torch.Tensor = self.norm(x)
        return understood

    def score(self, understood: torch.Tensor) -> torch.Tensor:
        """Score each word as the next one: (..., hidden) -> (..., vocabulary)."""
        table, _ = comfy.ops.cast_bias_weight(self.embed_tokens, understood)
        return linear(understood, table)


def _list_waves(first: int, count: int, head: int, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines (count, head) of positions; the network was trained with bfloat16's wave numbers."""
    numbers = torch.arange(0, head, 2, dtype=torch.float32) / head
    wave_numbers = (1.0 / _BASE**numbers).bfloat16().float()
    angles = torch.arange(first, first + count, dtype=torch.float32)[:, None] * wave_numbers
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos().to(like), angles.sin().to(like)


def _turn(x: torch.Tensor, waves: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Turn pairs of numbers by the angle of their word's position; the halves of a head make the pairs."""
    cosines, sines = waves
    first, second = x.chunk(2, dim=-1)
    return x * cosines + torch.cat((-second, first), dim=-1) * sines


def choose_sentences(memory: Memory, chosen: torch.Tensor) -> None:
    """Keep the memory of the sentences (n,) that go on, in place; one may go on in several ways."""
    for layer, (key, value) in enumerate(memory):
        memory[layer] = key[chosen], value[chosen]
