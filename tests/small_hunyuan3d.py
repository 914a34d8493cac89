"""Small random Hunyuan3D checkpoints in the layouts of the published files: their names, narrow and shallow.

Everything is drawn from numpy's PCG64, so the same arguments give the same numbers everywhere.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

DINO = "conditioner.main_image_encoder.model."


def linear(name, inputs, outputs, bias=True):
    return {f"{name}.weight": (outputs, inputs), **({f"{name}.bias": (outputs,)} if bias else {})}


def norm(name, width, bias=True):
    return {f"{name}.weight": (width,), **({f"{name}.bias": (width,)} if bias else {})}


def list_dit_2_0(hidden=128, context=128, double=2, single=2, guidance=False):
    """Hunyuan3D 2.0, 2mini and 2mv: a Flux-like DiT. 16 heads."""
    head, keys = hidden // 16, {}
    keys |= linear("latent_in", 64, hidden) | linear("cond_in", context, hidden)
    for name in ("time_in", "guidance_in") if guidance else ("time_in",):
        keys |= linear(f"{name}.in_layer", 256, hidden) | linear(f"{name}.out_layer", hidden, hidden)
    for block in (f"double_blocks.{number}" for number in range(double)):
        for side in ("img", "txt"):
            keys |= linear(f"{block}.{side}_mod.lin", hidden, 6 * hidden)
            keys |= linear(f"{block}.{side}_attn.qkv", hidden, 3 * hidden)
            keys |= {f"{block}.{side}_attn.norm.{kind}_norm.scale": (head,) for kind in ("query", "key")}
            keys |= linear(f"{block}.{side}_attn.proj", hidden, hidden)
            keys |= linear(f"{block}.{side}_mlp.0", hidden, 4 * hidden)
            keys |= linear(f"{block}.{side}_mlp.2", 4 * hidden, hidden)
    for block in (f"single_blocks.{number}" for number in range(single)):
        keys |= linear(f"{block}.linear1", hidden, 7 * hidden)
        keys |= linear(f"{block}.linear2", 5 * hidden, hidden)
        keys |= {f"{block}.norm.{kind}_norm.scale": (head,) for kind in ("query", "key")}
        keys |= linear(f"{block}.modulation.lin", hidden, 3 * hidden)
    keys |= linear("final_layer.linear", hidden, 64)
    return keys | linear("final_layer.adaLN_modulation.1", hidden, 2 * hidden)


def list_dit_2_1(hidden=128, context=1024, depth=7):
    """Hunyuan3D 2.1: a DiT with skip connections, experts in its last six blocks. 16 heads."""
    keys = linear("x_embedder", 64, hidden)
    keys |= linear("t_embedder.mlp.0", hidden, 4 * hidden) | linear("t_embedder.mlp.2", 4 * hidden, hidden)
    for number in range(depth):
        block = f"blocks.{number}"
        for name in ("norm1", "norm2", "norm3", *(("skip_norm",) if number > depth // 2 else ())):
            keys |= norm(f"{block}.{name}", hidden)
        if number > depth // 2:
            keys |= linear(f"{block}.skip_linear", 2 * hidden, hidden)
        for name, source in (("attn1", hidden), ("attn2", context)):
            keys |= linear(f"{block}.{name}.to_q", hidden, hidden, bias=False)
            keys |= linear(f"{block}.{name}.to_k", source, hidden, bias=False)
            keys |= linear(f"{block}.{name}.to_v", source, hidden, bias=False)
            for kind in ("q_norm", "k_norm"):
                keys |= norm(f"{block}.{name}.{kind}", hidden // 16, bias=False)
            keys |= linear(f"{block}.{name}.out_proj", hidden, hidden)
        if depth - number <= 6:
            keys[f"{block}.moe.gate.weight"] = (8, hidden)
            for expert in ("shared_experts", *(f"experts.{expert}" for expert in range(8))):
                keys |= linear(f"{block}.moe.{expert}.net.0.proj", hidden, 4 * hidden)
                keys |= linear(f"{block}.moe.{expert}.net.2", 4 * hidden, hidden)
        else:
            keys |= linear(f"{block}.mlp.fc1", hidden, 4 * hidden)
            keys |= linear(f"{block}.mlp.fc2", 4 * hidden, hidden)
    return keys | norm("final_layer.norm_final", hidden) | linear("final_layer.linear", hidden, 64)


def list_dino(width=128, layers=2, swiglu=True):
    """DINOv2 as transformers names it, at its 518 pixels."""
    keys = {"embeddings.cls_token": (1, 1, width), "embeddings.mask_token": (1, width)}
    keys["embeddings.position_embeddings"] = (1, 1370, width)
    keys["embeddings.patch_embeddings.projection.weight"] = (width, 3, 14, 14)
    keys["embeddings.patch_embeddings.projection.bias"] = (width,)
    for layer in (f"encoder.layer.{number}" for number in range(layers)):
        keys |= norm(f"{layer}.norm1", width) | norm(f"{layer}.norm2", width)
        for name in ("query", "key", "value"):
            keys |= linear(f"{layer}.attention.attention.{name}", width, width)
        keys |= linear(f"{layer}.attention.output.dense", width, width)
        keys |= {f"{layer}.layer_scale{number}.lambda1": (width,) for number in (1, 2)}
        if swiglu:
            inner = (int(width * 4 * 2 / 3) + 7) // 8 * 8
            keys |= linear(f"{layer}.mlp.weights_in", width, 2 * inner)
            keys |= linear(f"{layer}.mlp.weights_out", inner, width)
        else:
            keys |= linear(f"{layer}.mlp.fc1", width, 4 * width)
            keys |= linear(f"{layer}.mlp.fc2", 4 * width, width)
    return keys | norm("layernorm", width)


def list_vae(width=64, head=16, layers=2, downsample=1, expand=4, ln_post=True):
    """The shape decoder; turbo decoders are narrower inside and have no last norm."""
    inner, keys = width // downsample, linear("post_kl", 64, width)
    for block in (f"transformer.resblocks.{number}" for number in range(layers)):
        keys |= linear(f"{block}.attn.c_qkv", width, 3 * width, bias=False)
        keys |= linear(f"{block}.attn.c_proj", width, width)
        keys |= norm(f"{block}.attn.attention.q_norm", head) | norm(f"{block}.attn.attention.k_norm", head)
        keys |= norm(f"{block}.ln_1", width) | norm(f"{block}.ln_2", width)
        keys |= linear(f"{block}.mlp.c_fc", width, 4 * width) | linear(
            f"{block}.mlp.c_proj", 4 * width, width
        )
    decoder, block = "geo_decoder", "geo_decoder.cross_attn_decoder"
    keys |= linear(f"{decoder}.query_proj", 51, inner)
    if downsample != 1:
        keys |= linear(f"{decoder}.latents_proj", width, inner)
    keys |= linear(f"{block}.attn.c_q", inner, inner, bias=False)
    keys |= linear(f"{block}.attn.c_kv", inner, 2 * inner, bias=False)
    keys |= linear(f"{block}.attn.c_proj", inner, inner)
    if ln_post:
        keys |= norm(f"{block}.attn.attention.q_norm", head) | norm(f"{block}.attn.attention.k_norm", head)
    for name in ("ln_1", "ln_2", "ln_3"):
        keys |= norm(f"{block}.{name}", inner)
    keys |= linear(f"{block}.mlp.c_fc", inner, expand * inner)
    keys |= linear(f"{block}.mlp.c_proj", expand * inner, inner)
    if ln_post:
        keys |= norm(f"{decoder}.ln_post", inner)
    return keys | linear(f"{decoder}.output_proj", inner, 1)


def draw_weights(shapes, seed):
    """Random tensors that keep activations near size one: (name -> shape) -> (name -> float32)."""
    weights = {}
    for number, (name, shape) in enumerate(sorted(shapes.items())):
        drawn = np.random.default_rng((seed, number)).standard_normal(shape)
        if len(shape) >= 2:
            drawn /= np.sqrt(np.prod(shape[1:]))
        elif name.endswith((".weight", ".scale", ".lambda1")):
            drawn = 1 + 0.1 * drawn
        else:
            drawn *= 0.05
        weights[name] = torch.from_numpy(drawn.astype(np.float32))
    return weights


LAYOUTS = {
    "2.0": lambda: (list_dit_2_0(), list_dino(), list_vae()),
    "fast": lambda: (
        list_dit_2_0(guidance=True),
        list_dino(),
        list_vae(downsample=2, expand=1, ln_post=False),
    ),
    "mini": lambda: (list_dit_2_0(double=8, single=1), list_dino(), list_vae()),
    "2.1": lambda: (list_dit_2_1(), list_dino(1024, 2, swiglu=False), list_vae()),
}


def draw_checkpoint(layout, seed=0):
    """The flat weights of a whole file: `model.*`, `conditioner.*` and `vae.*`."""
    dit, dino, vae = (draw_weights(shapes, seed + part) for part, shapes in enumerate(LAYOUTS[layout]()))
    weights = {f"model.{name}": value for name, value in dit.items()}
    weights |= {DINO + name: value for name, value in dino.items()}
    return weights | {f"vae.{name}": value for name, value in vae.items()}


def save_checkpoint(path, weights, dtype=torch.float16):
    """Write a safetensors file, or a pickle of one dictionary for each part, by the path's suffix."""
    weights = {name: value.to(dtype).contiguous() for name, value in weights.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file(weights, str(path))
        return
    parts = {}
    for name, value in weights.items():
        part, _, key = name.partition(".")
        parts.setdefault(part, {})[key] = value
    torch.save(parts, path)


def read_figure_decoder():
    """The tensors of the decoder that makes a figure of any latent (tests/golden/fit_figure.py)."""
    fitted = np.load(Path(__file__).with_name("golden") / "figure_decoder.npz")
    return {name: torch.from_numpy(fitted[name].astype(np.float32)) for name in fitted}


def draw_figure_checkpoint(layout="mini", seed=0):
    """As draw_checkpoint, but its decoder makes a figure of any latent."""
    weights = draw_checkpoint(layout, seed) | read_figure_decoder()
    for kind in ("weight", "bias"):
        weights[f"vae.geo_decoder.cross_attn_decoder.attn.c_proj.{kind}"].zero_()
    return weights


def widen(weight, times=16):
    """A tensor of a layer that works on `times` copies of its channels as the given one does on the channels.

    Layer norms give the same for the copies. Points go in (51) and a distance comes out (1) as they are.
    """
    if weight.ndim == 1:
        return weight.repeat(1 if len(weight) == 1 else times)
    rows, columns = (1 if size in (1, 51) else times for size in weight.shape)
    return weight.repeat(rows, columns) / columns


def draw_full_figure_checkpoint(seed=0):
    """Hunyuan3D 2.1 for ComfyUI's own loader, whose decoder and encoder of pictures have the published sizes.

    Zeros, but for a small diffusion model and the decoder of the figure: 1.1 GB.
    """
    weights = {f"model.{name}": value for name, value in draw_weights(list_dit_2_1(), seed).items()}
    shapes = {DINO + name: shape for name, shape in list_dino(1024, 24, swiglu=False).items()}
    shapes |= {f"vae.{name}": shape for name, shape in list_vae(1024, 64, 16).items()}
    weights |= {name: torch.zeros(shape, dtype=torch.float16) for name, shape in shapes.items()}
    return weights | {name: widen(value) for name, value in read_figure_decoder().items()}
