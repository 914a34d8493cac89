"""Cutting a mesh open where an arm has grown together with the body, and closing both sides.

A picture shows arms that touch the body; the mesh made from it has them in one piece, and lifting the arm
would stretch a web between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ...conventions import MAX_INFLUENCES
from ...mesh.components import find_components
from ...mesh.normals import vertex_normals
from ...mesh.topology import label_components, list_directed_edges
from ...types import BoolArray, FloatArray, Mesh, Skeleton, SkinWeights
from ..voxel_solid import Indices, Points
from .contact_cuts import are_apart, label_regions

_SMALLEST_SCRAP = 0.002
Triangle = tuple[int, int, int, int]
"""Three places, and the place that gives the colour."""


@dataclass(frozen=True, eq=False)
class SeparatedMesh:
    """mesh, skin: the input's, cut and closed, or the input itself. cut_faces: how many were removed."""

    mesh: Mesh
    skin: SkinWeights
    cut_faces: int


def separate_limbs(
    mesh: Mesh, skeleton: Skeleton, skin: SkinWeights, *, colors: FloatArray | None = None
) -> SeparatedMesh:
    """Remove the faces between an arm and the body it is welded to, and close the holes flatly.

    Faces and vertices that stay keep their order; new ones follow. What closes a hole has one colour
    (uv), that of a vertex of its rim; colors (V, C), where given, help to choose it. A mesh that was
    closed stays closed up to vertices at one place.
    """
    welded = find_components(mesh)
    places, copies = welded.points, welded.inverse
    owner = skin.joints[np.arange(len(skin.joints)), skin.weights.argmax(axis=1)]
    label = label_regions(skeleton, mesh.positions.astype(np.float64), owner.astype(np.int64))
    corners = label[mesh.faces]
    cut = np.zeros(len(mesh.faces), bool)
    for a, b in ((0, 1), (1, 2), (2, 0)):
        cut |= are_apart(corners[:, a], corners[:, b])
    if not cut.any():
        return SeparatedMesh(mesh, skin, 0)
    kept = ~(cut | _find_scraps(copies[mesh.faces], cut, len(places)))
    first = np.zeros(len(places), np.int64)
    first[copies[::-1]] = np.arange(len(copies))[::-1]
    arm = np.where(np.abs(label) == 1, label, 0)[first]
    tones = np.zeros((len(places), 1)) if colors is None else colors[first]
    triangles, hubs = _close_holes(_trace_rims(copies[mesh.faces[kept]]), arm, tones)
    built, bound = _append_triangles(mesh, skin, mesh.faces[kept], first, triangles, hubs)
    return SeparatedMesh(*_drop_unused(built, bound), int((~kept).sum()))


def _find_scraps(faces: Indices, cut: BoolArray, count: int) -> BoolArray:
    """(F,) bool: faces of small islands that the cut leaves behind."""
    rest = faces[~cut]
    names = label_components(list_directed_edges(rest), count)
    sizes = np.bincount(names[rest[:, 0]], minlength=names.max() + 1)
    beside = np.zeros(names.max() + 1, bool)
    beside[names[faces[cut].ravel()]] = True
    scrap = beside & (sizes < _SMALLEST_SCRAP * len(faces))
    return scrap[names[faces[:, 0]]] & ~cut


def _trace_rims(faces: Indices) -> list[list[int]]:
    """Closed chains of the directed edges that only one face has."""
    edges = np.concatenate((faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]))
    size = int(edges.max()) + 1
    alone = ~np.isin(edges[:, 1] * size + edges[:, 0], edges[:, 0] * size + edges[:, 1])
    following: dict[int, list[int]] = {}
    for a, b in edges[alone].tolist():
        following.setdefault(a, []).append(b)
    rims = []
    while following:
        start = next(iter(following))
        rim = [start]
        while True:
            ways = following.get(rim[-1])
            if not ways:
                break
            step = ways.pop()
            if not ways:
                del following[rim[-1]]
            if step == start:
                rims.append(rim)
                break
            rim.append(step)
    return rims


