"""Loading a Hunyuan3D model with ComfyUI's own classes, under its model management."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.clip_vision
import comfy.ldm.hunyuan3d.vae
import comfy.model_management
import comfy.sd
import torch

from ...pipeline.errors import WeightsError
from ...pipeline.weights import (
    SHAPE_MODEL_FOLDERS,
    ShapeModelTraits,
    describe_shape_models,
    read_traits,
)
from ..installed import list_installed_models
from ..layers import check_layers
from ..model_memory import find_patcher_class, share_loaded
from ..weight_files import WeightsFile, find_file
from .checkpoint import Checkpoint, Weights, read_checkpoint, require_keys
from .corrections import correct_model

_LATENTS = {"Hunyuan3Dv2mini": 512, "Hunyuan3Dv2": 3072, "Hunyuan3Dv2_1": 4096}
"""Tokens of a shape, by ComfyUI's latent format."""
_DINO_HEAD_WIDTH = 64
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, eq=False)
class ShapeModel:
    """A loaded Hunyuan3D model.

    model, image_encoder, vae: ComfyUI's MODEL, CLIP_VISION and VAE. latent_count: tokens of a shape.
    """

    name: str
    model: Any
    image_encoder: Any
    vae: Any
    traits: ShapeModelTraits
    latent_count: int

    @property
    def has_guidance_embedding(self) -> bool:
        """Whether guidance is an input of the model (fast and turbo), which then runs only once a step."""
        return bool(self.model.model.model_config.unet_config.get("guidance_embed"))


def find_model(name: str, *, multiview: bool) -> str:
    """Resolve `auto` to the best installed model, preferring a multiview one if several pictures are given.

    WeightsError if the model is not installed; the message quotes the catalogue.
    """
    installed = list_installed_models()
    if name == "auto" and installed:
        return min(installed, key=lambda one: read_traits(one).multiview != multiview)
    if name in installed:
        return name
    wanted = "a Hunyuan3D model" if name == "auto" else name
    folders = " or ".join(f"models/{folder}" for folder in SHAPE_MODEL_FOLDERS)
    raise WeightsError(
        f"{wanted} is not in {folders}; found {', '.join(installed) or 'none'}. Nothing is downloaded by "
        f"itself. Put one of these there, where its licence allows you to use it:\n{describe_shape_models()}"
    )


def find_shape_model(name: str = "auto", *, multiview: bool = False) -> WeightsFile:
    """Find a shape model's file; `find_model` resolves the name. WeightsError if it is not installed."""
    return find_file(SHAPE_MODEL_FOLDERS, find_model(name, multiview=multiview))


def load_shape_model(name: str = "auto") -> ShapeModel:
    """Load a shape model by its name in ComfyUI's folders, or return it if it is still in memory.

    WeightsError if it is missing, damaged, or no Hunyuan3D model.
    """
    return _load_file(find_shape_model(name))


@share_loaded
def _load_file(file: WeightsFile) -> ShapeModel:
    name, checkpoint = file.name, read_checkpoint(file.path, file.name)
    try:
        model = _build_diffusion_model(checkpoint)
        model.cached_patcher_init = _reload_diffusion_model, (file,)
        encoder, vae = _build_image_encoder(checkpoint), _build_shape_decoder(checkpoint)
    except (RuntimeError, IndexError, KeyError) as error:  # what torch raises for tensors of the wrong shape
        raise WeightsError(f"{name} does not fit the architecture that its keys name: {error}") from error
    return ShapeModel(name, model, encoder, vae, read_traits(name), _count_latents(name, model))


def _count_latents(name: str, model: Any) -> int:
    latent_format = type(model.model.latent_format).__name__
    if latent_format not in _LATENTS:
        raise WeightsError(
            f"{name}: ComfyUI takes its latents for {latent_format}; expected one of {', '.join(_LATENTS)}"
        )
    return _LATENTS[latent_format]


def _reload_diffusion_model(file: WeightsFile, disable_dynamic: bool = False) -> Any:
    """Read it anew, as ComfyUI since 2026 asks: for another card, or without dynamic VRAM (torch.compile).

    Earlier releases know no such option.
    """
    checkpoint = read_checkpoint(file.path, file.name)
    return _build_diffusion_model(checkpoint, **({"disable_dynamic": True} if disable_dynamic else {}))


