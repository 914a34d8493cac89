"""A Hunyuan3D model on ComfyUI's model management: its loaders build it, cast it and move it."""

from __future__ import annotations

import contextlib
import functools
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.clip_vision
import comfy.ldm.hunyuan3d.vae
import comfy.sd

from ...pipeline.errors import WeightsError
from ...pipeline.weights import (
    SHAPE_MODEL_FOLDERS,
    ShapeModelTraits,
    describe_shape_models,
    list_shape_models,
    read_traits,
)
from ..weight_files import WeightsFile, find_file, list_files
from .checkpoint import Checkpoint, Weights, read_checkpoint, require_keys
from .corrections import correct_model

_LATENTS = {"Hunyuan3Dv2mini": 512, "Hunyuan3Dv2": 3072, "Hunyuan3Dv2_1": 4096}
"""Tokens of a shape by ComfyUI's latent format."""
_HEAD = 64
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, eq=False)
class ShapeModel:
    """model, image_encoder, vae: ComfyUI's MODEL, CLIP_VISION and VAE. latent_count: tokens of a shape."""

    name: str
    model: Any
    image_encoder: Any
    vae: Any
    traits: ShapeModelTraits
    latent_count: int

    @property
    def has_guidance_embedding(self) -> bool:
        """Whether guidance is an input of the model (fast and turbo), which then runs once a step."""
        return bool(self.model.model.model_config.unet_config.get("guidance_embed"))


def list_installed_models() -> list[str]:
    """Names of the shape models on disk, best first. Scans folders, which ComfyUI caches."""
    return list_shape_models(list_files(SHAPE_MODEL_FOLDERS))


def find_model(name: str, *, multiview: bool) -> str:
    """Resolve `auto` to the best installed model, one for several pictures where these are given.

    WeightsError: not installed; quotes the catalogue.
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


def load_shape_model(name: str = "auto", *, multiview: bool = False) -> ShapeModel:
    """Load a shape model by its name in ComfyUI's folders; the one used last is kept.

    multiview: several pictures are given. WeightsError: missing, damaged, or no Hunyuan3D model.
    """
    return _load_file(find_file(SHAPE_MODEL_FOLDERS, find_model(name, multiview=multiview)))


@functools.lru_cache(maxsize=1)
def _load_file(file: WeightsFile) -> ShapeModel:
    name, checkpoint = file.name, read_checkpoint(file.path, file.name)
    try:
        model = _build_diffusion_model(checkpoint)
        encoder, vae = _build_image_encoder(checkpoint), _build_shape_decoder(checkpoint)
    except (RuntimeError, IndexError, KeyError) as error:  # torch's word for tensors of the wrong shape
        raise WeightsError(f"{name} does not fit the architecture that its keys name: {error}") from error
    latents = _LATENTS[type(model.model.latent_format).__name__]
    return ShapeModel(name, model, encoder, vae, read_traits(name), latents)


def _build_diffusion_model(checkpoint: Checkpoint) -> Any:
    given = set(checkpoint.diffusion_model)
    model = comfy.sd.load_diffusion_model_state_dict(checkpoint.diffusion_model)
    if model is None or not model.model.model_config.unet_config["image_model"].startswith("hunyuan3d2"):
        raise WeightsError(f"{checkpoint.name}: ComfyUI does not recognise its diffusion model as Hunyuan3D")
    require_keys(checkpoint.name, "diffusion model", model.model.diffusion_model.state_dict(), given)
    return correct_model(model)


def _build_image_encoder(checkpoint: Checkpoint) -> Any:
    """DINOv2, of whatever width and depth: ComfyUI's class, configured from the keys."""
    weights = checkpoint.image_encoder
    width = weights["embeddings.position_embeddings"].shape[-1]
    config = {
        "model_type": "dinov2",
        "hidden_size": width,
        "num_attention_heads": width // _HEAD,
        "num_hidden_layers": _count_layers(weights, "encoder.layer."),
        "use_swiglu_ffn": "encoder.layer.0.mlp.weights_in.weight" in weights,
        "layer_norm_eps": 1e-6,
        "image_size": 518,
        "patch_size": 14,
        "image_mean": _MEAN,
        "image_std": _DEVIATION,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.json")
        path.write_text(json.dumps(config), encoding="utf-8")
        encoder = comfy.clip_vision.ClipVisionModel(str(path))
    wanted = {key for key in encoder.model.state_dict() if not key.endswith("mask_token")}
    require_keys(checkpoint.name, "image encoder", wanted, weights)
    encoder.load_sd(weights)
    return encoder


def _build_shape_decoder(checkpoint: Checkpoint) -> Any:
    """ComfyUI's VAE, which knows one size only: it is given the sizes that the keys tell."""
    weights = checkpoint.shape_decoder
    with _sized_shape_vae(functools.partial(_build_vae_module, weights)):
        vae = comfy.sd.VAE(sd=weights)
    require_keys(checkpoint.name, "shape decoder", vae.first_stage_model.state_dict(), weights)
    return vae


@contextlib.contextmanager
def _sized_shape_vae(build: Callable[..., Any]) -> Iterator[None]:
    module = comfy.ldm.hunyuan3d.vae
    original = module.ShapeVAE
    module.ShapeVAE = functools.partial(build, original)
    try:
        yield
    finally:
        module.ShapeVAE = original


def _build_vae_module(weights: Weights, shape_vae: Callable[..., Any], **given: Any) -> Any:
    width, embedding = weights["post_kl.weight"].shape
    inner = weights["geo_decoder.output_proj.weight"].shape[1]
    heads = width // weights["transformer.resblocks.0.attn.attention.q_norm.weight"].shape[0]
    sizes = {
        "embed_dim": embedding,
        "width": width,
        "heads": heads,
        "num_decoder_layers": _count_layers(weights, "transformer.resblocks."),
        "num_encoder_layers": 0,
        "geo_decoder_downsample_ratio": width // inner,
        "geo_decoder_mlp_expand_ratio": (
            weights["geo_decoder.cross_attn_decoder.mlp.c_fc.weight"].shape[0] // inner
        ),
        "geo_decoder_ln_post": "geo_decoder.ln_post.weight" in weights,
    }
    module = shape_vae(**{**given, **sizes})
    # It turns meshes into latents, which nothing here needs.
    module.encoder = None
    return module


def _count_layers(weights: Weights, prefix: str) -> int:
    return 1 + max(int(key[len(prefix) :].split(".")[0]) for key in weights if key.startswith(prefix))
