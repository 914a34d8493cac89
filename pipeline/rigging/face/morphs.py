"""Morph targets of a face that is painted on a smooth surface."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...mesh.normals import vertex_normals
from ...mesh.refine import refine_faces
from ...mesh_extras import MeshExtras, MorphTarget
from ...types import BoolArray, Float64Array, Int64Array, IntArray, Mesh, RiggedCharacter, SkinWeights
from .place import FacePlace
from .shapes import list_shapes

_REACH, _MIDDLE = 1.25, -0.3
"""Radii of the face within which the surface may move; where its middle is, in distances of the eyes."""
_EDGE, _MAX_LEVELS = 0.1, 3
"""Length of edges that draw a lid well, in distances of the eyes; times that faces are cut to get it."""
_FACING, _STEEPEST = 0.1, 0.45
"""Least depth of the normal of what moves, and the least with which its depth follows the surface."""
_SMALLEST = 1e-4
"""Moves below this, in distances of the eyes, are none."""
_HEAD_ROLES = ("head", "neck")
_LEAST_HEAD = 0.5
"""Share of a vertex's weight that head and neck have on what moves."""


def add_face(character: RiggedCharacter, place: FacePlace) -> RiggedCharacter:
    """Return the character with morph targets of its face (shapes.py); the face gets smaller triangles.

    Morph targets that it has already stay, and none of ours takes the name of one.
    """
    character = _refine(character, place)
    mesh = character.textured.mesh
    extras = mesh.extras or MeshExtras()
    known = {morph.name for morph in extras.morphs}
    vertices = np.flatnonzero(_find_face(character, place))
    points = place.to_face(mesh.positions[vertices].astype(np.float64))
    normals = vertex_normals(mesh)[vertices].astype(np.float64)
    made = []
    for name, shape in list_shapes(place).items():
        moves = shape(points)
        moved = np.abs(moves).max(axis=1) > _SMALLEST
        if name not in known and moved.any():
            deltas = _follow_surface(place.to_mesh(moves[moved]), normals[moved])
            made.append(MorphTarget(name, vertices[moved], deltas))
    mesh = replace(mesh, extras=replace(extras, morphs=(*extras.morphs, *made)))
    return replace(character, textured=replace(character.textured, mesh=mesh))


def _follow_surface(moves: Float64Array, normals: Float64Array) -> Float64Array:
    """Moves (N, 2) in x and y -> (N, 3), along the surface with these normals (N, 3)."""
    depth = -(normals[:, :2] * moves).sum(axis=1) / np.maximum(normals[:, 2], _STEEPEST)
    return np.column_stack((moves, depth))


def _find_face(character: RiggedCharacter, place: FacePlace) -> BoolArray:
    """(V,) the vertices of the head that lie in the face's ellipse and face the viewer."""
    mesh, skin, roles = character.textured.mesh, character.skin, character.skeleton.roles
    points = place.to_face(mesh.positions.astype(np.float64)) - (0.0, _MIDDLE)
    inside = np.linalg.norm(points, axis=1) < _REACH * place.radius
    head = [roles[role] for role in _HEAD_ROLES if role in roles]
    of_head = (skin.weights * np.isin(skin.joints, head)).sum(axis=1) >= _LEAST_HEAD
    return inside & of_head & (vertex_normals(mesh)[:, 2] > _FACING)


def _refine(character: RiggedCharacter, place: FacePlace) -> RiggedCharacter:
    """Cut the triangles of the face until they are small enough; a mesh with extras stays as it is."""
    for _ in range(_MAX_LEVELS if character.textured.mesh.extras is None else 0):
        mesh = character.textured.mesh
        chosen = _find_face(character, place)[mesh.faces].any(axis=1)
        edges = mesh.positions[mesh.faces] - mesh.positions[np.roll(mesh.faces, -1, axis=1)]
        chosen &= np.linalg.norm(edges, axis=2).max(axis=1) > _EDGE * place.unit
        if not chosen.any():
            break
        sources, faces = refine_faces(mesh, chosen)
        textured = replace(character.textured, mesh=_mix_vertices(mesh, sources, faces))
        character = replace(character, textured=textured, skin=_mix_skin(character.skin, sources))
    return character


def _mix_vertices(mesh: Mesh, sources: Int64Array, faces: IntArray) -> Mesh:
    """The mesh with vertices in the middle of two old ones each."""
    first, second = sources.T
    taken = mesh.take_vertices(first, faces)
    names = ("positions", "uvs", "colors")
    mixed = {
        name: (values[first] + values[second]) / 2
        for name in names
        if (values := getattr(mesh, name)) is not None
    }
    if mesh.normals is not None:
        sums = mesh.normals[first] + mesh.normals[second]
        mixed["normals"] = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    return replace(taken, **mixed)


def _mix_skin(skin: SkinWeights, sources: Int64Array) -> SkinWeights:
    """The strongest influences on the middle of two vertices each; the old ones come first and stay."""
    first, second = sources[len(skin.joints) :].T
    joints = np.concatenate((skin.joints[first], skin.joints[second]), axis=1).astype(np.int64)
    weights = np.concatenate((skin.weights[first], skin.weights[second]), axis=1) / 2
    count = skin.influences
    for later in range(count, 2 * count):
        same = joints[:, :count] == joints[:, later : later + 1]
        same &= same.cumsum(axis=1) == 1
        weights[:, :count] += same * weights[:, later : later + 1]
        weights[:, later] *= ~same.any(axis=1)
    strongest = np.argsort(-weights, axis=1, kind="stable")[:, :count]
    kept = np.take_along_axis(weights, strongest, axis=1)
    joints = np.take_along_axis(joints, strongest, axis=1)
    kept /= kept.sum(axis=1, keepdims=True)
    return SkinWeights(np.concatenate((skin.joints, joints)), np.concatenate((skin.weights, kept)))
