"""Small random Make-It-Animatable files in the layouts of the published ones: narrow and shallow.

All numbers are drawn from numpy's PCG64, so the same arguments give the same numbers everywhere.
"""

import math

import torch

from .small_hunyuan3d import draw_weights, linear, norm

FILES = ("joints_coarse.pth", "joints.pth", "pose.pth", "bw.pth", "bw_normal.pth")
SMALL = {"width": 64, "depth": 2, "inner": 128, "tree_depth": 8}
PUBLISHED = {"width": 512, "depth": 24, "inner": 512, "tree_depth": 8}
_SHARES = {
    "joints_head.weight": 0.3,
    "joints_head.decoder.weight": 0.3,
    "joints_head.encoder.mlp.weight": 0.001,
}
_JOINTS, _WAVES = 52, 51


def list_attention(name, width, inner):
    keys = linear(f"{name}.to_q", width, inner, bias=False)
    keys |= linear(f"{name}.to_kv", width, 2 * inner, bias=False)
    return keys | linear(f"{name}.to_out", inner, width)


def list_block(name, width, inner=None, context=False):
    """Norms and attention, or, without `inner`, the gated feed-forward."""
    keys = norm(f"{name}.norm", width) | (norm(f"{name}.norm_context", width) if context else {})
    if inner is not None:
        return keys | list_attention(f"{name}.fn", width, inner)
    return keys | linear(f"{name}.fn.net.0", width, 8 * width) | linear(f"{name}.fn.net.2", 4 * width, width)


def list_base(width, depth, inner):
    keys = {"base.point_embed.basis": (3, 24)} | linear("base.point_embed.mlp", _WAVES, width)
    keys |= list_block("base.cross_attend_blocks.0", width, width, context=True)
    keys |= list_block("base.cross_attend_blocks.1", width)
    for layer in (f"base.layers.{number}" for number in range(depth)):
        keys |= list_block(f"{layer}.0", width, inner) | list_block(f"{layer}.1", width)
    keys |= list_block("base.decoder_cross_attn", width, width, context=True)
    return keys | linear("base.to_outputs", width, 1)


def list_tree(name, width, depth):
    """torch's transformer layers."""
    keys = {}
    for layer in (f"{name}.transformer.layers.layers.{number}" for number in range(depth)):
        keys[f"{layer}.self_attn.in_proj_weight"] = (3 * width, width)
        keys[f"{layer}.self_attn.in_proj_bias"] = (3 * width,)
        keys |= linear(f"{layer}.self_attn.out_proj", width, width)
        keys |= linear(f"{layer}.linear1", width, 4 * width) | linear(f"{layer}.linear2", 4 * width, width)
        keys |= norm(f"{layer}.norm1", width) | norm(f"{layer}.norm2", width)
    return keys


def list_keys(file, *, width, depth, inner, tree_depth):
    """Names and shapes of the tensors of one of FILES."""
    keys = list_base(width, depth, inner)
    if file.startswith("joints"):
        keys["joints_embed"] = (1, _JOINTS, width)
    if file == "joints_coarse.pth":
        keys |= linear("joints_head", width, 6)
    elif file == "joints.pth":
        keys |= list_tree("joints_head", width, tree_depth) | linear("joints_head.decoder", width, 6)
        keys |= linear("joints_head.encoder.mlp", 2 * _WAVES, width)
    elif file == "pose.pth":
        keys["pose_embed"] = (1, _JOINTS, width)
        keys |= list_tree("pose_head", width, tree_depth) | linear("pose_head.encoder", 6, width)
        keys |= linear("pose_head.decoder.rotation_mlp", width, 6)
        keys |= linear("joints_embedder.mlp", 2 * _WAVES, width)
    else:
        keys |= linear("bw_head", width, _JOINTS)
    if file == "bw_normal.pth":
        keys |= linear("normal_embed.mlp", _WAVES, width) | list_attention("input_attn.attn", width, 512)
        keys |= norm("input_attn.norm", width) | norm("input_attn.norm_context", width)
    return keys


def draw_file(file, seed, sizes=None):
    """The tensors of one of FILES, each with numbers of its own.

    Joints are near the body, and hear little of where their parents are: ten levels of that were chaos.
    """
    weights = draw_weights(list_keys(file, **(sizes or SMALL)), 100 * seed + FILES.index(file))
    for name in {"joints_embed", "pose_embed"} & weights.keys():
        weights[name] *= weights[name][0].numel() ** 0.5
    for name, share in _SHARES.items():
        if name in weights:
            weights[name] *= share
    bands = math.pi * 2.0 ** torch.arange(8)
    weights["base.point_embed.basis"] = torch.block_diag(bands, bands, bands)
    return weights


def save_files(folder, seed, files=FILES):
    """Write files as they are published: a pickle whose `model` has the tensors."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        torch.save({"model": draw_file(file, seed)}, folder / file)
