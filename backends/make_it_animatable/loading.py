"""Make-It-Animatable's files: found among ComfyUI's models, checked, and built as modules it can move."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from typing import Any

import comfy.model_management
import comfy.model_patcher
import folder_paths
import torch

from ...pipeline.errors import WeightsError
from ...pipeline.weights import RIG_MODEL_FOLDERS, describe_rig_models, list_rig_files
from ..weight_files import WeightsFile, find_file, list_files, read_weights
from .joints import NAMES
from .model import PointModel

_MARKS: Mapping[str, tuple[str, ...]] = {
    "joints_coarse": ("joints_embed", "joints_head.weight"),
    "joints": ("joints_embed", "joints_head.decoder.weight", "joints_head.encoder.mlp.weight"),
    "pose": ("pose_embed", "pose_head.decoder.weight", "joints_embedder.mlp.weight"),
    "bw": ("bw_head.weight",),
    "bw_normal": ("bw_head.weight", "normal_embed.mlp.weight", "input_attn.norm.weight"),
}
"""What tells the models apart, by the stem of their file's name."""
_OPTIONAL = "bw_normal"
_ACTIVATIONS = 1 << 30
"""Bytes beside the weights: the attention of LATENTS tokens to all points, and a chunk of vertices."""
_NAMED = 3

for _folder in RIG_MODEL_FOLDERS:  # one that ComfyUI does not have by itself
    folder_paths.add_model_folder_path(_folder, os.path.join(folder_paths.models_dir, _folder))


def list_installed_files() -> dict[str, str]:
    """Names of the files on disk by their model: joints_coarse, joints, pose, bw, bw_normal."""
    return list_rig_files(list_files(RIG_MODEL_FOLDERS))


def is_installed() -> bool:
    """Whether every file is there that the method needs; bw_normal may be missing."""
    return set(_MARKS) - {_OPTIONAL} <= set(list_installed_files())


def load_model(kind: str) -> Any:
    """Load one of the models: a ModelPatcher of PointModel in float32, kept until its file changes.

    WeightsError: missing, damaged, or another model's file; says what was found and what was expected.
    """
    installed = list_installed_files()
    if kind not in installed:
        folders = " or ".join(f"models/{folder}" for folder in RIG_MODEL_FOLDERS)
        raise WeightsError(
            f"{kind}.pth is not in {folders}; found {', '.join(sorted(installed.values())) or 'none'}. "
            f"Nothing is downloaded by itself. Put these there:\n{describe_rig_models()}"
        )
    return _load_file(find_file(RIG_MODEL_FOLDERS, installed[kind]), kind)


def move_model(patcher: Any) -> tuple[PointModel, torch.device]:
    """Let ComfyUI make room for the model and move it where it computes."""
    comfy.model_management.load_models_gpu([patcher], memory_required=_ACTIVATIONS)
    return patcher.model, patcher.load_device


@functools.lru_cache(maxsize=len(_MARKS))
def _load_file(file: WeightsFile, kind: str) -> Any:
    raw = read_weights(file.path, file.name)
    weights = _rename_keys(raw.get("model", raw))
    _require_marks(file.name, kind, weights)
    try:
        model = PointModel(weights)
        wanted = model.state_dict().keys()
        model.load_state_dict({key: value for key, value in weights.items() if key in wanted})
    except KeyError as error:
        raise WeightsError(f"{file.name} is damaged: it has no {error.args[0]}") from error
    except RuntimeError as error:  # torch's word for missing keys and tensors of the wrong shape
        raise WeightsError(f"{file.name} is damaged: {_shorten(error)}") from error
    management = comfy.model_management
    return comfy.model_patcher.ModelPatcher(
        model.eval().requires_grad_(False),
        load_device=management.get_torch_device(),
        offload_device=management.unet_offload_device(),
    )


def _shorten(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error))[:300]


def _rename_keys(weights: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Tensors by our modules' names; torch's transformer layers and the turns' head have others there."""
    renamed = {}
    for key, value in weights.items():
        if torch.is_tensor(value):
            key = key.replace(".transformer.layers.layers.", ".layers.").replace("rotation_mlp.", "")
            renamed[key.replace(".in_proj_", ".in_proj.")] = value
    return renamed


def _require_marks(name: str, kind: str, weights: Mapping[str, torch.Tensor]) -> None:
    absent = [mark for mark in _MARKS[kind] if mark not in weights]
    if absent or "base.layers.0.0.fn.to_q.weight" not in weights:
        found = (
            f"{len(weights)} tensors, such as {', '.join(sorted(weights)[:_NAMED])}" if weights else "none"
        )
        raise WeightsError(
            f"{name} is no Make-It-Animatable {kind} file: expected base.layers and "
            f"{', '.join(_MARKS[kind])}; found {found}"
        )
    for mark in ("joints_embed", "pose_embed"):
        if mark in weights and weights[mark].shape[1:2] != (len(NAMES),):
            raise WeightsError(
                f"{name}: {mark} has shape {tuple(weights[mark].shape)}; expected (1, {len(NAMES)}, width), "
                "one row for each of Mixamo's joints"
            )
