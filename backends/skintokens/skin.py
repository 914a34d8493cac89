"""The encoder and the decoder of skin: codes and the shape in, how strongly a joint moves each point out.

The codes are those of F. Mentzer et al., "Finite Scalar Quantization: VQ-VAE Made Simple", ICLR 2024.
"""

from __future__ import annotations

import torch

from ...pipeline.progress import Progress, ignore_progress
from ..layers import manual_cast
from .blocks import POINT_WIDTH, Block, embed_points_twice
from .shape import choose_points
from .tokens import LEVELS

CONDITION_WORDS = 384
ENCODER_DEPTH = 2
_CHUNK = 8192
"""Points decoded at once: fits a small card, and takes a fraction of a second on a CPU."""


class SkinDecoder(torch.nn.Module):
    """width: of its blocks. code: of what codes and the shape are said in."""

    def __init__(self, width: int, depth: int, code: int) -> None:
        super().__init__()
        self.embed = manual_cast.Linear(POINT_WIDTH, width)
        self.look = Block(width, has_context=True)
        self.blocks = torch.nn.ModuleList(Block(width) for _ in range(ENCODER_DEPTH))
        self.norm = manual_cast.LayerNorm(width)
        self.narrow = manual_cast.Linear(width, code)
        self.read_code = manual_cast.Linear(len(LEVELS), code)
        self.widen = manual_cast.Linear(code, width)
        self.decode_blocks = torch.nn.ModuleList(Block(width) for _ in range(depth))
        self.embed_queries = manual_cast.Linear(POINT_WIDTH, width)
        self.ask = Block(width, has_context=True)
        self.norm_out = manual_cast.LayerNorm(width)
        self.out = manual_cast.Linear(width, 1)

    def encode_shape(self, points: torch.Tensor, seed: int) -> torch.Tensor:
        """Points with normals (N, 6) -> (CONDITION_WORDS, code), of points that `seed` chooses."""
        chosen = choose_points(points, CONDITION_WORDS, seed)
        embedded = self.embed(embed_points_twice(points).to(self.embed.weight.dtype))
        x = self.look(embedded[chosen], embedded)
        for block in self.blocks:
            x = block(x)
        encoded: torch.Tensor = self.narrow(self.norm(x))
        return encoded

    def decode(
        self,
        codes: torch.Tensor,
        shape: torch.Tensor,
        points: torch.Tensor,
        progress: Progress = ignore_progress,
    ) -> torch.Tensor:
        """Weights (N, J), 0 to 1, of points with normals (N, 6).

        codes: (J, CODES_PER_JOINT) numbers. shape: of encode_shape. The weights of a point need not sum to 1.
        """
        progress(0.0)
        dtype = self.embed_queries.weight.dtype
        queries = self.embed_queries(embed_points_twice(points).to(dtype))
        columns = []
        for joint, code in enumerate(codes):
            said = self._read(code, shape)
            parts = []
            for start in range(0, len(queries), _CHUNK):
                progress((joint + start / len(queries)) / len(codes))
                asked = self.norm_out(self.ask(queries[start : start + _CHUNK], said))
                parts.append(self.out(asked).sigmoid().float())
            columns.append(torch.cat(parts))
        progress(1.0)
        return torch.cat(columns, dim=1)

    def _read(self, code: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
        """What a joint's codes (n,) say of the shape: (n + CONDITION_WORDS, C)."""
        x = self.widen(torch.cat((self.read_code(list_values(code).to(shape)), shape)))
        for block in self.decode_blocks:
            x = block(x)
        return x


def list_values(codes: torch.Tensor) -> torch.Tensor:
    """Numbers of codes (K,) -> their values (K, 5), -1 to 1; numbers outside the table wrap around."""
    levels = torch.tensor(LEVELS, device=codes.device)
    steps = torch.cumprod(torch.tensor((1, *LEVELS[:-1]), device=codes.device), dim=0)
    half = levels // 2
    return ((codes[:, None] // steps) % levels - half) / half
