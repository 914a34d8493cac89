"""Separation of limbs from what they only touch: the mesh is cut there and both sides are closed.

A mesh made from a picture in which the arms touch the body has them fused; raising an arm would stretch the
faces between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ...mesh.normals import vertex_normals
from ...mesh.topology import find_open_edges, label_components, list_directed_edges
from ...mesh.weld import weld_near
from ...types import BoolArray, Float64Array, FloatArray, Int64Array, Mesh, Skeleton, SkinWeights
from .contact_cuts import LIMBS, NOWHERE, find_cut_faces, label_vertices

_MIN_ISLAND_SHARE = 0.002
"""Share of the mesh's faces."""
_RINGS = 4
"""Edges between a contact, which lies in shadow, and what has the color of the part that it belongs to."""
_EVEN = 4
"""Places to both sides along the edge of a hole over which colors are made even."""
Triangle = tuple[int, int, int, int]
"""Three merged vertices, and the one that the color is taken from."""


@dataclass(frozen=True, eq=False)
class SeparatedMesh:
    """mesh, skin: the input, cut and closed where necessary.

    cut_faces: number of faces removed. closing_faces: number of the last faces, which close the holes.
    """

    mesh: Mesh
    skin: SkinWeights
    cut_faces: int
    closing_faces: int


def separate_limbs(
    mesh: Mesh,
    skeleton: Skeleton,
    skin: SkinWeights,
    *,
    legs_apart_below: float = NOWHERE,
    colors: FloatArray | None = None,
) -> SeparatedMesh:
    """Remove the faces between an arm and a part of the body that it only touches, and close the holes flat.

    The same below the height `legs_apart_below`, metres, between the legs.

    The remaining faces and vertices keep their order; new ones follow. Each face that closes a hole has one
    color, the uv of a vertex near it but not in the shadow at the contact; colors (V, C), if given, help to
    choose it. A closed mesh stays closed up to coincident vertices.
    """
    points, first, inverse = weld_near(mesh.positions)
    label = label_vertices(mesh, skeleton, skin, legs_apart_below)
    cut = find_cut_faces(label[mesh.faces])
    if not cut.any():
        return SeparatedMesh(mesh, skin, 0, 0)
    kept = ~(cut | _find_small_islands(inverse[mesh.faces], cut, len(points)))
    limb = np.where(np.isin(np.abs(label), LIMBS), label, 0)[first]
    vertex_colors = np.zeros((len(points), 1)) if colors is None else colors[first]
    rest = inverse[mesh.faces[kept]]
    loops = _trace_boundary_loops(rest)
    inner = _find_inner(rest, loops, len(points))
    triangles, centers = _close_holes(loops, limb, inner, vertex_colors)
    built, bound = _append_triangles(mesh, skin, mesh.faces[kept], first, triangles, centers)
    return SeparatedMesh(*_drop_unused(built, bound), int((~kept).sum()), len(triangles))


def _find_small_islands(faces: Int64Array, cut: BoolArray, count: int) -> BoolArray:
    """(F,) bool, the faces of small components that the cut leaves behind."""
    rest = faces[~cut]
    labels = label_components(list_directed_edges(rest), count)
    sizes = np.bincount(labels[rest[:, 0]], minlength=labels.max() + 1)
    beside = np.zeros(labels.max() + 1, bool)
    beside[labels[faces[cut].ravel()]] = True
    is_small = beside & (sizes < _MIN_ISLAND_SHARE * len(faces))
    return is_small[labels[faces[:, 0]]] & ~cut


def _trace_boundary_loops(faces: Int64Array) -> list[list[int]]:
    """Closed loops of merged vertices along the directed edges that only one face has."""
    following: dict[int, list[int]] = {}
    for start, end in _list_boundary_edges(faces).tolist():
        following.setdefault(start, []).append(end)
    loops = []
    while following:
        loop = [next(iter(following))]
        while choices := following.get(loop[-1]):
            vertex = choices.pop()
            if not choices:
                del following[loop[-1]]
            if vertex == loop[0]:
                loops.append(loop)
                break
            loop.append(vertex)
    return loops


def _list_boundary_edges(faces: Int64Array) -> Int64Array:
    """(E, 2) directed edges whose opposite no face has."""
    edges = _list_edges(faces)
    return edges[find_open_edges(edges[:, 0], edges[:, 1], int(faces.max()) + 1)]


def _list_edges(faces: Int64Array) -> Int64Array:
    """(3 F, 2) directed edges."""
    return np.concatenate([faces[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))])


def _find_inner(faces: Int64Array, loops: Sequence[list[int]], count: int) -> Int64Array:
    """For each merged vertex (count,) of a loop one some edges away from all loops, else itself."""
    origin, inner = np.full(count, -1), np.arange(count)
    for loop in loops:
        origin[loop] = loop
    edges = _list_edges(faces)
    edges = np.concatenate((edges, edges[:, ::-1]))
    for _ in range(_RINGS):
        start, end = edges[(origin[edges[:, 0]] >= 0) & (origin[edges[:, 1]] < 0)].T
        origin[end] = origin[start]
        inner[origin[end]] = end
    return inner


