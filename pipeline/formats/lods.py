"""Levels of detail of a character: the same skeleton and texture under fewer triangles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..mesh.simplify import simplify_faces
from ..progress import Progress, ignore_progress, span_progress
from ..types import IntArray, RiggedCharacter, SkinWeights

LOD_SHARE = 0.5
"""Triangles of a level, relative to the level before it."""


def make_lods(
    character: RiggedCharacter, count: int, progress: Progress = ignore_progress
) -> tuple[RiggedCharacter, ...]:
    """Return `count` coarser levels, each with at most half the triangles of the one before, without clips.

    Their vertices are some of the character's: positions, uvs, skin and morph targets are the same.
    """
    levels = []
    for number in range(count):
        character = reduce_triangles(
            character,
            int(LOD_SHARE * len(character.textured.mesh.faces)),
            span_progress(progress, number / count, (number + 1) / count),
        )
        levels.append(replace(character, clips=()))
    return tuple(levels)


def reduce_triangles(
    character: RiggedCharacter, face_count: int, progress: Progress = ignore_progress
) -> RiggedCharacter:
    """Return the character with at most `face_count` triangles, or as few as its seams allow."""
    mesh = character.textured.mesh
    if len(mesh.faces) <= face_count:
        return character
    return _take_faces(character, simplify_faces(mesh.positions, mesh.faces, face_count, mesh.uvs, progress))


def _take_faces(character: RiggedCharacter, faces: IntArray) -> RiggedCharacter:
    """The character with these faces (G, 3), and the vertices that they use."""
    kept, renumbered = np.unique(faces, return_inverse=True)
    mesh = character.textured.mesh.take_vertices(kept, renumbered.reshape(-1, 3))
    skin = SkinWeights(character.skin.joints[kept], character.skin.weights[kept])
    return replace(character, textured=replace(character.textured, mesh=mesh), skin=skin)
