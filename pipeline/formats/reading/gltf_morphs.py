"""Morph targets of glTF primitives as data (section 3.7.2.2), whatever of them the positions show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...mesh_extras import MorphTarget
from .gltf_accessors import read_numbers
from .gltf_container import GltfFile


def read_targets(
    file: GltfFile,
    mesh: Mapping[str, Any],
    primitive: Mapping[str, Any],
    weights: Sequence[float],
    count: int,
) -> tuple[MorphTarget, ...]:
    """The morph targets of a primitive with `count` vertices; FormatError if they do not fit it."""
    targets = file.get(primitive, "targets", list, [])
    names = _read_names(mesh) or _read_names(primitive)
    found = []
    for number, target in enumerate(targets):
        if not isinstance(target, dict) or "POSITION" not in target:
            continue
        deltas = read_numbers(file, target["POSITION"], "VEC3")
        if len(deltas) != count or not np.isfinite(deltas).all():
            raise file.damaged(f"morph target {number + 1} has {len(deltas)} deltas for {count} vertices")
        name = names[number] if number < len(names) else f"morph {number + 1}"
        weight = weights[number] if number < len(weights) else 0.0
        found.append(MorphTarget.from_dense(name, deltas, weight))
    return tuple(found)


def _read_names(owner: Mapping[str, Any]) -> list[str]:
    """The names that programs write among the extras of a mesh or of a primitive."""
    extras = owner.get("extras")
    names = extras.get("targetNames") if isinstance(extras, dict) else None
    return [str(name) for name in names] if isinstance(names, list) else []
