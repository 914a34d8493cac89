"""A small random SkinTokens file in the published layout: narrow and shallow, its vocabulary whole.

All numbers are drawn from numpy's PCG64, so the same arguments give the same numbers everywhere.
"""

import torch

from .small_hunyuan3d import draw_weights, linear, norm

FILE = "grpo_1400.ckpt"
SMALL = {
    "cloud": 128,
    "cloud_depth": 2,
    "skin": 128,
    "skin_depth": 2,
    "code": 32,
    "hidden": 64,
    "layers": 2,
    "heads": 4,
    "head": 32,
    "inner": 96,
}
PUBLISHED = {
    "cloud": 512,
    "cloud_depth": 8,
    "skin": 768,
    "skin_depth": 10,
    "code": 512,
    "hidden": 896,
    "layers": 28,
    "heads": 16,
    "head": 128,
    "inner": 3072,
}
POINT, VOCABULARY = 54, 33036
BRANCH, END_OF_SKELETON = 256, 258
FREQUENT = {BRANCH: 1.7, END_OF_SKELETON: 2.0}
"""Tokens that a random model is to choose now and then, so that its skeletons branch and end."""


def list_cloud_block(name, width, context=False):
    """A block of the encoder of the whole shape."""
    keys = norm(f"{name}.ln_1", width) | norm(f"{name}.ln_2", width)
    if context:
        keys |= norm(f"{name}.ln_3", width)
        keys |= linear(f"{name}.attn.c_q", width, width, bias=False)
        keys |= linear(f"{name}.attn.c_kv", width, 2 * width, bias=False)
    else:
        keys |= linear(f"{name}.attn.c_qkv", width, 3 * width, bias=False)
    keys |= linear(f"{name}.attn.c_proj", width, width)
    return (
        keys | linear(f"{name}.mlp.c_fc", width, 4 * width) | linear(f"{name}.mlp.c_proj", 4 * width, width)
    )


def list_skin_block(name, width, context=False):
    """A block of the encoders and the decoder of skin."""
    number = 2 if context else 1
    keys = norm(f"{name}.norm{number}", width) | norm(f"{name}.norm3", width)
    if context:
        keys |= norm(f"{name}.attn2.norm_cross", width)
    for part in "qkv":
        keys |= linear(f"{name}.attn{number}.to_{part}", width, width, bias=False)
    keys |= linear(f"{name}.attn{number}.to_out.0", width, width)
    return (
        keys
        | linear(f"{name}.ff.net.0.proj", width, 4 * width)
        | linear(f"{name}.ff.net.2", 4 * width, width)
    )


def list_skin_encoder(name, width, inputs):
    keys = linear(f"{name}.proj_in", inputs, width) | list_skin_block(f"{name}.blocks.0", width, context=True)
    for number in (1, 2):
        keys |= list_skin_block(f"{name}.blocks.{number}", width)
    return keys | norm(f"{name}.norm_out", width)


def list_skin(width, depth, code):
    """The encoders and the decoder of skin, of which only training needs the first."""
    keys = list_skin_encoder("vae.model.encoder", width, POINT + 1)
    keys |= {"vae.model.encoder.learned_queries": (32, width)}
    keys |= list_skin_encoder("vae.model.cond_encoder", width, POINT)
    decoder = "vae.model.decoder"
    for number in range(depth):
        keys |= list_skin_block(f"{decoder}.blocks.{number}", width)
    keys |= list_skin_block(f"{decoder}.blocks.{depth}", width, context=True)
    keys |= linear(f"{decoder}.proj_query", POINT, width) | norm(f"{decoder}.norm_out", width)
    keys |= linear(f"{decoder}.proj_out", width, 1)
    keys |= linear("vae.model.cond_quant", width, code) | linear("vae.model.quant", width, code)
    keys |= linear("vae.model.post_quant", code, width)
    return keys | linear("vae.model.FSQ.project_in", code, 5) | linear("vae.model.FSQ.project_out", 5, code)


def list_cloud(width, depth):
    name = "mesh_encoder.encoder"
    keys = linear(f"{name}.input_proj", POINT, width) | list_cloud_block(f"{name}.cross_attn", width, True)
    for number in range(depth):
        keys |= list_cloud_block(f"{name}.self_attn.resblocks.{number}", width)
    return keys | norm(f"{name}.ln_post", width)


def list_language(hidden, layers, heads, head, inner):
    """Qwen3 as transformers names it, with half as many heads for keys and values."""
    keys = {"transformer.model.embed_tokens.weight": (VOCABULARY, hidden)}
    for layer in (f"transformer.model.layers.{number}" for number in range(layers)):
        keys |= norm(f"{layer}.input_layernorm", hidden, bias=False)
        keys |= norm(f"{layer}.post_attention_layernorm", hidden, bias=False)
        for part, count in (("q", heads), ("k", heads // 2), ("v", heads // 2)):
            keys |= linear(f"{layer}.self_attn.{part}_proj", hidden, count * head, bias=False)
        for part in "qk":
            keys |= norm(f"{layer}.self_attn.{part}_norm", head, bias=False)
        keys |= linear(f"{layer}.self_attn.o_proj", heads * head, hidden, bias=False)
        for part in ("gate", "up"):
            keys |= linear(f"{layer}.mlp.{part}_proj", hidden, inner, bias=False)
        keys |= linear(f"{layer}.mlp.down_proj", inner, hidden, bias=False)
    keys |= norm("transformer.model.norm", hidden, bias=False)
    return keys | {"transformer.lm_head.weight": (VOCABULARY, hidden)}


def list_keys(*, cloud, cloud_depth, skin, skin_depth, code, hidden, layers, heads, head, inner):
    """Names and shapes of the file's tensors."""
    keys = list_skin(skin, skin_depth, code) | list_cloud(cloud, cloud_depth)
    keys |= list_language(hidden, layers, heads, head, inner)
    return keys | linear("output_proj.0", cloud, hidden) | norm("output_proj.1", hidden, bias=False)


def draw_file(seed, sizes=None):
    """The file's tensors."""
    weights = draw_weights(list_keys(**(sizes or SMALL)), seed)
    embedding = weights["transformer.model.embed_tokens.weight"]
    for token, factor in FREQUENT.items():
        embedding[token] *= factor
    weights["transformer.lm_head.weight"] = embedding
    return weights


def save_file(folder, seed):
    """Write the file as it is published: Lightning's checkpoint, with names below `model`."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {f"model.{key}": value for key, value in draw_file(seed).items()}
    torch.save({"state_dict": state, "hyper_parameters": {"tokens_per_skin": 4}}, folder / FILE)
