"""The adapter's file: found among ComfyUI's models, checked, and built as a module ComfyUI can move."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import comfy.model_management
import comfy.model_patcher
import comfy.utils
import torch

from ...pipeline.errors import WeightsError
from ...pipeline.weights import VIEW_ADAPTER_FOLDERS, describe_view_adapters, list_view_adapters
from ..weight_files import WeightsFile, find_file, list_files, read_weights
from .attention import ViewAttention
from .condition import ConditionEncoder

Weights = Mapping[str, torch.Tensor]
Place = tuple[str, int, int]
"""Where ComfyUI has a transformer block: "input", "middle" or "output", block number, index in the block."""


class Block(NamedTuple):
    """A transformer block: diffusers' name, ComfyUI's place, and the width of its self-attention."""

    name: str
    place: Place
    width: int


class _Base(NamedTuple):
    """What an adapter is built for: the kind of model and its blocks, and the precision it computes in."""

    kind: str
    blocks: tuple[Block, ...]
    dtype: torch.dtype


_QUERY = ".attn1.to_q.weight"
_BRANCH = ".attn1.processor."
_ENCODER = "adapter."
_PROJECTION = re.compile(r"^(to_\w+)_(mv|ref)(?:\.0)?\.")
"""Theirs is to_out_mv.0.weight, ours mv.to_out.weight."""
_NAMED = 3


class ViewAdapter(torch.nn.Module):
    """attention: by place (join_place), the branches of each block. condition: the maps' encoder."""

    def __init__(self, weights: Weights, places: Mapping[str, Place], dtype: torch.dtype) -> None:
        super().__init__()
        encoder = {
            key.removeprefix(_ENCODER): value for key, value in weights.items() if key.startswith(_ENCODER)
        }
        self.condition = ConditionEncoder(encoder, dtype)
        self.attention = torch.nn.ModuleDict()
        for prefix, place in places.items():
            width = weights[f"{prefix}{_BRANCH}to_q_mv.weight"].shape[0]
            self.attention[join_place(place)] = ViewAttention(width, dtype)

    def at(self, place: Place) -> ViewAttention:
        """The branches of the block at `place`."""
        branch = self.attention[join_place(place)]
        assert isinstance(branch, ViewAttention)
        return branch


def join_place(place: Place) -> str:
    """A place as a module's name."""
    return "_".join(map(str, place))


def list_installed_adapters() -> list[str]:
    """Names of the adapters on disk, best first. Scans folders, which ComfyUI caches."""
    return list_view_adapters(list_files(VIEW_ADAPTER_FOLDERS))


def load_adapter(name: str, model: Any) -> Any:
    """Load an adapter by its name in ComfyUI's folders, or `auto`: a ModelPatcher of ViewAdapter for a MODEL.

    The one used last is kept. WeightsError: missing, damaged, of another kind, or made for another base
    model than `model`; says what was found and what was expected.
    """
    installed = list_installed_adapters()
    name = next(iter(installed), name) if name == "auto" else name
    if name not in installed:
        folders = " or ".join(f"models/{folder}" for folder in VIEW_ADAPTER_FOLDERS)
        raise WeightsError(
            f"no view adapter {'' if name == 'auto' else name + ' '}in {folders}; found "
            f"{', '.join(installed) or 'none'}. Nothing is downloaded by itself. Put one of these there:\n"
            f"{describe_view_adapters()}"
        )
    base = _Base(
        type(model.model.model_config).__name__,
        tuple(list_blocks(model)),
        model.model.manual_cast_dtype or model.model.get_dtype(),
    )
    return _load_file(find_file(VIEW_ADAPTER_FOLDERS, name), base)


@functools.lru_cache(maxsize=1)
def _load_file(file: WeightsFile, base: _Base) -> Any:
    weights = read_weights(file.path, file.name)
    places = _match_blocks(file.name, weights, base)
    try:
        adapter = ViewAdapter(weights, places, base.dtype)
        adapter.load_state_dict(_rename_keys(weights, places))
    except (RuntimeError, KeyError) as error:  # torch's word for missing keys and tensors of the wrong shape
        raise WeightsError(f"{file.name} is damaged, or no IG2MV adapter: {str(error)[:300]}") from error
    management = comfy.model_management
    return comfy.model_patcher.ModelPatcher(
        adapter.eval().requires_grad_(False),
        load_device=management.get_torch_device(),
        offload_device=management.unet_offload_device(),
    )


def _rename_keys(weights: Weights, places: Mapping[str, Place]) -> dict[str, torch.Tensor]:
    renamed = {}
    for key, value in weights.items():
        prefix, _, rest = key.partition(_BRANCH)
        if rest:
            name = _PROJECTION.sub(r"\2.\1.", rest)
            renamed[f"attention.{join_place(places[prefix])}.{name}"] = value
        elif key.startswith(_ENCODER):
            renamed[f"condition.{key.removeprefix(_ENCODER)}"] = value
    return renamed


def _match_blocks(name: str, weights: Weights, base: _Base) -> dict[str, Place]:
    """Where each block of the adapter is in the model, by the name that diffusers gives the block.

    WeightsError when the model does not have exactly the blocks that the adapter was made for.
    """
    ours = {
        key.partition(_BRANCH)[0]: value.shape[1]
        for key, value in weights.items()
        if key.endswith(f"{_BRANCH}to_q_mv.weight")
    }
    if not ours or f"{_ENCODER}conv_in.weight" not in weights:
        found = ", ".join(sorted(weights)[:_NAMED])
        raise WeightsError(
            f"{name} is no MV-Adapter IG2MV file: expected keys such as "
            f"mid_block.attentions.0.transformer_blocks.0{_BRANCH}to_q_mv.weight and "
            f"{_ENCODER}conv_in.weight; found {len(weights)} keys, such as {found}"
        )
    if {block.name: block.width for block in base.blocks} != ours:
        raise WeightsError(
            f"{name} was made for an SDXL checkpoint ({_describe(ours.values())}); the model given is "
            f"{base.kind} ({_describe(block.width for block in base.blocks)}). Choose an SDXL checkpoint."
        )
    return {block.name: block.place for block in base.blocks}


def list_blocks(model: Any) -> list[Block]:
    """The transformer blocks of a UNet; none for other models."""
    blocks = []
    parameters = dict(model.model.diffusion_model.named_parameters())
    for theirs, ours in comfy.utils.unet_to_diffusers(model.model.model_config.unet_config).items():
        if theirs.endswith(_QUERY):
            width = int(parameters[ours].shape[1])
            blocks.append(Block(theirs.removesuffix(_QUERY), _split_name(ours), width))
    return blocks


def _split_name(name: str) -> Place:
    """ComfyUI's name of a weight of a transformer block -> the block's place."""
    if name.startswith("middle_block"):
        return "middle", 0, int(name.split(".")[3])
    kind, number, index = re.match(r"(\w+)_blocks\.(\d+)\.\d+\.transformer_blocks\.(\d+)", name).groups()  # type: ignore[union-attr]
    return kind, int(number), int(index)


def _describe(widths: Any) -> str:
    every = list(widths)
    if not every:
        return "no UNet with transformer blocks"
    return f"{len(every)} self-attention blocks of width {', '.join(map(str, sorted(set(every))))}"
