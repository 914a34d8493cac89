"""The whole method: a base model, an adapter, a prompt, a picture and maps of the mesh in, six views out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import comfy.model_management
import comfy.sample
import comfy.sd
import folder_paths
import numpy as np
import torch

from ...pipeline.errors import WeightsError
from ...pipeline.progress import Progress, ignore_progress, span_progress
from ...pipeline.types import FloatArray
from ..model_memory import share_loaded
from ..sampling import sample_euler
from ..weight_files import WeightsFile, explain_unreadable, find_file
from .attention import VIEW_COUNT
from .patch import apply_ig2mv
from .schedule import list_sigmas

_LATENT_PIXELS, _CHANNELS = 8, 4


@dataclass(frozen=True, eq=False)
class BaseModel:
    """MODEL, CLIP and VAE of one checkpoint."""

    model: Any
    clip: Any
    vae: Any


def list_checkpoints() -> list[str]:
    """Names of all files in models/checkpoints, whatever they contain."""
    return list(folder_paths.get_filename_list("checkpoints"))


def find_checkpoint(name: str) -> WeightsFile:
    """Find a file by its name in models/checkpoints. WeightsError if it is not there."""
    if name not in list_checkpoints():
        known = ", ".join(list_checkpoints()) or "none"
        raise WeightsError(f"checkpoint {name} is not in models/checkpoints; found {known}")
    return find_file(["checkpoints"], name)


def load_base(name: str) -> BaseModel:
    """Load a checkpoint by its name in models/checkpoints, or return it if it is still in memory.

    WeightsError if it is missing, damaged, or has no text encoder or no VAE.
    """
    return _load_file(find_checkpoint(name))


@share_loaded
def _load_file(file: WeightsFile) -> BaseModel:
    path, name, embeddings = str(file.path), file.name, folder_paths.get_folder_paths("embeddings")
    try:
        model, clip, vae, _ = comfy.sd.load_checkpoint_guess_config(path, embedding_directory=embeddings)
    except Exception as error:  # the readers of three formats raise many types on damaged bytes
        reason = explain_unreadable(file.path)
        raise WeightsError(f"{name} cannot be read as a checkpoint: {reason}") from error
    parts = {"UNet": model, "text encoder": clip, "VAE": vae and vae.first_stage_model}
    absent = [part for part, value in parts.items() if value is None]
    if absent:
        raise WeightsError(f"{name} is not a complete checkpoint: it has no {' and no '.join(absent)}")
    return BaseModel(model, clip, vae)


def encode_reference(vae: Any, picture: torch.Tensor) -> torch.Tensor:
    """Encode a picture (1, S, S, 3), 0..1, as the mode of its posterior: latent (1, 4, S / 8, S / 8)."""
    latent: torch.Tensor = vae.encode(picture[..., :3])
    return latent


def empty_latent(size: int) -> torch.Tensor:
    """An empty latent for six views of `size` pixels: (6, 4, S / 8, S / 8)."""
    side = size // _LATENT_PIXELS
    device = comfy.model_management.intermediate_device()
    return torch.zeros((VIEW_COUNT, _CHANNELS, side, side), device=device)


def stack_maps(position: torch.Tensor, normal: torch.Tensor) -> torch.Tensor:
    """Position and normal maps (6, S, S, 3) -> the adapter's condition (6, 6, S, S)."""
    return torch.cat((position, normal), dim=-1).movedim(-1, 1)


def generate_views(
    base: BaseModel,
    adapter: Any,
    reference: FloatArray,
    maps: tuple[FloatArray, FloatArray],
    *,
    prompt: str,
    negative_prompt: str,
    steps: int,
    cfg_scale: float,
    seed: int,
    progress: Progress = ignore_progress,
) -> FloatArray:
    """Paint six views (6, S, S, 3), sRGB 0..1, in the order of build_six_view_rig.

    adapter: from load_adapter, for the base's model. reference: (S, S, 3), from frame_reference. maps:
    position and normal maps from maps_to_condition. cfg_scale: classifier-free guidance scale, none up to 1.
    seed: gives the same noise as in ComfyUI's KSampler.
    """
    progress(0.0)
    position, normal = (torch.from_numpy(np.array(item)) for item in maps)
    latent = encode_reference(base.vae, torch.from_numpy(np.array(reference))[None])
    model = apply_ig2mv(base.model, adapter, latent, stack_maps(position, normal))
    positive, negative = (
        base.clip.encode_from_tokens_scheduled(base.clip.tokenize(text)) for text in (prompt, negative_prompt)
    )
    empty = empty_latent(len(reference))
    denoised = sample_views(
        model,
        positive,
        negative,
        steps=steps,
        cfg_scale=cfg_scale,
        noise=comfy.sample.prepare_noise(empty, seed),
        progress=span_progress(progress, 0.1, 0.85),
    )
    return _decode_views(base.vae, denoised, span_progress(progress, 0.85, 1.0))


def sample_views(
    model: Any,
    positive: Any,
    negative: Any,
    *,
    steps: int,
    cfg_scale: float,
    noise: torch.Tensor,
    progress: Progress,
) -> torch.Tensor:
    """Denoise `noise` (6, 4, H, W) with Euler steps, as the reference does. Prompts are CONDITIONING."""
    sigmas = list_sigmas(model.get_model_object("model_sampling"), steps)
    # ComfyUI starts from noise * sigma; the reference starts with the variance of a noised image.
    noise = noise * torch.sqrt(1 + sigmas[0] ** -2)
    # The reference guides only above 1; less would extrapolate towards the negative prompt.
    return sample_euler(model, noise, max(cfg_scale, 1.0), sigmas, positive, negative, progress)


def _decode_views(vae: Any, latent: torch.Tensor, progress: Progress) -> FloatArray:
    """Decode one view at a time, which fits a small card and can be cancelled between views."""
    views = []
    for number in range(len(latent)):
        progress(number / len(latent))
        views.append(vae.decode(latent[number : number + 1])[0].float().clamp(0, 1).cpu().numpy())
    progress(1.0)
    return np.stack(views)
