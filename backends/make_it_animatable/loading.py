"""Loading Make-It-Animatable: finding and checking its files, and building modules that ComfyUI can move."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import comfy.model_management
import torch

from ...pipeline.errors import WeightsError
from ...pipeline.weights import RIG_MODEL_FOLDERS, describe_rig_models, list_rig_files
from ..model_memory import make_patcher, share_loaded
from ..tensor_checks import check_tensors, keep_tensors
from ..weight_files import WeightsFile, find_file, list_files, read_weights
from .joints import NAMES
from .layout import list_shapes
from .model import PointModel

_IDENTIFYING_KEYS: Mapping[str, tuple[str, ...]] = {
    "joints_coarse": ("joints_embed", "joints_head.weight"),
    "joints": ("joints_embed", "joints_head.decoder.weight", "joints_head.encoder.mlp.weight"),
    "pose": ("pose_embed", "pose_head.decoder.weight", "joints_embedder.mlp.weight"),
    "bw": ("bw_head.weight",),
    "bw_normal": ("bw_head.weight", "normal_embed.mlp.weight", "input_attn.norm.weight"),
}
"""Keys that identify each model, by the stem of its file's name."""
_OPTIONAL = "bw_normal"
_ACTIVATIONS = 1 << 30
"""Bytes needed in addition to the weights: attention of LATENTS tokens to all points, a chunk of vertices."""
_EXAMPLES = 3
"""How many keys an error message quotes."""


def list_installed_files() -> dict[str, str]:
    """Names of the files on disk, keyed by model: joints_coarse, joints, pose, bw, bw_normal."""
    return list_rig_files(list_files(RIG_MODEL_FOLDERS))


def is_installed() -> bool:
    """Whether every required file is on disk; bw_normal is optional."""
    return set(_IDENTIFYING_KEYS) - {_OPTIONAL} <= set(list_installed_files())


def find_files() -> dict[str, WeightsFile]:
    """Find the files of all models, keyed by model, without bw_normal if that is missing.

    WeightsError if another one is missing; the message quotes the catalogue.
    """
    installed = list_installed_files()
    return {kind: _find_file(kind) for kind in _IDENTIFYING_KEYS if kind in installed or kind != _OPTIONAL}


def load_models() -> dict[str, Any]:
    """Load all models, keyed by model, as `load_model` does."""
    return {kind: load_model(kind) for kind in find_files()}


def load_model(kind: str) -> Any:
    """Load one model, or return it if it is still in memory: a ModelPatcher of PointModel in float32.

    WeightsError if its file is missing, damaged, or another model's; the message says what was expected and
    found.
    """
    return _load_file(_find_file(kind), kind)


def _find_file(kind: str) -> WeightsFile:
    installed = list_installed_files()
    if kind not in installed:
        folders = " or ".join(f"models/{folder}" for folder in RIG_MODEL_FOLDERS)
        found = ", ".join(sorted(list_files(RIG_MODEL_FOLDERS))) or "none"
        raise WeightsError(
            f"{kind}.pth is not in {folders}; found {found}. "
            f"Nothing is downloaded automatically. Put these there:\n{describe_rig_models()}"
        )
    return find_file(RIG_MODEL_FOLDERS, installed[kind])


def move_model(patcher: Any) -> tuple[PointModel, torch.device]:
    """Let ComfyUI make room for the model and move it to the device it runs on."""
    comfy.model_management.load_models_gpu([patcher], memory_required=_ACTIVATIONS)
    return patcher.model, patcher.load_device


@share_loaded
def _load_file(file: WeightsFile, kind: str) -> Any:
    tensors = keep_tensors(file.name, read_weights(file.path, file.name))
    _require_identity(file.name, kind, _rename_keys(tensors))
    check_tensors(file.name, tensors, list_shapes(kind, tensors))
    weights = _rename_keys(tensors)
    model = PointModel(weights)
    wanted = model.state_dict().keys()
    model.load_state_dict({key: value for key, value in weights.items() if key in wanted})
    return make_patcher(model)


def _rename_keys(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename the tensors of torch's transformer layers and of the rotation head to our modules' names."""
    renamed = {}
    for key, value in tensors.items():
        key = key.replace(".transformer.layers.layers.", ".layers.").replace("rotation_mlp.", "")
        renamed[key.replace(".in_proj_", ".in_proj.")] = value
    return renamed


def _require_identity(name: str, kind: str, weights: Mapping[str, torch.Tensor]) -> None:
    shares = {
        other: sum(key in weights for key in keys) / len(keys) for other, keys in _IDENTIFYING_KEYS.items()
    }
    is_other = shares[kind] < max(shares.values()) or not shares[kind]
    if is_other or not any(key.startswith("base.layers.") for key in weights):
        found = (
            f"{len(weights)} tensors, such as {', '.join(sorted(weights)[:_EXAMPLES])}" if weights else "none"
        )
        raise WeightsError(
            f"{name} is not a Make-It-Animatable {kind} file: expected base.layers and "
            f"{', '.join(_IDENTIFYING_KEYS[kind])}; found {found}"
        )
    for key in ("joints_embed", "pose_embed"):
        if key in weights and weights[key].dim() == 3 and weights[key].shape[1] != len(NAMES):
            raise WeightsError(
                f"{name}: {key} has shape {tuple(weights[key].shape)}; expected (1, {len(NAMES)}, width), "
                "one row for each of Mixamo's joints"
            )
