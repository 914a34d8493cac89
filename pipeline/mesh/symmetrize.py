"""Make the halves of a mesh mirror images of each other: one is cut off at x = 0 and the other mirrored."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ..errors import MeshError
from ..types import Float64Array, Int64Array, Mesh

HALVES = ("left", "right")
"""The character's own: its left is at +X."""
_ON_PLANE = 1e-5
"""Vertices so near to the plane, as a share of the mesh's extent, are moved onto it."""


class _Cut(NamedTuple):
    """vertices: (V, C) attributes, positions first. faces: (F, 3). source: (V,) a vertex it came from."""

    vertices: Float64Array
    faces: Int64Array
    source: Int64Array


def symmetrize_mesh(mesh: Mesh, kept: str = "left") -> Mesh:
    """Replace the other half of a mesh by the mirror image of the `kept` one, of HALVES.

    The plane is x = 0. Faces across it are cut; both halves share the vertices there, so that a closed mesh
    stays closed. The mirror image has the uvs, colors and materials of its original, and the mesh no extras.
    Raises ValueError for an unknown half, MeshError if nothing of the mesh lies in it.
    """
    check_half(kept)
    sign = 1.0 if kept == "left" else -1.0
    columns = {name: getattr(mesh, name) for name in ("positions", "normals", "uvs", "colors")}
    known = {name: values for name, values in columns.items() if values is not None}
    vertices = np.concatenate(list(known.values()), axis=1).astype(np.float64)
    vertices[np.abs(vertices[:, 0]) < _ON_PLANE * float(np.ptp(mesh.positions, axis=0).max()), 0] = 0
    half = _cut_off(vertices, mesh.faces.astype(np.int64), sign)
    if not len(half.faces):
        raise MeshError(f"expected a mesh with a {kept} half (its own side of x = 0), got one without")
    ends = np.cumsum([values.shape[1] for values in known.values()])[:-1]
    parts = dict(zip(known, np.split(half.vertices, ends, axis=1), strict=True))
    mirrored = np.flatnonzero(half.vertices[:, 0] != 0)
    other = np.arange(len(half.vertices))
    other[mirrored] = len(half.vertices) + np.arange(len(mirrored))
    joined: dict[str, Any] = {
        name: np.concatenate((values, _mirror(name, values[mirrored]))) for name, values in parts.items()
    }
    if "normals" in joined:
        lengths = np.linalg.norm(joined["normals"], axis=1, keepdims=True)
        joined["normals"] = joined["normals"] / np.maximum(lengths, 1e-12)
    numbers = mesh.material_numbers
    if numbers is not None:
        numbers = numbers[half.source[np.concatenate((np.arange(len(half.vertices)), mirrored))]]
    faces = np.concatenate((half.faces, other[half.faces][:, ::-1]))
    return replace(mesh, faces=faces, material_numbers=numbers, extras=None, **joined)


def check_half(name: str) -> None:
    """Raise ValueError for a name that is none of HALVES."""
    if name not in HALVES:
        raise ValueError(f"no half {name!r}; there are: {', '.join(HALVES)}")


def _mirror(name: str, values: Float64Array) -> Float64Array:
    return values * (-1, 1, 1) if name in ("positions", "normals") else values


def _cut_off(vertices: Float64Array, faces: Int64Array, sign: float) -> _Cut:
    """The part of the surface whose x has this sign; faces across the plane are cut at it."""
    side = np.sign(vertices[:, 0] * sign).astype(np.int64)[faces]
    whole = faces[(side >= 0).all(axis=1) & (side > 0).any(axis=1)]
    across = (side > 0).any(axis=1) & (side < 0).any(axis=1)
    added = _Crossings(vertices)
    cut = [
        triangle
        for corners, signs in zip(faces[across], side[across], strict=True)
        for triangle in _clip(corners.tolist(), signs.tolist(), added)
    ]
    joined = np.concatenate((whole, np.array(cut, np.int64).reshape(-1, 3)))
    rows = np.concatenate((vertices, np.array(added.rows).reshape(-1, vertices.shape[1])))
    source = np.concatenate((np.arange(len(vertices)), np.array(added.source, np.int64)))
    used, faces = np.unique(joined, return_inverse=True)
    return _Cut(rows[used], faces.reshape(-1, 3), source[used])


class _Crossings:
    """The points at which edges cross the plane, each made once."""

    def __init__(self, vertices: Float64Array) -> None:
        self._vertices, self._found = vertices, dict[tuple[int, int], int]()
        self.rows: list[Float64Array] = []
        self.source: list[int] = []

    def find(self, one: int, two: int) -> int:
        """The vertex on the edge between two others on either side."""
        one, two = min(one, two), max(one, two)
        if (one, two) not in self._found:
            first, second = self._vertices[one], self._vertices[two]
            row = first + (second - first) * (first[0] / (first[0] - second[0]))
            row[0] = 0
            self._found[one, two] = len(self._vertices) + len(self.rows)
            self.rows.append(row)
            self.source.append(one)
        return self._found[one, two]


def _clip(corners: list[int], signs: list[int], added: _Crossings) -> list[tuple[int, int, int]]:
    """The triangles of a face that lie on the kept side (Sutherland and Hodgman 1974)."""
    polygon: list[int] = []
    for number in range(3):
        after = (number + 1) % 3
        if signs[number] >= 0:
            polygon.append(corners[number])
        if signs[number] * signs[after] < 0:
            polygon.append(added.find(corners[number], corners[after]))
    return [(polygon[0], polygon[step], polygon[step + 1]) for step in range(1, len(polygon) - 1)]
