"""Checks that every writer makes: the data can be stored, and the parts of a character fit together.

What a part promises on its own, its constructor in types.py checks. Each check here raises FormatError;
the message begins with `format_name` ("FBX", "GLB", "VRM") and says what was found.
"""

from __future__ import annotations

import numpy as np

from ..errors import FormatError
from ..types import AnimationClip, Mesh, RiggedCharacter, Skeleton, SkinWeights

_ROTATION_TOLERANCE = 1e-3


def check_mesh(mesh: Mesh, format_name: str) -> None:
    """The mesh has faces, and its attributes are finite."""
    if len(mesh.faces) == 0:
        raise FormatError(f"{format_name}: expected a mesh with faces, got one without")
    for name in ("positions", "normals", "uvs", "colors"):
        values = getattr(mesh, name)
        if values is not None and not np.isfinite(values).all():
            raise FormatError(f"{format_name}: expected finite {name}, got NaN or infinity")


def check_character(character: RiggedCharacter, format_name: str) -> None:
    """Mesh, skeleton, skin and clips can be stored and fit together."""
    mesh, skeleton = character.textured.mesh, character.skeleton
    check_mesh(mesh, format_name)
    _check_skeleton(skeleton, format_name)
    _check_skin(character.skin, len(mesh.positions), len(skeleton.names), format_name)
    if len({clip.name for clip in character.clips}) != len(character.clips):
        raise FormatError(f"{format_name}: two clips have the same name")
    for clip in character.clips:
        _check_clip(clip, len(skeleton.names), format_name)


def _check_skeleton(skeleton: Skeleton, format_name: str) -> None:
    names = skeleton.names
    if not names:
        raise FormatError(f"{format_name}: expected a skeleton with joints, got one without")
    if len(set(names)) != len(names):
        raise FormatError(f"{format_name}: two joints have the same name")
    roots = np.flatnonzero(skeleton.parents < 0)
    if len(roots) != 1:
        found = ", ".join(names[root] for root in roots)
        raise FormatError(f"{format_name}: expected one root joint, found {len(roots)}: {found}")
    if not np.isfinite(skeleton.rest).all():
        raise FormatError(f"{format_name}: expected finite rest transforms, got NaN or infinity")
    turn = skeleton.rest[:, :3, :3].astype(np.float64)
    error = np.abs(turn @ turn.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
    wrong = (error > _ROTATION_TOLERANCE) | (np.linalg.det(turn) < 0)
    if wrong.any():
        raise FormatError(f"{format_name}: the rest of joint {names[wrong.argmax()]!r} is not a rotation")


def _check_skin(skin: SkinWeights, vertex_count: int, joint_count: int, format_name: str) -> None:
    found = len(skin.joints)
    if found != vertex_count:
        raise FormatError(f"{format_name}: expected skin weights for {vertex_count} vertices, got {found}")
    highest = skin.joints.max()
    if highest >= joint_count:
        raise FormatError(f"{format_name}: skin weights name joint {highest}, the skeleton has {joint_count}")


def _check_clip(clip: AnimationClip, joint_count: int, format_name: str) -> None:
    where, found = f"{format_name}: clip {clip.name!r}", clip.rotations.shape[1]
    if found != joint_count:
        raise FormatError(f"{where} rotates {found} joints, the skeleton has {joint_count}")
    if clip.times[0] != 0 or (np.diff(clip.times) <= 0).any():
        raise FormatError(f"{where}: expected times that rise from 0")
