"""A rigged character of another height."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..types import RiggedCharacter


def scale_character(character: RiggedCharacter, height: float) -> RiggedCharacter:
    """Return the character scaled about the origin: its mesh, at rest, is `height` metres tall then."""
    mesh = character.textured.mesh
    scale = height / float(np.ptp(mesh.positions[:, 1]))
    extras = None if mesh.extras is None else mesh.extras.transform(np.eye(3), scale, np.zeros(3))
    scaled = replace(mesh, positions=mesh.positions * scale, extras=extras)
    rest = character.skeleton.rest.copy()
    rest[:, :3, 3] *= scale
    return replace(
        character,
        textured=replace(character.textured, mesh=scaled),
        skeleton=replace(character.skeleton, rest=rest),
        clips=tuple(replace(clip, translations=clip.translations * scale) for clip in character.clips),
    )