def _build_diffusion_model(checkpoint: Checkpoint, **options: Any) -> Any:
    given = {key: weight.to("meta") for key, weight in checkpoint.diffusion_model.items()}
    model = comfy.sd.load_diffusion_model_state_dict(checkpoint.diffusion_model, **options)
    if model is None or not model.model.model_config.unet_config["image_model"].startswith("hunyuan3d2"):
        raise WeightsError(f"{checkpoint.name}: ComfyUI does not recognise its diffusion model as Hunyuan3D")
    # ComfyUI's names of the weights are those of the file up to 0.3.75, and have changed since.
    named = model.model.model_config.process_unet_state_dict(given)
    require_keys(checkpoint.name, "diffusion model", model.model.diffusion_model.state_dict(), named)
    check_layers(model.model.diffusion_model)
    return correct_model(model)


def _build_image_encoder(checkpoint: Checkpoint) -> Any:
    """ComfyUI's DINOv2, with the width and depth that the weights have."""
    weights = checkpoint.image_encoder
    width = weights["embeddings.position_embeddings"].shape[-1]
    config = {
        "model_type": "dinov2",
        "hidden_size": width,
        "num_attention_heads": width // _DINO_HEAD_WIDTH,
        "num_hidden_layers": _count_layers(weights, "encoder.layer."),
        "use_swiglu_ffn": "encoder.layer.0.mlp.weights_in.weight" in weights,
        "layer_norm_eps": 1e-6,
        "image_size": 518,
        "patch_size": 14,
        "image_mean": _MEAN,
        "image_std": _DEVIATION,
    }
    encoder = _make_clip_vision(config)
    encoder.load_sd(weights)
    wanted = {key for key in encoder.model.state_dict() if not key.endswith("mask_token")}
    require_keys(checkpoint.name, "image encoder", wanted, weights)
    check_layers(encoder.model)
    return encoder


def _make_clip_vision(config: Mapping[str, Any]) -> Any:
    """ComfyUI's image encoder; it takes the sizes themselves since 2026, and a file of them before."""
    try:
        return comfy.clip_vision.ClipVisionModel(dict(config))
    except TypeError:  # a dictionary is no path
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "config.json")
            path.write_text(json.dumps(config), encoding="utf-8")
            return comfy.clip_vision.ClipVisionModel(str(path))


def _build_shape_decoder(checkpoint: Checkpoint) -> Any:
    """ComfyUI's VAE, which is built for one size only, around a decoder with the sizes of the weights."""
    weights = checkpoint.shape_decoder
    with torch.device("meta"):  # its own module has shapes but takes no memory
        vae = comfy.sd.VAE(sd=comfy.ldm.hunyuan3d.vae.ShapeVAE().state_dict())
    module = comfy.ldm.hunyuan3d.vae.ShapeVAE(**_read_decoder_sizes(weights)).eval()
    module.encoder = None  # turns meshes into latents, which nothing here needs
    module.load_state_dict(weights, strict=False)
    require_keys(checkpoint.name, "shape decoder", module.state_dict(), weights)
    check_layers(module)
    vae.first_stage_model = module.to(vae.vae_dtype)
    vae.patcher = find_patcher_class()(
        module, load_device=vae.device, offload_device=comfy.model_management.vae_offload_device()
    )
    vae.size = comfy.model_management.module_size(module)
    return vae


def _read_decoder_sizes(weights: Weights) -> dict[str, Any]:
    """Arguments of ComfyUI's ShapeVAE."""
    width, embedding = weights["post_kl.weight"].shape
    inner = weights["geo_decoder.output_proj.weight"].shape[1]
    expanded = weights["geo_decoder.cross_attn_decoder.mlp.c_fc.weight"].shape[0]
    head = weights["transformer.resblocks.0.attn.attention.q_norm.weight"].shape[0]
    return {
        "embed_dim": embedding,
        "width": width,
        "heads": width // head,
        "num_decoder_layers": _count_layers(weights, "transformer.resblocks."),
        "num_encoder_layers": 0,
        "geo_decoder_downsample_ratio": width // inner,
        "geo_decoder_mlp_expand_ratio": expanded // inner,
        "geo_decoder_ln_post": "geo_decoder.ln_post.weight" in weights,
    }


def _count_layers(weights: Weights, prefix: str) -> int:
    return 1 + max(int(key[len(prefix) :].split(".")[0]) for key in weights if key.startswith(prefix))
