"""What a file holds of motion."""

from __future__ import annotations

from dataclasses import dataclass

from ...mesh_extras import OwnClip
from ...types import Skeleton


@dataclass(frozen=True, eq=False)
class MotionFile:
    """skeleton: at rest, in the file's unit and frame, with roles if the file has them. clips: for it.

    warnings: what could not be read, one sentence each.
    """

    skeleton: Skeleton | None
    clips: tuple[OwnClip, ...]
    warnings: tuple[str, ...] = ()
