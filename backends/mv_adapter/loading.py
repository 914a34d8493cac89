"""Loading the adapter: finding and checking its file, and building a module that ComfyUI can move."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import comfy.utils
import torch

from ...pipeline.errors import WeightsError
from ...pipeline.weights import VIEW_ADAPTER_FOLDERS, describe_view_adapters
from ..installed import list_installed_adapters
from ..model_memory import make_patcher, share_loaded
from ..tensor_checks import Shapes, check_tensors, find_usual, keep_tensors
from ..weight_files import WeightsFile, find_file, read_weights
from .attention import ViewAttention
from .condition import ConditionEncoder, list_encoder_shapes

Weights = Mapping[str, torch.Tensor]
Place = tuple[str, int, int]
"""Position of a transformer block in the UNet: "input", "middle" or "output", block number, index in it."""


class Block(NamedTuple):
    """A transformer block: diffusers' name, ComfyUI's place, and the width of its self-attention."""

    name: str
    place: Place
    width: int


class _Base(NamedTuple):
    """What an adapter is built for: the kind of base model, its blocks, and the precision it computes in."""

    kind: str
    blocks: tuple[Block, ...]
    dtype: torch.dtype


_QUERY = ".attn1.to_q.weight"
_BRANCH = ".attn1.processor."
_ENCODER = "adapter."
_PROJECTION = re.compile(r"^(to_\w+)_(mv|ref)(?:\.0)?\.")
"""In the file: to_out_mv.0.weight. In our module: mv.to_out.weight."""
_EXAMPLES = 3
"""How many keys an error message quotes."""


class ViewAdapter(torch.nn.Module):
    """attention: the branches of each block, keyed by place (join_place). condition: encoder of the maps."""

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
        """The attention branches of the block at `place`."""
        branch = self.attention[join_place(place)]
        assert isinstance(branch, ViewAttention)
        return branch


def join_place(place: Place) -> str:
    """Turn a place into a module name."""
    return "_".join(map(str, place))


def find_adapter(name: str = "auto") -> WeightsFile:
    """Find an adapter by its name in ComfyUI's folders; `auto` is the best one there.

    WeightsError if it is not installed; the message quotes the catalogue.
    """
    installed = list_installed_adapters()
    name = next(iter(installed), name) if name == "auto" else name
    if name not in installed:
        folders = " or ".join(f"models/{folder}" for folder in VIEW_ADAPTER_FOLDERS)
        raise WeightsError(
            f"no view adapter {'' if name == 'auto' else name + ' '}in {folders}; found "
            f"{', '.join(installed) or 'none'}. Nothing is downloaded automatically. Put one of these "
            "there:\n"
            f"{describe_view_adapters()}"
        )
    return find_file(VIEW_ADAPTER_FOLDERS, name)


def load_adapter(name: str, model: Any) -> Any:
    """Load an adapter for a MODEL, or return it if it is still in memory: a ModelPatcher of ViewAdapter.

    WeightsError if the adapter is missing, damaged, of another kind, or made for another base model; the
    message says what was expected and found.
    """
    base = _Base(
        type(model.model.model_config).__name__,
        tuple(list_blocks(model)),
        model.model.manual_cast_dtype or model.model.get_dtype(),
    )
    return _load_file(find_adapter(name), base)


@share_loaded
def _load_file(file: WeightsFile, base: _Base) -> Any:
    weights = keep_tensors(file.name, read_weights(file.path, file.name))
    places = _match_blocks(file.name, weights, base)
    check_tensors(file.name, weights, _list_shapes(weights, base.blocks))
    adapter = ViewAdapter(weights, places, base.dtype)
    adapter.load_state_dict(_rename_keys(weights, places))
    return make_patcher(adapter)


def _list_shapes(weights: Weights, blocks: Iterable[Block]) -> Shapes:
    """The shapes of all tensors of an adapter for these blocks, by their names in the file."""
    shapes: dict[str, tuple[int, ...]] = {}
    for block in blocks:
        for branch in ("mv", "ref"):
            start = f"{block.name}{_BRANCH}"
            for part in ("to_q", "to_k", "to_v"):
                shapes[f"{start}{part}_{branch}.weight"] = (block.width, block.width)
            shapes[f"{start}to_out_{branch}.0.weight"] = (block.width, block.width)
            shapes[f"{start}to_out_{branch}.0.bias"] = (block.width,)
    encoder = {
        key.removeprefix(_ENCODER): value for key, value in weights.items() if key.startswith(_ENCODER)
    }
    return shapes | {f"{_ENCODER}{key}": shape for key, shape in list_encoder_shapes(encoder).items()}


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
    """The place of each of the adapter's blocks in the model, keyed by diffusers' name of the block.

    WeightsError unless the model has most of the blocks that the adapter was made for.
    """
    widths = _read_widths(weights)
    if not widths or not any(key.startswith(_ENCODER) for key in weights):
        found = ", ".join(sorted(weights)[:_EXAMPLES])
        raise WeightsError(
            f"{name} is not an MV-Adapter IG2MV file: expected keys such as "
            f"mid_block.attentions.0.transformer_blocks.0{_BRANCH}to_q_mv.weight and "
            f"{_ENCODER}conv_in.weight; found {len(weights)} keys, such as {found}"
        )
    wanted = {block.name: block.width for block in base.blocks}
    if 2 * len(wanted.items() & widths.items()) < max(len(wanted), len(widths)):
        raise WeightsError(
            f"{name} was made for an SDXL checkpoint ({_describe(widths.values())}); the model given is "
            f"{base.kind} ({_describe(block.width for block in base.blocks)}). Choose an SDXL checkpoint."
        )
    return {block.name: block.place for block in base.blocks}


def _read_widths(weights: Weights) -> dict[str, int]:
    """The width of each of the adapter's blocks, on which most of its tensors agree."""
    sides: dict[str, list[int]] = {}
    for key, value in weights.items():
        prefix, _, rest = key.partition(_BRANCH)
        if rest:
            sides.setdefault(prefix, []).extend(value.shape)
    return {prefix: find_usual(values, 0) for prefix, values in sides.items()}


def list_blocks(model: Any) -> list[Block]:
    """List the transformer blocks of a UNet; none for other models."""
    blocks = []
    parameters = dict(model.model.diffusion_model.named_parameters())
    for diffusers_name, name in comfy.utils.unet_to_diffusers(model.model.model_config.unet_config).items():
        if diffusers_name.endswith(_QUERY):
            width = int(parameters[name].shape[1])
            blocks.append(Block(diffusers_name.removesuffix(_QUERY), _split_name(name), width))
    return blocks


def _split_name(name: str) -> Place:
    """Read a block's place from ComfyUI's name of one of its weights."""
    if name.startswith("middle_block"):
        return "middle", 0, int(name.split(".")[3])
    kind, number, index = re.match(r"(\w+)_blocks\.(\d+)\.\d+\.transformer_blocks\.(\d+)", name).groups()  # type: ignore[union-attr]
    return kind, int(number), int(index)


def _describe(widths: Iterable[int]) -> str:
    every = list(widths)
    if not every:
        return "no UNet with transformer blocks"
    return f"{len(every)} self-attention blocks of width {', '.join(map(str, sorted(set(every))))}"
