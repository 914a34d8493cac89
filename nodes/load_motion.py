"""Motion files put onto a rigged character."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..pipeline import formats, motion
from ..pipeline.conventions import MOTION_SUFFIXES, ROOT_MOTIONS
from ..pipeline.errors import FormatError
from ..pipeline.types import RiggedCharacter
from .compat import file_3d_to_path, io, make_schema
from .input_files import find_input_file, list_input_files
from .inputs import character_input, check_file_links, file_inputs
from .sockets import Character
from .stage import StageRun

_LOG = logging.getLogger("character3d")


def _find_motion(name: str | None) -> Path:
    """The path of a motion below the input folder. FormatError if there is none of that name, or no name."""
    if not name:
        raise FormatError("choose a motion_file or connect a file")
    path = find_input_file(name, MOTION_SUFFIXES)
    if path is None:
        kinds = ", ".join(MOTION_SUFFIXES)
        raise FormatError(f"motion_file: {name!r} is not a motion ({kinds}) in ComfyUI's input folder")
    return path


def _read(motion_file: str | None, file: Any) -> formats.LoadedMotions:
    if file is None:
        return formats.read_motions(_find_motion(motion_file))
    with file_3d_to_path(file) as path:
        return formats.read_motions(path)


class LoadMotion(io.ComfyNode):
    """Puts the motion of a file onto a rigged character."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DLoadMotion",
            display_name="Load Motion",
            category="character3d/5 rigging",
            description=f"Puts the motion of a file ({', '.join(MOTION_SUFFIXES)}) onto the character.",
            search_aliases=["retarget", "bvh", "vrma", "mixamo animation", "mocap", "amass"],
            inputs=[
                character_input("The rigged character from Rig Character."),
                io.Combo.Input(
                    "motion_file",
                    options=list_input_files(MOTION_SUFFIXES),
                    optional=True,
                    tooltip="A file in the input folder.",
                ),
                *file_inputs("motion_file"),
                io.Combo.Input(
                    "root_motion",
                    options=list(ROOT_MOTIONS),
                    default=ROOT_MOTIONS[0],
                    optional=True,
                    tooltip="keep: the character goes where the motion goes. in place: it stays, and sways.",
                ),
                io.String.Input(
                    "clip_name",
                    default="",
                    optional=True,
                    tooltip="Name of the clip; empty: the file's. Further clips of the file get a number.",
                ),
            ],
            outputs=[Character.Output(display_name="character", tooltip="The character with the clips.")],
        )

    @classmethod
    def validate_inputs(
        cls, motion_file: str | None = None, input_types: dict[str, str] | None = None
    ) -> bool | str:
        """Check the file itself, since it may be newer than the list of options."""
        if (answer := check_file_links("motion_file", input_types)) is not None:
            return answer
        try:
            _find_motion(motion_file)
        except FormatError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, motion_file: str | None = None, **_linked: Any) -> str:
        """Load a file again after it has changed."""
        try:
            return str(_find_motion(motion_file).stat().st_mtime_ns)
        except (FormatError, OSError):
            return ""

    @classmethod
    def execute(
        cls,
        character: RiggedCharacter,
        motion_file: str | None = None,
        file: Any = None,
        root_motion: str = ROOT_MOTIONS[0],
        clip_name: str = "",
    ) -> io.NodeOutput:
        """C3D_CHARACTER -> C3D_CHARACTER."""
        loaded = _read(motion_file, file)
        for warning in loaded.warnings:
            _LOG.warning("%s", warning)
        motions = loaded.motions
        if named := clip_name.strip():
            names = (named, *(f"{named} {number}" for number in range(2, len(motions) + 1)))
            motions = tuple(replace(own, name=name) for own, name in zip(motions, names, strict=True))
        moved = motion.add_motions(
            character, motions, root_motion=root_motion, progress=StageRun("rigging").progress
        )
        described = [f"{own.name}: {own.duration:.1f} s" for own in motions]
        return io.NodeOutput(moved, ui={"text": [*described, *loaded.warnings]})
