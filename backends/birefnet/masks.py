"""From a picture to the mask of its subject."""

from __future__ import annotations

import importlib.util
from typing import Any

import comfy.model_management
import numpy as np
import torch

from ...pipeline.errors import WeightsError
from ...pipeline.types import FloatArray
from ...pipeline.weights import describe_models
from ..model_memory import share_loaded
from ..weight_files import WeightsFile, list_files
from ..weight_files import find_file as find_weights

_FOLDER = "background_removal"
"""Core's, of releases that have the loader."""
_LOADER = "comfy.bg_removal_model"


def is_installed() -> bool:
    """Whether ComfyUI can load BiRefNet and has a file of it."""
    return _has_loader() and bool(_list_names())


def is_quick() -> bool:
    """Whether ComfyUI has a GPU: without one a picture takes minutes."""
    return comfy.model_management.get_torch_device().type != "cpu"


def find_file() -> WeightsFile:
    """Find the first file by name. WeightsError if there is none or no loader; the message says which."""
    if not _has_loader():
        raise WeightsError(
            "this ComfyUI has no loader for BiRefNet; releases that have the node Load Background Removal "
            "Model do"
        )
    names = _list_names()
    if not names:
        raise WeightsError(f"no BiRefNet is in models/{_FOLDER}. Put it there:\n{_describe()}")
    return find_weights([_FOLDER], names[0])


def load_model() -> Any:
    """Load the network, or return it if it is still in memory: core's BackgroundRemovalModel.

    WeightsError if the file is missing, another network's, or lacks weights.
    """
    return _load(find_file())


def predict_mask(model: Any, rgb: FloatArray) -> FloatArray:
    """Predict which pixels belong to the subject, 0..1: rgb (H, W, 3) 0..1 -> (H, W) float32."""
    picture = torch.from_numpy(np.ascontiguousarray(rgb, np.float32))[None]
    with torch.inference_mode():
        mask: FloatArray = model.encode_image(picture)[0].float().cpu().numpy()
    return mask


def _has_loader() -> bool:
    return importlib.util.find_spec(_LOADER) is not None


def _list_names() -> list[str]:
    return sorted(name for name in list_files([_FOLDER]) if "birefnet" in name.lower())


def _describe() -> str:
    return "\n".join(line for line in describe_models("cutout_models").splitlines() if "BiRefNet" in line)


@share_loaded
def _load(file: WeightsFile) -> Any:
    from comfy import bg_removal_model, utils

    weights = utils.load_torch_file(str(file.path), safe_load=True)
    found = set(weights)
    model = bg_removal_model.load_background_removal_model(weights)
    if model is None:
        raise WeightsError(f"{file.name} is no BiRefNet; expected\n{_describe()}")
    missing = sorted(name for name in set(model.get_sd()) - found if not name.endswith("num_batches_tracked"))
    if missing:
        raise WeightsError(
            f"{file.name} lacks {len(missing)} of the {len(model.get_sd())} weights of BiRefNet, such as "
            f"{missing[0]}"
        )
    return model
