"""The parts of a file as one mesh with its materials."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...mesh.topology import drop_collapsed
from ...mesh.weld import weld_equal
from ...types import Float64Array, FloatArray, IntArray, Mesh, TexturedMesh
from .join_extras import join_extras
from .materials import make_materials
from .model import Model, Part, SourceMaterial

_STEPS = 2e-5
"""Of the mesh's extent; coordinates that float32 rounds to more than this show steps in the surface."""


def join_parts(model: Model) -> tuple[Mesh | TexturedMesh, list[str]]:
    """All parts as one mesh, and what was changed or lost, one sentence each.

    A mesh without materials is a Mesh; if it has neither colors nor uvs, vertices at one place are merged. A
    mesh so far from the origin that float32 would coarsen it is moved there.
    """
    parts, warnings = model.parts, list(model.warnings)
    positions = np.concatenate([part.positions for part in parts])
    offset = _find_offset(positions, warnings)
    positions, extras = positions + offset, join_extras(model, offset)
    faces = _join_faces(parts)
    colors, uvs = _join_colors(parts), _join_uvs(parts)
    if all(part.material is None for part in parts):
        if colors is None and uvs is None:
            welded = weld_equal(positions.astype(np.float32))
            whole = Mesh(positions, faces, extras=extras)
            return whole.take_vertices(welded.first, drop_collapsed(welded.inverse[faces])), warnings
        return Mesh(positions, faces, _join_normals(parts), uvs, colors, extras=extras), warnings
    sources = list(dict.fromkeys(part.material or DEFAULT for part in parts))
    materials = make_materials(sources, warnings)
    numbers = None
    if len(sources) > 1:
        own = [sources.index(part.material or DEFAULT) for part in parts]
        numbers = np.repeat(own, [len(part.positions) for part in parts])
    if uvs is None:
        uvs = np.full((len(positions), 2), 0.5)
    mesh = Mesh(positions, faces, _join_normals(parts), uvs, colors, numbers, extras)
    return TexturedMesh(mesh, materials[0], tuple(materials[1:])), warnings


DEFAULT = SourceMaterial()
"""The material of parts without one, beside parts with one: glTF's default."""


def _find_offset(positions: Float64Array, warnings: list[str]) -> Float64Array:
    """What to add (3,) so that float32 can hold the positions: 0, or what brings them to the origin."""
    low, high = positions.min(axis=0), positions.max(axis=0)
    extent, farthest = float((high - low).max()), float(np.abs([low, high]).max())
    if farthest * np.finfo(np.float32).eps <= _STEPS * extent:
        return np.zeros(3)
    offset = np.array([(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2])
    warnings.append(f"the mesh lies {np.linalg.norm(offset):.6g} units from the origin and was moved there")
    return -offset


def _join_faces(parts: Sequence[Part]) -> IntArray:
    starts = np.cumsum([0, *(len(part.positions) for part in parts)])
    return np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=False)])


def _join_normals(parts: Sequence[Part]) -> FloatArray | None:
    """Normals if every part has sound ones; else they are computed later."""
    normals = [part.normals for part in parts if part.normals is not None and np.isfinite(part.normals).all()]
    return np.concatenate(normals) if len(normals) == len(parts) else None


def _join_colors(parts: Sequence[Part]) -> FloatArray | None:
    """Vertex colors, white where a part has none; None if no part has any."""
    if all(part.colors is None for part in parts):
        return None
    white = [np.ones((len(part.positions), 4)) if part.colors is None else part.colors for part in parts]
    return np.nan_to_num(np.concatenate(white)).clip(0, 1)


def _join_uvs(parts: Sequence[Part]) -> FloatArray | None:
    """The uvs that each part's base color uses, moved as its material says; None if no part has any."""
    placed = [_place_uvs(part) for part in parts]
    if all(uvs is None for uvs in placed):
        return None
    middle = [np.full((len(part.positions), 2), 0.5) for part in parts]
    found = [own if uvs is None else uvs for own, uvs in zip(middle, placed, strict=True)]
    return np.nan_to_num(np.concatenate(found), posinf=0, neginf=0)


def _place_uvs(part: Part) -> FloatArray | None:
    texture = part.material.leading_texture if part.material else None
    uvs = part.uvs.get(texture.uv_set if texture else 0)
    if uvs is None or texture is None or texture.transform is None:
        return uvs
    return np.asarray(uvs @ texture.transform[:2, :2].T + texture.transform[:2, 2])
