"""What every writer asks of a mesh and of a rigged character; FormatError says what was found.

`format_name` ("FBX", "GLB", "VRM") begins each message.
"""

from __future__ import annotations

import numpy as np

from ..errors import FormatError
from ..types import AnimationClip, Mesh, RiggedCharacter, Skeleton, SkinWeights

_ROTATION_TOLERANCE = 1e-3
_WEIGHT_TOLERANCE = 1e-4


def check_mesh(mesh: Mesh, format_name: str) -> None:
    """Faces, finite attributes, and no face that names a vertex outside the mesh."""
    if len(mesh.faces) == 0:
        raise FormatError(f"{format_name}: expected a mesh with faces, got one without")
    for name in ("positions", "normals", "uvs"):
        values = getattr(mesh, name)
        if values is not None and not np.isfinite(values).all():
            raise FormatError(f"{format_name}: expected finite {name}, got NaN or infinity")
    low, high, last = int(mesh.faces.min()), int(mesh.faces.max()), len(mesh.positions) - 1
    if low < 0 or high > last:
        raise FormatError(f"{format_name}: faces name vertices {low}..{high}, the mesh has 0..{last}")


def check_character(character: RiggedCharacter, format_name: str) -> None:
    """Mesh, skeleton, skin and clips are sound by themselves and fit together."""
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
    late = np.flatnonzero(skeleton.parents >= np.arange(len(names)))
    if len(late):
        raise FormatError(f"{format_name}: joint {names[late[0]]!r} stands before its parent")
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
    worst = float(np.abs(skin.weights.sum(axis=1) - 1).max())
    if not worst <= _WEIGHT_TOLERANCE or skin.weights.min() < 0:
        raise FormatError(f"{format_name}: skin weights are negative, or a row is off 1 by {worst:.2g}")


def _check_clip(clip: AnimationClip, joint_count: int, format_name: str) -> None:
    where, times, found = f"{format_name}: clip {clip.name!r}", clip.times, clip.rotations.shape[1]
    if found != joint_count:
        raise FormatError(f"{where} turns {found} joints, the skeleton has {joint_count}")
    # Written so that NaN fails too.
    if not (len(times) and times[0] == 0 and np.isfinite(times).all() and (np.diff(times) > 0).all()):
        raise FormatError(f"{where}: expected finite times that rise from 0")
    if not np.isfinite(clip.translations).all():
        raise FormatError(f"{where}: expected finite translations, got NaN or infinity")
    worst = float(np.abs(np.linalg.norm(clip.rotations, axis=-1) - 1).max())
    if not worst <= _ROTATION_TOLERANCE:
        raise FormatError(f"{where}: expected unit quaternions, one is off length 1 by {worst:.2g}")
