"""Reading a Hunyuan3D file and splitting it into the weights of its three models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...pipeline.errors import WeightsError
from ..weight_files import read_weights
from .whole import check_whole

Weights = dict[str, torch.Tensor]

_PREFIXES: Mapping[str, tuple[str, ...]] = {
    "diffusion model": ("model.diffusion_model.", "model.model.", "model."),
    "image encoder": ("conditioner.main_image_encoder.model.",),
    "shape decoder": ("vae.",),
}
_IDENTIFYING_KEYS: Mapping[str, tuple[str, ...]] = {
    "diffusion model": ("latent_in.weight", "t_embedder.mlp.2.weight"),
    "image encoder": ("embeddings.position_embeddings",),
    "shape decoder": ("geo_decoder.cross_attn_decoder.ln_1.bias",),
}
"""Keys that identify each part: in 2.0 and its variants, or in 2.1."""
_EXAMPLES = 3
"""How many keys an error message quotes."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The weights of one file by part, with the prefixes removed."""

    name: str
    diffusion_model: Weights
    image_encoder: Weights
    shape_decoder: Weights


def read_checkpoint(path: Path, name: str) -> Checkpoint:
    """Read a single-file Hunyuan3D model in Tencent's, Kijai's or Comfy-Org's layout.

    Either safetensors with the prefixes `model.`, `conditioner.` and `vae.`, or a pickle (weights only) with
    one dictionary for each. WeightsError if the file is damaged or of another kind, with what was expected
    and found.
    """
    weights = dict(_flatten(read_weights(path, name)))
    parts = {part: _extract_part(weights, part) for part in _PREFIXES}
    absent = [part for part, keys in parts.items() if not keys]
    if absent:
        raise WeightsError(
            f"{name} is not a complete Hunyuan3D model: it has no {' and no '.join(absent)}. Expected the "
            f"single file with {_list_expected()}; found {_list_found(weights)}"
        )
    check_whole(name, weights)
    return Checkpoint(name, parts["diffusion model"], parts["image encoder"], parts["shape decoder"])


def _flatten(raw: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    for key, value in raw.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        elif torch.is_tensor(value):
            yield prefix + key, value


def _extract_part(weights: Mapping[str, torch.Tensor], part: str) -> Weights:
    """The weights under the first of the part's prefixes that has one of its identifying keys."""
    for prefix in _PREFIXES[part]:
        if any(prefix + key in weights for key in _IDENTIFYING_KEYS[part]):
            return {key[len(prefix) :]: value for key, value in weights.items() if key.startswith(prefix)}
    return {}


def _list_expected() -> str:
    return ", ".join(_PREFIXES[part][-1] + " or ".join(_IDENTIFYING_KEYS[part]) for part in _PREFIXES)


def _list_found(weights: Mapping[str, torch.Tensor]) -> str:
    if not weights:
        return "no tensors"
    return f"{len(weights)} other keys, such as {', '.join(sorted(weights)[:_EXAMPLES])}"


def require_keys(name: str, part: str, expected: Iterable[str], given: Iterable[str]) -> None:
    """Raise WeightsError if keys of a part are missing."""
    wanted = set(expected)
    missing = sorted(wanted - set(given))
    if missing:
        named = ", ".join(_PREFIXES[part][-1] + key for key in missing[:_EXAMPLES])
        raise WeightsError(
            f"{name} is damaged: of the {len(wanted)} expected keys of its {part} {len(missing)} are "
            f"missing, among them {named}"
        )