def _close_holes(
    loops: Sequence[list[int]], limb: Int64Array, inner: Int64Array, vertex_colors: FloatArray
) -> tuple[list[Triangle], list[list[int]]]:
    """Triangulate the holes as fans.

    Returns the triangles, and for each new center the merged vertices around it. Centers are numbered after
    the merged vertices.
    """
    triangles: list[Triangle] = []
    centers: list[list[int]] = []
    for loop in loops:
        arcs = _split_arcs(loop, limb)
        for arc in arcs:
            if len(arc) < 3:
                continue
            center, sources = len(vertex_colors) + len(centers), _even_sources(inner[arc], vertex_colors)
            centers.append(arc)
            corners = zip(arc, arc[1:] + arc[:1], sources, strict=True)
            triangles += [(b, a, center, source) for a, b, source in corners]
        if len(arcs) > 1:
            ends = [vertex for arc in arcs for vertex in dict.fromkeys((arc[0], arc[-1]))]
            triangles += [(b, a, ends[0], int(inner[a])) for a, b in pairwise(ends[1:])]
    return triangles, centers


def _even_sources(sources: Int64Array, vertex_colors: FloatArray) -> list[int]:
    """Of the sources (N,) around each place of an arc the one whose color is nearest to the median."""
    reach = np.arange(-_EVEN, _EVEN + 1)
    near = sources[(np.arange(len(sources))[:, None] + reach) % len(sources)]
    colors = vertex_colors[near]
    off = np.linalg.norm(colors - np.median(colors, axis=1, keepdims=True), axis=2)
    chosen: list[int] = near[np.arange(len(near)), off.argmin(axis=1)].tolist()
    return chosen


def _split_arcs(loop: list[int], limb: Int64Array) -> list[list[int]]:
    """Split a boundary loop where it passes from a limb to the body or another limb."""
    changes = [index for index in range(len(loop)) if limb[loop[index]] != limb[loop[index - 1]]]
    if not changes:
        return [loop]
    turned = loop[changes[0] :] + loop[: changes[0]]
    cuts = [index - changes[0] for index in changes] + [len(loop)]
    return [turned[a:b] for a, b in pairwise(cuts)]


def _append_triangles(
    mesh: Mesh,
    skin: SkinWeights,
    faces: npt.NDArray[np.integer[Any]],
    first: Int64Array,
    triangles: list[Triangle],
    centers: list[list[int]],
) -> tuple[Mesh, SkinWeights]:
    """Append the closing triangles, each with three vertices of its own."""
    around = [first[center] for center in centers]
    middles = [mesh.positions[vertices].mean(axis=0)[None] for vertices in around]
    candidates = np.concatenate((mesh.positions[first], *middles))
    bound = [_average_skin(skin, a) for a in around]
    joints = np.concatenate((skin.joints[first], *(item[0][None] for item in bound)))
    shares = np.concatenate((skin.weights[first], *(item[1][None] for item in bound)))
    corner = np.array(triangles, np.int64).reshape(-1, 4)[:, :3].reshape(-1)
    added = len(mesh.positions) + np.arange(len(corner), dtype=np.int32).reshape(-1, 3)
    source = np.repeat(first[[triangle[3] for triangle in triangles]], 3)
    vertices = np.concatenate((np.arange(len(mesh.positions)), source))
    built = replace(mesh, normals=None).take_vertices(vertices, np.concatenate((faces, added)))
    built = replace(built, positions=np.concatenate((mesh.positions, candidates[corner])))
    if mesh.normals is not None:
        turned = vertex_normals(built)[len(mesh.positions) :]
        built = replace(built, normals=np.concatenate((mesh.normals, turned)))
    return built, SkinWeights(
        np.concatenate((skin.joints, joints[corner])), np.concatenate((skin.weights, shares[corner]))
    )


def _drop_unused(mesh: Mesh, skin: SkinWeights) -> tuple[Mesh, SkinWeights]:
    """Remove the vertices without a face; the others keep their order."""
    used, faces = np.unique(mesh.faces, return_inverse=True)
    dropped = mesh.take_vertices(used, faces.reshape(-1, 3))
    return dropped, SkinWeights(skin.joints[used], skin.weights[used])


def _average_skin(skin: SkinWeights, vertices: Int64Array) -> tuple[npt.NDArray[np.uint16], Float64Array]:
    totals = np.bincount(skin.joints[vertices].ravel(), weights=skin.weights[vertices].ravel())
    totals = np.pad(totals, (0, max(0, skin.influences - len(totals))))
    joints = np.argsort(-totals, kind="stable")[: skin.influences]
    return joints.astype(np.uint16), totals[joints] / totals[joints].sum()
