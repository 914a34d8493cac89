"""The adapter's file: found among ComfyUI's models, checked, and built as a module ComfyUI can move."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.utils
import folder_paths
import torch

from ...pipeline.errors import WeightsError
from ...pipeline.weights import VIEW_ADAPTER_FOLDERS, describe_view_adapters, list_view_adapters
from .attention import ViewAttention
from .condition import ConditionEncoder

Weights = Mapping[str, torch.Tensor]
Place = tuple[str, int, int]
"""Where ComfyUI has a transformer block: "input", "middle" or "output", block number, index in the block."""

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
    known = [folder for folder in VIEW_ADAPTER_FOLDERS if folder in folder_paths.folder_names_and_paths]
    return list_view_adapters({name for folder in known for name in folder_paths.get_filename_list(folder)})


def load_adapter(name: str, model: Any) -> Any:
    """Load an adapter by its name in ComfyUI's folders, or `auto`: a ModelPatcher of ViewAdapter for a MODEL.

    The file read last is kept. WeightsError: missing, damaged, of another kind, or made for another base
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
    paths = (folder_paths.get_full_path(folder, name) for folder in VIEW_ADAPTER_FOLDERS)
    path = Path(next(path for path in paths if path))
    state = path.stat()
    weights = _read_weights(path, name, state.st_mtime_ns, state.st_size)
    return _build(name, weights, model)


@functools.lru_cache(maxsize=1)
def _read_weights(path: Path, name: str, _modified: int, _size: int) -> Weights:
    try:
        weights: Weights = comfy.utils.load_torch_file(str(path), safe_load=True)
    except Exception as error:  # whatever the readers of three formats raise on damaged bytes
        raise WeightsError(f"{name} cannot be read: {str(error).splitlines()[0]}") from error
    return weights


def _build(name: str, weights: Weights, model: Any) -> Any:
    places = _match_blocks(name, weights, model)
    dtype = model.model.manual_cast_dtype or model.model.get_dtype()
    try:
        adapter = ViewAdapter(weights, places, dtype)
        adapter.load_state_dict(_rename_keys(weights, places))
    except (RuntimeError, KeyError) as error:  # torch's word for missing keys and tensors of the wrong shape
        raise WeightsError(f"{name} is damaged, or no IG2MV adapter: {str(error)[:300]}") from error
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


def _match_blocks(name: str, weights: Weights, model: Any) -> dict[str, Place]:
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
    there = _list_blocks(model)
    if {key: width for key, (_, width) in there.items()} != ours:
        kind = type(model.model.model_config).__name__
        raise WeightsError(
            f"{name} was made for an SDXL checkpoint ({_describe(ours.values())}); the model given is {kind} "
            f"({_describe(width for _, width in there.values())}). Choose an SDXL checkpoint."
        )
    return {key: place for key, (place, _) in there.items()}


def _list_blocks(model: Any) -> dict[str, tuple[Place, int]]:
    """Place and width of each transformer block of a UNet, by diffusers' name; empty for other models."""
    blocks = {}
    parameters = dict(model.model.diffusion_model.named_parameters())
    for theirs, ours in comfy.utils.unet_to_diffusers(model.model.model_config.unet_config).items():
        if theirs.endswith(".attn1.to_q.weight"):
            kind, number, index = _split_name(ours)
            blocks[theirs.removesuffix(".attn1.to_q.weight")] = (
                (kind, number, index),
                int(parameters[ours].shape[1]),
            )
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
