"""Reads motion of other programs, each format by its reader in reading/, as motions of no skeleton."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..conventions import MOTION_SUFFIXES
from ..errors import FormatError, RigError
from ..motion import Motion, normalize_clip
from ..types import Skeleton
from .joint_roles import find_roles
from .reading.bvh import read_bvh
from .reading.motion import MotionFile
from .reading.motion_fbx import read_fbx_motion
from .reading.motion_gltf import read_gltf_motion
from .reading.motion_npz import read_npz_motion


def _read_bvh_motion(path: Path) -> MotionFile:
    skeleton, clip = read_bvh(path)
    return MotionFile(skeleton, (clip,))


_READERS: dict[str, Callable[[Path], MotionFile]] = {
    ".bvh": _read_bvh_motion,
    ".fbx": read_fbx_motion,
    ".glb": read_gltf_motion,
    ".gltf": read_gltf_motion,
    ".vrma": read_gltf_motion,
    ".npz": read_npz_motion,
}


@dataclass(frozen=True, eq=False)
class LoadedMotions:
    """motions: those of a file, at least one. warnings: what could not be read, one sentence each."""

    motions: tuple[Motion, ...]
    warnings: tuple[str, ...] = ()


def read_motions(path: Path) -> LoadedMotions:
    """Read the clips of a file. FormatError: an unsupported format, a damaged file, or one without a clip.

    RigError: its skeleton is no humanoid's. A clip that is too short or too long is left out with a warning
    where there are others.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        wanted = ", ".join(MOTION_SUFFIXES)
        raise FormatError(f"{path.name}: expected one of {wanted}; found {path.suffix or 'none'}")
    file = reader(path)
    if file.skeleton is None or not file.clips:
        said = "".join(f"; {warning}" for warning in file.warnings)
        raise FormatError(f"{path.name} has no motion of a skeleton{said}")
    skeleton, warnings = _name_roles(path, file.skeleton), list(file.warnings)
    motions = list[Motion]()
    for clip in file.clips:
        try:
            motion = normalize_clip(skeleton, clip)
        except FormatError as error:
            warnings.append(str(error))
            continue
        name = motion.name if len(file.clips) > 1 else path.stem
        motions.append(replace(motion, name=_make_unique(name, [other.name for other in motions])))
    if not motions:
        raise FormatError(f"{path.name}: {warnings[-1]}")
    return LoadedMotions(tuple(motions), tuple(f"{path.name}: {warning}" for warning in warnings))


def _make_unique(name: str, taken: Sequence[str]) -> str:
    """The name, with a number where it is taken."""
    numbered = (f"{name} {number}" for number in range(2, len(taken) + 2))
    return next(one for one in (name or "motion", *numbered) if one not in taken)


def _name_roles(path: Path, skeleton: Skeleton) -> Skeleton:
    """The skeleton with roles: those that the file has, or those that the names of its joints say."""
    try:
        return skeleton if skeleton.roles else replace(skeleton, roles=find_roles(skeleton))
    except RigError as error:
        raise RigError(f"{path.name}: {error}") from error
