"""The tensors of Make-It-Animatable's files, by the names and with the shapes that they have there."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ..tensor_checks import Shapes, find_side, find_usual
from .joints import NAMES

_PUBLISHED_WIDTH, _PUBLISHED_DEPTH, _PUBLISHED_TREE_DEPTH = 512, 24, 8
_WAVES, _BASIS = 51, (3, 24)
_LAYERS = "base.layers."
_TREE = ".transformer.layers.layers."


def list_shapes(kind: str, tensors: Mapping[str, torch.Tensor]) -> Shapes:
    """Return the shapes of all tensors of one of the five kinds, in the sizes on which its tensors agree."""
    layers = {key: value for key, value in tensors.items() if key.startswith(_LAYERS)}
    width = find_usual(find_side(layers, 0, "norm.weight", "norm.bias"), _PUBLISHED_WIDTH)
    inner = find_usual(
        find_side(layers, 0, "to_q.weight")
        + find_side(layers, 0, "to_kv.weight", share=2)
        + find_side(layers, 1, "to_out.weight"),
        _PUBLISHED_WIDTH,
    )
    is_published = width == _PUBLISHED_WIDTH
    depth = _PUBLISHED_DEPTH if is_published else _count(tensors, _LAYERS)
    shapes = _list_base(width, depth, inner)
    if kind.startswith("joints"):
        shapes["joints_embed"] = (1, len(NAMES), width)
    tree = f"{'pose_head' if kind == 'pose' else 'joints_head'}{_TREE}"
    tree_depth = _PUBLISHED_TREE_DEPTH if is_published else _count(tensors, tree)
    if kind == "joints_coarse":
        shapes |= _linear("joints_head", width, 6)
    elif kind == "joints":
        shapes |= _list_tree(tree, width, tree_depth) | _linear("joints_head.decoder", width, 6)
        shapes |= _linear("joints_head.encoder.mlp", 2 * _WAVES, width)
    elif kind == "pose":
        shapes["pose_embed"] = (1, len(NAMES), width)
        shapes |= _list_tree(tree, width, tree_depth) | _linear("pose_head.encoder", 6, width)
        shapes |= _linear("pose_head.decoder.rotation_mlp", width, 6)
        shapes |= _linear("joints_embedder.mlp", 2 * _WAVES, width)
    else:
        shapes |= _linear("bw_head", width, len(NAMES))
    if kind == "bw_normal":
        own = {key: value for key, value in tensors.items() if key.startswith("input_attn.attn.")}
        sides = find_side(own, 0, "to_q.weight") + find_side(own, 0, "to_kv.weight", share=2)
        inner = find_usual(sides + find_side(own, 1, "to_out.weight"), _PUBLISHED_WIDTH)
        shapes |= _linear("normal_embed.mlp", _WAVES, width)
        shapes |= _list_attention("input_attn.attn", width, inner)
        shapes |= _norm("input_attn.norm", width) | _norm("input_attn.norm_context", width)
    return shapes


def _count(tensors: Mapping[str, torch.Tensor], prefix: str) -> int:
    """One more than the highest number after a prefix; at least 1."""
    numbers = [key.removeprefix(prefix).split(".")[0] for key in tensors if key.startswith(prefix)]
    return 1 + max((int(number) for number in numbers if number.isdecimal()), default=0)


def _linear(name: str, inputs: int, outputs: int, *, bias: bool = True) -> dict[str, tuple[int, ...]]:
    weight: dict[str, tuple[int, ...]] = {f"{name}.weight": (outputs, inputs)}
    return weight | ({f"{name}.bias": (outputs,)} if bias else {})


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _list_attention(name: str, width: int, inner: int) -> dict[str, tuple[int, ...]]:
    shapes = _linear(f"{name}.to_q", width, inner, bias=False)
    shapes |= _linear(f"{name}.to_kv", width, 2 * inner, bias=False)
    return shapes | _linear(f"{name}.to_out", inner, width)


def _list_block(
    name: str, width: int, inner: int, *, has_context: bool = False
) -> dict[str, tuple[int, ...]]:
    """Norms and attention."""
    shapes = _norm(f"{name}.norm", width) | _list_attention(f"{name}.fn", width, inner)
    return shapes | (_norm(f"{name}.norm_context", width) if has_context else {})


def _list_feed_forward(name: str, width: int) -> dict[str, tuple[int, ...]]:
    """Norm and the gated feed-forward layer."""
    shapes = _norm(f"{name}.norm", width) | _linear(f"{name}.fn.net.0", width, 8 * width)
    return shapes | _linear(f"{name}.fn.net.2", 4 * width, width)


def _list_base(width: int, depth: int, inner: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"base.point_embed.basis": _BASIS}
    shapes |= _linear("base.point_embed.mlp", _WAVES, width) | _linear("base.to_outputs", width, 1)
    blocks = "base.cross_attend_blocks"
    shapes |= _list_block(f"{blocks}.0", width, width, has_context=True)
    shapes |= _list_feed_forward(f"{blocks}.1", width)
    for layer in (f"{_LAYERS}{number}" for number in range(depth)):
        shapes |= _list_block(f"{layer}.0", width, inner) | _list_feed_forward(f"{layer}.1", width)
    return shapes | _list_block("base.decoder_cross_attn", width, width, has_context=True)


def _list_tree(prefix: str, width: int, depth: int) -> dict[str, tuple[int, ...]]:
    """torch's transformer layers."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in (f"{prefix}{number}" for number in range(depth)):
        shapes |= {f"{layer}.self_attn.in_proj_weight": (3 * width, width)}
        shapes |= {f"{layer}.self_attn.in_proj_bias": (3 * width,)}
        shapes |= _linear(f"{layer}.self_attn.out_proj", width, width)
        shapes |= _linear(f"{layer}.linear1", width, 4 * width) | _linear(
            f"{layer}.linear2", 4 * width, width
        )
        shapes |= _norm(f"{layer}.norm1", width) | _norm(f"{layer}.norm2", width)
    return shapes
