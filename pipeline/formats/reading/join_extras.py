"""What the parts of a file have beside their surface, as that of one mesh."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...conventions import MAX_INFLUENCES
from ...mesh_extras import MeshExtras, MorphTarget, OwnRig
from ...types import Float64Array, FloatArray, IntArray, SkinWeights
from .model import Influences, Model, Part


def join_extras(model: Model, offset: Float64Array) -> MeshExtras | None:
    """The extras of all parts, moved by an offset (3,); None if there are none."""
    parts = model.parts
    rig = None
    if model.skeleton is not None:
        rig = OwnRig(model.skeleton, _join_skin(parts), model.clips).transform(np.eye(3), 1.0, offset)
    extras = MeshExtras(_join_uv_sets(parts), _join_morphs(parts), rig, _join_tangents(parts))
    return extras if extras.describe() else None


def _join_uv_sets(parts: Sequence[Part]) -> dict[int, FloatArray]:
    """The uv sets that textures do not use, by their numbers; 0 where a part does not have them."""
    others = [_list_others(part) for part in parts]
    numbers = sorted({number for sets in others for number in sets})
    joined = {}
    for number in numbers:
        own = [
            sets.get(number, np.zeros((len(part.positions), 2)))
            for part, sets in zip(parts, others, strict=True)
        ]
        joined[number] = np.nan_to_num(np.concatenate(own), posinf=0, neginf=0).astype(np.float32)
    return joined


def _list_others(part: Part) -> dict[int, FloatArray]:
    """The sets of a part but the one that its textures use; set 0 takes the number of that one."""
    texture = part.material.leading_texture if part.material else None
    leading = texture.uv_set if texture else 0
    return {number or leading: uvs for number, uvs in part.uvs.items() if number != leading}


def _join_morphs(parts: Sequence[Part]) -> tuple[MorphTarget, ...]:
    """The morph targets, those of one name and weight as one."""
    starts = np.cumsum([0, *(len(part.positions) for part in parts)])
    found: dict[tuple[str, float], list[MorphTarget]] = {}
    for part, start in zip(parts, starts, strict=False):
        for morph in part.morphs:
            moved = MorphTarget(morph.name, morph.vertices + start, morph.deltas, morph.weight)
            found.setdefault((morph.name, morph.weight), []).append(moved)
    return tuple(
        MorphTarget(
            name,
            np.concatenate([morph.vertices for morph in own]),
            np.concatenate([morph.deltas for morph in own]),
            weight,
        )
        for (name, weight), own in found.items()
    )


def _join_tangents(parts: Sequence[Part]) -> FloatArray | None:
    """Tangents if every part has them; else they are computed later, for all."""
    tangents = [part.tangents for part in parts if part.tangents is not None and part.uvs]
    return np.concatenate(tangents) if len(tangents) == len(parts) else None


def _join_skin(parts: Sequence[Part]) -> SkinWeights:
    """The strongest influences on each vertex; what no joint moves follows the first one."""
    kept = [_keep_strongest(part.influences, len(part.positions)) for part in parts]
    return SkinWeights(*(np.concatenate(arrays) for arrays in zip(*kept, strict=True)))


def _keep_strongest(influences: Influences | None, count: int) -> tuple[IntArray, Float64Array]:
    """Joints and weights, (V, MAX_INFLUENCES) each."""
    joints, weights = np.zeros((count, MAX_INFLUENCES), np.uint16), np.zeros((count, MAX_INFLUENCES))
    if influences is not None:
        order = np.argsort(-influences.weights, axis=1, kind="stable")[:, :MAX_INFLUENCES]
        joints[:, : order.shape[1]] = np.take_along_axis(influences.joints, order, axis=1)
        weights[:, : order.shape[1]] = np.take_along_axis(influences.weights, order, axis=1)
    total = weights.sum(axis=1, keepdims=True)
    weights[:, :1] = np.where(total > 0, weights[:, :1], 1.0)
    return joints, weights / np.where(total > 0, total, 1.0)
