"""Further uv sets, tangents and morph targets in glTF 2.0 (sections 3.7.2.1 and 3.7.2.2)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..mesh_extras import MeshExtras, MorphTarget
from ..types import FloatArray, Mesh
from .gltf_document import VERTICES, GltfDocument

_NAMES = "targetNames"
"""Where programs look for the names of morph targets, among a mesh's extras."""


def unmorph_positions(mesh: Mesh) -> FloatArray:
    """The positions (V, 3) without what morph targets add to them by their weights."""
    morphs = [] if mesh.extras is None else [morph for morph in mesh.extras.morphs if morph.weight]
    if not morphs:
        return mesh.positions
    positions = mesh.positions.astype(np.float64)
    for morph in morphs:
        positions[morph.vertices] -= morph.weight * morph.deltas
    return positions.astype(np.float32)


def add_uv_sets(document: GltfDocument, extras: MeshExtras) -> dict[str, int]:
    """Append the further uv sets, numbered from 1 without gaps; return their accessors by attribute."""
    ordered = [uvs for _, uvs in sorted(extras.uv_sets.items())]
    return {
        f"TEXCOORD_{number}": document.add_accessor(uvs.astype(np.float32), VERTICES)
        for number, uvs in enumerate(ordered, start=1)
    }


def add_tangents(document: GltfDocument, extras: MeshExtras) -> dict[str, int]:
    """Append the tangents, if there are any and all are sound; else programs compute them."""
    tangents = extras.list_unit_tangents()
    return {} if tangents is None else {"TANGENT": document.add_accessor(tangents, VERTICES)}


def add_targets(document: GltfDocument, mesh: Mesh) -> tuple[dict[str, Any], dict[str, Any]]:
    """Append the morph targets; return what each primitive says of them, and what the mesh does."""
    if mesh.extras is None or not mesh.extras.morphs:
        return {}, {}
    morphs = mesh.extras.morphs
    targets = [{"POSITION": _add_deltas(document, morph, len(mesh.positions))} for morph in morphs]
    weights = [float(morph.weight) for morph in morphs]
    return {"targets": targets}, {"weights": weights, "extras": {_NAMES: [morph.name for morph in morphs]}}


def _add_deltas(document: GltfDocument, morph: MorphTarget, vertex_count: int) -> int:
    """A sparse accessor: targets move a few vertices, such as those of a mouth."""
    low, high = (reduce(morph.deltas, axis=0, initial=0.0) for reduce in (np.min, np.max))
    accessor: dict[str, Any] = {
        "componentType": 5126,
        "count": vertex_count,
        "type": "VEC3",
        "min": low.tolist(),
        "max": high.tolist(),
    }
    if len(morph.vertices):
        accessor["sparse"] = {
            "count": len(morph.vertices),
            "indices": {
                "bufferView": document.add_view(morph.vertices.astype(np.uint32).tobytes()),
                "componentType": 5125,
            },
            "values": {"bufferView": document.add_view(morph.deltas.tobytes())},
        }
    return document.add("accessors", accessor)
