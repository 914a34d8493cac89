"""Loading SkinTokens: finding and checking its file, and building a module that ComfyUI can move."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import comfy.model_management
import torch

from ...pipeline.errors import WeightsError
from ...pipeline.weights import TOKEN_MODEL_FOLDERS, describe_models, list_token_models
from ..model_memory import make_patcher, share_loaded
from ..tensor_checks import check_tensors, keep_tensors
from ..weight_files import WeightsFile, find_file, list_files, read_checkpoint_weights
from .language import LanguageModel
from .layout import (
    SAME_TABLE,
    TABLE,
    TRAINING_ONLY,
    Sizes,
    find_sizes,
    list_shapes,
    rename_tensors,
)
from .shape import ShapeEncoder
from .skin import SkinDecoder
from .tokens import VOCABULARY

_IDENTIFYING_KEYS = (TABLE, "mesh_encoder.encoder.input_proj.weight", "vae.model.cond_quant.weight")
_ACTIVATIONS = 3 << 30
"""Bytes needed in addition to the weights: what ten sentences remember, and a chunk of points."""
_EXAMPLES = 3
"""How many keys an error message quotes."""


class RigModel(torch.nn.Module):
    """The three networks of one file."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.shape = ShapeEncoder(sizes.shape, sizes.shape_depth, sizes.hidden)
        self.skin = SkinDecoder(sizes.skin, sizes.skin_depth, sizes.code)
        self.language = LanguageModel(
            vocabulary=VOCABULARY,
            hidden=sizes.hidden,
            layers=sizes.layers,
            heads=sizes.heads,
            shared_heads=sizes.shared_heads,
            head=sizes.head,
            inner=sizes.inner,
        )


def is_installed() -> bool:
    """Whether a file of the catalogue is on disk."""
    return bool(_list_installed())


def find_files() -> list[WeightsFile]:
    """Find the file. WeightsError that quotes the catalogue if there is none."""
    found = _list_installed()
    if not found:
        folders = " or ".join(f"models/{folder}" for folder in TOKEN_MODEL_FOLDERS)
        others = ", ".join(sorted(list_files(TOKEN_MODEL_FOLDERS))) or "none"
        raise WeightsError(
            f"SkinTokens' file is not in {folders}; found {others}. Nothing is downloaded automatically. "
            f"Put this there:\n{describe_models('token_models')}"
        )
    return [find_file(TOKEN_MODEL_FOLDERS, found[0])]


def load_model() -> Any:
    """Load the model, or return it if it is still in memory: a ModelPatcher of RigModel.

    In bfloat16, as it was trained, where the device is good at that; else in float32. WeightsError if the
    file is missing, damaged, or another model's; the message says what was expected and found.
    """
    return _load_file(find_files()[0])


def move_model(patcher: Any) -> tuple[RigModel, torch.device]:
    """Let ComfyUI make room for the model and move it to the device it runs on."""
    comfy.model_management.load_models_gpu([patcher], memory_required=_ACTIVATIONS)
    return patcher.model, patcher.load_device


def _list_installed() -> list[str]:
    return list_token_models(list_files(TOKEN_MODEL_FOLDERS))


@share_loaded
def _load_file(file: WeightsFile) -> Any:
    tensors = _shorten_names(keep_tensors(file.name, read_checkpoint_weights(file.path, file.name)))
    _require_identity(file.name, tensors)
    same = tensors.pop(SAME_TABLE, None)
    sizes = find_sizes(tensors)
    needed = {key: value for key, value in tensors.items() if not key.startswith(TRAINING_ONLY)}
    check_tensors(file.name, needed, list_shapes(sizes))
    if same is not None and not _is_equal(same, needed[TABLE]):
        raise WeightsError(f"{file.name} is damaged: {SAME_TABLE} differs from {TABLE}; expected the same")
    device = comfy.model_management.get_torch_device()
    is_half = comfy.model_management.should_use_bf16(device)
    with torch.device("meta"):
        model = RigModel(sizes)
    model.load_state_dict(rename_tensors(needed, sizes), assign=True)
    return make_patcher(model.to(torch.bfloat16 if is_half else torch.float32))


def _is_equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one.float(), other.float())


def _shorten_names(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Without what training put before and into the names."""
    return {key.replace("_orig_mod.", "").removeprefix("model."): value for key, value in tensors.items()}


def _require_identity(name: str, tensors: Mapping[str, torch.Tensor]) -> None:
    if not any(key in tensors for key in _IDENTIFYING_KEYS):
        some = f"{len(tensors)} tensors, such as {', '.join(sorted(tensors)[:_EXAMPLES])}"
        raise WeightsError(
            f"{name} is no SkinTokens file: expected {', '.join(_IDENTIFYING_KEYS)}; "
            f"found {some if tensors else 'none'}"
        )