def _close_holes(
    rims: Sequence[list[int]], arm: Indices, tones: FloatArray
) -> tuple[list[Triangle], list[list[int]]]:
    """Triangles over places, and hubs: the places around each new middle point, numbered after `tones`."""
    triangles: list[Triangle] = []
    hubs: list[list[int]] = []
    for rim in rims:
        arcs = _split_arcs(rim, arm)
        for arc in arcs:
            if len(arc) < 3:
                continue
            hub, tint = len(tones) + len(hubs), _pick_tint(arc, tones)
            hubs.append(arc)
            triangles += [(b, a, hub, tint) for a, b in zip(arc, arc[1:] + arc[:1], strict=True)]
        if len(arcs) > 1:
            ends = [place for arc in arcs for place in dict.fromkeys((arc[0], arc[-1]))]
            triangles += [(b, a, ends[0], _pick_tint(rim, tones)) for a, b in pairwise(ends[1:])]
    return triangles, hubs


def _pick_tint(arc: list[int], tones: FloatArray) -> int:
    """The place on the arc that is lighter than most of it: where parts touch lies a shadow."""
    order = np.argsort(tones[arc].mean(axis=1), kind="stable")
    return arc[int(order[int(0.85 * (len(arc) - 1))])]


def _split_arcs(rim: list[int], arm: Indices) -> list[list[int]]:
    """Cut a rim where it changes between arm and body."""
    changes = [index for index in range(len(rim)) if arm[rim[index]] != arm[rim[index - 1]]]
    if not changes:
        return [rim]
    turned = rim[changes[0] :] + rim[: changes[0]]
    cuts = [index - changes[0] for index in changes] + [len(rim)]
    return [turned[a:b] for a, b in pairwise(cuts)]


def _append_triangles(
    mesh: Mesh,
    skin: SkinWeights,
    faces: npt.NDArray[np.integer[Any]],
    first: Indices,
    triangles: list[Triangle],
    hubs: list[list[int]],
) -> tuple[Mesh, SkinWeights]:
    """Give every closing triangle three vertices of its own."""
    around = [first[hub] for hub in hubs]
    spots = np.concatenate((mesh.positions[first], *(mesh.positions[a].mean(axis=0)[None] for a in around)))
    bound = [_average_skin(skin, a) for a in around]
    joints = np.concatenate((skin.joints[first], *(item[0][None] for item in bound)))
    shares = np.concatenate((skin.weights[first], *(item[1][None] for item in bound)))
    corner = np.array(triangles, np.int64)[:, :3].reshape(-1)
    added = len(mesh.positions) + np.arange(len(corner), dtype=np.int32).reshape(-1, 3)
    uvs = mesh.uvs
    tints = [triangle[3] for triangle in triangles]
    if uvs is not None:
        uvs = np.concatenate((uvs, np.repeat(uvs[first[tints]], 3, axis=0)))
    built = Mesh(np.concatenate((mesh.positions, spots[corner])), np.concatenate((faces, added)), uvs=uvs)
    if mesh.normals is not None:
        turned = vertex_normals(built)[len(mesh.positions) :]
        built = replace(built, normals=np.concatenate((mesh.normals, turned)))
    return built, SkinWeights(
        np.concatenate((skin.joints, joints[corner])), np.concatenate((skin.weights, shares[corner]))
    )


def _drop_unused(mesh: Mesh, skin: SkinWeights) -> tuple[Mesh, SkinWeights]:
    """Without the vertices that no face has; the others keep their order."""
    used, faces = np.unique(mesh.faces, return_inverse=True)
    normals, uvs = (None if values is None else values[used] for values in (mesh.normals, mesh.uvs))
    dropped = Mesh(mesh.positions[used], faces.reshape(-1, 3), normals, uvs)
    return dropped, SkinWeights(skin.joints[used], skin.weights[used])


def _average_skin(skin: SkinWeights, vertices: Indices) -> tuple[npt.NDArray[np.uint16], Points]:
    totals = np.bincount(skin.joints[vertices].ravel(), weights=skin.weights[vertices].ravel())
    totals = np.pad(totals, (0, max(0, MAX_INFLUENCES - len(totals))))
    joints = np.argsort(-totals, kind="stable")[:MAX_INFLUENCES]
    return joints.astype(np.uint16), totals[joints] / totals[joints].sum()
