"""A small random SDXL checkpoint and IG2MV adapter in the layouts of the published files.

ComfyUI knows SDXL by its exact sizes, so `register` adds one entry to its list of models: SDXL, narrower and
shallower. Every loader, sampler and text encoder is ComfyUI's own. All numbers are drawn from numpy's PCG64.
"""

import importlib

import comfy.sdxl_clip
import comfy.supported_models
import comfy.supported_models_base
import comfy.taesd.taesd
import comfy.utils
import torch
from safetensors.torch import save_file

from .small_hunyuan3d import draw_weights

_TEXT = {
    "hidden_size": 32,
    "num_attention_heads": 2,
    "num_hidden_layers": 3,
    "intermediate_size": 64,
    "projection_dim": 32,
}
_TEXT_OPTIONS = {"clip_l_model_config": _TEXT, "clip_g_model_config": _TEXT}
_CHANNELS = (32, 64, 128, 128)


_UNET = {
    "model_channels": 32,
    "use_linear_in_transformer": True,
    "transformer_depth": [0, 0, 1, 1, 2, 2],
    "context_dim": 64,
    "adm_in_channels": 32 + 6 * 256,
    "use_temporal_attention": False,
}
_HEADS = {"num_heads": -1, "num_head_channels": 16}


class SmallSDXLClipModel(comfy.sdxl_clip.SDXLClipModel):
    """SDXL's pair of text encoders, 32 wide and 3 layers deep each."""

    def __init__(self, device="cpu", dtype=None, model_options=None):
        super().__init__(device, dtype, {**(model_options or {}), **_TEXT_OPTIONS})


class SmallSDXL(comfy.supported_models.SDXL):
    """SDXL with 32 channels where it has 320, and 1 and 2 transformer blocks where it has 2 and 10."""

    unet_config = _UNET
    unet_extra_config = _HEADS

    def clip_target(self, state_dict=None):
        return comfy.supported_models_base.ClipTarget(comfy.sdxl_clip.SDXLTokenizer, SmallSDXLClipModel)


_LAYOUT = {
    "in_channels": 4,
    "out_channels": 4,
    "image_size": 32,
    "use_spatial_transformer": True,
    "legacy": False,
    "num_classes": "sequential",
    "num_res_blocks": [2, 2, 2],
    "channel_mult": [1, 2, 4],
}
FULL_UNET = {
    **_UNET,
    **_LAYOUT,
    "transformer_depth_middle": 2,
    "transformer_depth_output": [0, 0, 0, 1, 1, 1, 2, 2, 2],
}
PUBLISHED_UNET = {
    **comfy.supported_models.SDXL.unet_config,
    **_LAYOUT,
    "transformer_depth_middle": 10,
    "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
}
"""SDXL itself, as ComfyUI reads it from the keys of its file."""


def register():
    """Let ComfyUI recognise the small checkpoint; once is enough."""
    if SmallSDXL not in comfy.supported_models.models:
        comfy.supported_models.models.insert(0, SmallSDXL)


def build_config():
    """ComfyUI's configuration of the small model in float32."""
    config = SmallSDXL(dict(FULL_UNET))
    config.set_inference_dtype(torch.float32, None)
    return config


def draw_unet(seed):
    """The UNet's weights by ComfyUI's names."""
    shapes = build_config().get_model({}).diffusion_model.state_dict()
    return draw_weights({name: tuple(value.shape) for name, value in shapes.items()}, seed)


def draw_adapter(seed):
    """The weights of mvadapter_ig2mv_sdxl.safetensors, with its names, for the small UNet."""
    shapes = {
        "adapter.conv_in.weight": (_CHANNELS[0], 6 * 256, 3, 3),
        "adapter.conv_in.bias": (_CHANNELS[0],),
    }
    before = _CHANNELS[0]
    for number, width in enumerate(_CHANNELS):
        body = f"adapter.body.{number}"
        if width != before:
            shapes |= {f"{body}.in_conv.weight": (width, before, 1, 1), f"{body}.in_conv.bias": (width,)}
        for block in (f"{body}.resnets.{index}" for index in (0, 1)):
            shapes |= {f"{block}.block1.weight": (width, width, 3, 3), f"{block}.block1.bias": (width,)}
            shapes |= {f"{block}.block2.weight": (width, width, 1, 1), f"{block}.block2.bias": (width,)}
        before = width
    for name in comfy.utils.unet_to_diffusers(FULL_UNET):
        if name.endswith(".attn1.to_q.weight"):
            prefix = name.removesuffix("to_q.weight")
            width = {"0": 128, "1": 64}[name.split(".")[1]] if name[:2] == "up" else 128
            width = 64 if name.startswith("down_blocks.1") else width
            for branch in ("mv", "ref"):
                for part in ("to_q", "to_k", "to_v"):
                    shapes[f"{prefix}processor.{part}_{branch}.weight"] = (width, width)
                shapes[f"{prefix}processor.to_out_{branch}.0.weight"] = (width, width)
                shapes[f"{prefix}processor.to_out_{branch}.0.bias"] = (width,)
    return draw_weights(shapes, seed)


def draw_checkpoint(seed):
    """A whole checkpoint: UNet, both text encoders, and the tiny VAE, under the prefixes of SDXL's file."""
    weights = {f"model.diffusion_model.{name}": value for name, value in draw_unet(seed).items()}
    vae = {name: tuple(value.shape) for name, value in comfy.taesd.taesd.TAESD().state_dict().items()}
    weights |= {f"first_stage_model.{name}": value for name, value in draw_weights(vae, seed + 1).items()}
    text = SmallSDXLClipModel(dtype=torch.float32).state_dict()
    shapes = {name: tuple(value.shape) for name, value in text.items() if value.is_floating_point()}
    return weights | build_config().process_clip_state_dict_for_saving(draw_weights(shapes, seed + 2))


def build_published_adapter(blocks, dtype):
    """The adapter at its published size for SDXL's `blocks` (loading.list_blocks), its numbers not set."""
    loading = importlib.import_module("character3d.backends.mv_adapter.loading")
    weights = {
        f"{block.name}.attn1.processor.to_q_mv.weight": torch.empty((block.width, block.width))
        for block in blocks
    }
    weights["adapter.conv_in.weight"] = torch.empty((320, 6 * 256, 3, 3))
    for number, width in enumerate((320, 640, 1280, 1280)):
        for index in (0, 1):
            name = f"adapter.body.{number}.resnets.{index}.block1.weight"
            weights[name] = torch.empty((width, width, 3, 3))
    return loading.ViewAdapter(weights, {block.name: block.place for block in blocks}, dtype)


def save(path, weights, dtype=torch.float16):
    """Write a safetensors file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.to(dtype).contiguous().clone() for name, value in weights.items()}, str(path))
