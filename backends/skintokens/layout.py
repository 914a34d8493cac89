"""The tensors of the published file: their names there, their shapes, and where they go in our modules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from ..tensor_checks import Shapes, find_side, find_usual
from .blocks import POINT_WIDTH
from .skin import ENCODER_DEPTH
from .tokens import LEVELS, VOCABULARY

TABLE, SAME_TABLE = "transformer.model.embed_tokens.weight", "transformer.lm_head.weight"
"""The language model's table of words, which is stored twice."""
TRAINING_ONLY = ("vae.model.encoder.", "vae.model.quant.", "vae.model.FSQ.project_in.")
_SHAPE, _SKIN, _LANGUAGE = "mesh_encoder.encoder.", "vae.model.", "transformer.model."
_DEPTHS = {"shape_depth": (512, 8), "skin_depth": (768, 10), "layers": (896, 28)}
"""What is deep -> its published width and depth."""


@dataclass(frozen=True)
class Sizes:
    """Widths and depths of the three networks, and of a code."""

    shape: int
    shape_depth: int
    skin: int
    skin_depth: int
    code: int
    hidden: int
    layers: int
    heads: int
    shared_heads: int
    head: int
    inner: int


def find_sizes(tensors: Mapping[str, torch.Tensor]) -> Sizes:
    """Return the sizes on which most tensors agree; the published depths at the published widths."""

    def find(prefix: str, axis: int, *ends: str, otherwise: int) -> int:
        part = {key: value for key, value in tensors.items() if key.startswith(prefix)}
        return find_usual(find_side(part, axis, *ends), otherwise)

    layers = f"{_LANGUAGE}layers."
    shape = find(_SHAPE, 0, "ln_1.weight", "ln_2.weight", "ln_2.bias", otherwise=512)
    skin = find(f"{_SKIN}decoder.", 0, "norm3.weight", "norm3.bias", otherwise=768)
    hidden = find(layers, 0, "layernorm.weight", otherwise=896)
    head = find(layers, 0, "q_norm.weight", "k_norm.weight", otherwise=128)
    queries = find_side(tensors, 0, "q_proj.weight") + find_side(tensors, 1, "self_attn.o_proj.weight")
    widths = {"shape_depth": shape, "skin_depth": skin, "layers": hidden}
    counted = {
        "shape_depth": _count(tensors, f"{_SHAPE}self_attn.resblocks."),
        "skin_depth": _count(tensors, f"{_SKIN}decoder.blocks.") - 1,
        "layers": _count(tensors, layers),
    }
    depths = {
        name: depth if widths[name] == width else counted[name] for name, (width, depth) in _DEPTHS.items()
    }
    return Sizes(
        shape=shape,
        skin=skin,
        code=find(_SKIN, 0, "cond_quant.weight", "cond_quant.bias", "project_out.weight", otherwise=512),
        hidden=hidden,
        heads=max(find_usual(queries, 2048) // head, 1),
        shared_heads=max(find(layers, 0, "k_proj.weight", "v_proj.weight", otherwise=1024) // head, 1),
        head=head,
        inner=find(layers, 0, "gate_proj.weight", "up_proj.weight", otherwise=3072),
        **depths,
    )


def list_shapes(sizes: Sizes) -> Shapes:
    """Return the shapes of all tensors that the networks need, by their names in the file."""
    return {name: shape for name, _, shape in _list_all(sizes)}


def rename_tensors(tensors: Mapping[str, torch.Tensor], sizes: Sizes) -> dict[str, torch.Tensor]:
    """The tensors by the names of our modules; query, key and value of an attention become one."""
    parts: dict[str, list[torch.Tensor]] = {}
    for name, ours, _ in _list_all(sizes):
        parts.setdefault(ours, []).append(tensors[name])
    return {ours: torch.cat(some) if len(some) > 1 else some[0] for ours, some in parts.items()}


_Entry = tuple[str, str, tuple[int, ...]]
"""Name in the file, name in our modules, shape."""


def _list_all(sizes: Sizes) -> Iterator[_Entry]:
    yield from _list_shape(sizes)
    yield from _list_skin(sizes)
    yield from _list_language(sizes)


def _list_shape(sizes: Sizes) -> Iterator[_Entry]:
    yield from _linear(f"{_SHAPE}input_proj", "shape.embed", POINT_WIDTH, sizes.shape)
    yield from _list_shape_block(f"{_SHAPE}cross_attn", "shape.look", sizes.shape, has_context=True)
    for number in range(sizes.shape_depth):
        name = f"{_SHAPE}self_attn.resblocks.{number}"
        yield from _list_shape_block(name, f"shape.blocks.{number}", sizes.shape)
    yield from _norm(f"{_SHAPE}ln_post", "shape.norm", sizes.shape)
    yield from _linear("output_proj.0", "shape.say", sizes.shape, sizes.hidden)
    yield "output_proj.1.weight", "shape.scale.weight", (sizes.hidden,)


def _list_shape_block(name: str, ours: str, width: int, *, has_context: bool = False) -> Iterator[_Entry]:
    yield from _norm(f"{name}.ln_1", f"{ours}.norm", width)
    if has_context:
        yield from _norm(f"{name}.ln_2", f"{ours}.norm_context", width)
        yield f"{name}.attn.c_q.weight", f"{ours}.query.weight", (width, width)
        yield f"{name}.attn.c_kv.weight", f"{ours}.keys.weight", (2 * width, width)
    else:
        yield f"{name}.attn.c_qkv.weight", f"{ours}.keys.weight", (3 * width, width)
    yield from _linear(f"{name}.attn.c_proj", f"{ours}.out", width, width)
    yield from _norm(f"{name}.ln_{3 if has_context else 2}", f"{ours}.norm_feed", width)
    yield from _linear(f"{name}.mlp.c_fc", f"{ours}.widen", width, 4 * width)
    yield from _linear(f"{name}.mlp.c_proj", f"{ours}.narrow", 4 * width, width)


def _list_skin(sizes: Sizes) -> Iterator[_Entry]:
    width, encoder, decoder = sizes.skin, f"{_SKIN}cond_encoder.", f"{_SKIN}decoder."
    yield from _linear(f"{encoder}proj_in", "skin.embed", POINT_WIDTH, width)
    yield from _list_skin_block(f"{encoder}blocks.0", "skin.look", width, has_context=True)
    for number in range(ENCODER_DEPTH):
        yield from _list_skin_block(f"{encoder}blocks.{number + 1}", f"skin.blocks.{number}", width)
    yield from _norm(f"{encoder}norm_out", "skin.norm", width)
    yield from _linear(f"{_SKIN}cond_quant", "skin.narrow", width, sizes.code)
    yield from _linear(f"{_SKIN}FSQ.project_out", "skin.read_code", len(LEVELS), sizes.code)
    yield from _linear(f"{_SKIN}post_quant", "skin.widen", sizes.code, width)
    for number in range(sizes.skin_depth):
        yield from _list_skin_block(f"{decoder}blocks.{number}", f"skin.decode_blocks.{number}", width)
    yield from _list_skin_block(f"{decoder}blocks.{sizes.skin_depth}", "skin.ask", width, has_context=True)
    yield from _linear(f"{decoder}proj_query", "skin.embed_queries", POINT_WIDTH, width)
    yield from _norm(f"{decoder}norm_out", "skin.norm_out", width)
    yield from _linear(f"{decoder}proj_out", "skin.out", width, 1)


def _list_skin_block(name: str, ours: str, width: int, *, has_context: bool = False) -> Iterator[_Entry]:
    number = 2 if has_context else 1
    attention = f"{name}.attn{number}"
    yield from _norm(f"{name}.norm{number}", f"{ours}.norm", width)
    if has_context:
        yield from _norm(f"{attention}.norm_cross", f"{ours}.norm_context", width)
    for part in "qkv":
        own = "query" if has_context and part == "q" else "keys"
        yield f"{attention}.to_{part}.weight", f"{ours}.{own}.weight", (width, width)
    yield from _linear(f"{attention}.to_out.0", f"{ours}.out", width, width)
    yield from _norm(f"{name}.norm3", f"{ours}.norm_feed", width)
    yield from _linear(f"{name}.ff.net.0.proj", f"{ours}.widen", width, 4 * width)
    yield from _linear(f"{name}.ff.net.2", f"{ours}.narrow", 4 * width, width)


def _list_language(sizes: Sizes) -> Iterator[_Entry]:
    hidden, query, key = sizes.hidden, sizes.heads * sizes.head, sizes.shared_heads * sizes.head
    shapes: dict[str, tuple[int, ...]] = {"embed_tokens.weight": (VOCABULARY, hidden)}
    for layer in (f"layers.{number}." for number in range(sizes.layers)):
        shapes |= {f"{layer}{name}_layernorm.weight": (hidden,) for name in ("input", "post_attention")}
        attention = f"{layer}self_attn."
        shapes |= {f"{attention}q_proj.weight": (query, hidden), f"{attention}o_proj.weight": (hidden, query)}
        shapes |= {f"{attention}{part}_proj.weight": (key, hidden) for part in "kv"}
        shapes |= {f"{attention}{part}_norm.weight": (sizes.head,) for part in "qk"}
        shapes |= {f"{layer}mlp.{part}_proj.weight": (sizes.inner, hidden) for part in ("gate", "up")}
        shapes |= {f"{layer}mlp.down_proj.weight": (hidden, sizes.inner)}
    for name, shape in (shapes | {"norm.weight": (hidden,)}).items():
        yield _LANGUAGE + name, f"language.{name}", shape


def _linear(name: str, ours: str, inputs: int, outputs: int) -> Iterator[_Entry]:
    yield f"{name}.weight", f"{ours}.weight", (outputs, inputs)
    yield f"{name}.bias", f"{ours}.bias", (outputs,)


def _norm(name: str, ours: str, width: int) -> Iterator[_Entry]:
    yield f"{name}.weight", f"{ours}.weight", (width,)
    yield f"{name}.bias", f"{ours}.bias", (width,)


def _count(tensors: Mapping[str, torch.Tensor], prefix: str) -> int:
    """One more than the highest number after a prefix; at least 1."""
    numbers = [key.removeprefix(prefix).split(".")[0] for key in tensors if key.startswith(prefix)]
    return 1 + max((int(number) for number in numbers if number.isdecimal()), default=0)
