"""Checks that a Hunyuan3D file is whole, which ComfyUI's own loading, built for any size, does not."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

from ...pipeline.errors import WeightsError
from ..tensor_checks import quote_keys, refuse_scaled, require_finite

_BLOCK = re.compile(r"(.*?(?:blocks|layer)\.)(\d+)\.")
_PUBLISHED: tuple[tuple[str, int, tuple[dict[str, int], ...]], ...] = (
    ("latent_in.weight", 1024, ({"double_blocks.": 8, "single_blocks.": 16},
                                {"double_blocks.": 16, "single_blocks.": 32})),
    ("x_embedder.weight", 2048, ({"blocks.": 21},)),
    ("model.layernorm.weight", 1536, ({"model.encoder.layer.": 40},)),
    ("post_kl.weight", 1024, ({"transformer.resblocks.": 16},)),
)  # fmt: skip
"""A tensor, its rows, and the blocks beside it: diffusion models of 2mini, 2.0 and 2.1, the image encoder of
2.0 (DINOv2 giant), and all shape decoders."""


def check_whole(name: str, tensors: Mapping[str, torch.Tensor]) -> None:
    """Raise WeightsError that names tensors of file `name` that are no numbers, and blocks that are missing.

    Unscaled 8-bit floats are computed with as they are, as ComfyUI does. What is missing after the last block
    of a kind is seen in networks of the published widths alone: others may be meant to be that deep.
    """
    refuse_scaled(name, tensors)
    for key, tensor in tensors.items():
        if not tensor.is_floating_point():
            kind = str(tensor.dtype).removeprefix("torch.")
            raise WeightsError(f"{name}: {key} is {kind}; expected floating-point numbers")
        require_finite(name, key, tensor)
    if missing := _list_gaps(tensors):
        raise WeightsError(f"{name} is damaged: it has no {quote_keys(missing)}")


def _list_gaps(tensors: Mapping[str, torch.Tensor]) -> list[str]:
    """Blocks below the highest number of their kind, or the published depth, that no tensor belongs to."""
    numbers: dict[str, set[int]] = {}
    for key in tensors:
        if match := _BLOCK.match(key):
            numbers.setdefault(match[1], set()).add(int(match[2]))
    found = {start: max(own) + 1 for start, own in numbers.items()}
    depths = found | _find_published(tensors, found)
    return [
        f"{start}{number}"
        for start, depth in depths.items()
        for number in range(depth)
        if number not in numbers.get(start, ())
    ]


def _find_published(tensors: Mapping[str, torch.Tensor], found: Mapping[str, int]) -> dict[str, int]:
    """Depths of the published networks of these widths: of several, the least deep with all its blocks."""
    depths: dict[str, int] = {}
    for ending, width, models in _PUBLISHED:
        for key in [key for key in tensors if key.endswith(ending) and tensors[key].shape[:1] == (width,)]:
            start = key.removesuffix(ending)
            named = [{start + block: depth for block, depth in model.items()} for model in models]
            deep = (one for one in named if all(found.get(block, 0) <= depth for block, depth in one.items()))
            depths |= next(deep, {})
    return depths
