"""Rigged characters as files: FBX, GLB, VRM and USDZ."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from ..pipeline import formats, rigging
from ..pipeline.conventions import BIND_POSES, BONE_NAMES, CHARACTER_FORMATS
from ..pipeline.presets import COMPRESSIONS, MOST_LODS, NO_PRESET, PRESETS, FileSettings, apply_preset
from ..pipeline.types import RiggedCharacter
from ..pipeline.vrm_meta import VrmMeta
from .compat import io, make_schema
from .inputs import character_input, height_input, job_input, prefix_input
from .output_files import model_outputs, save_beside, save_counted, saved_model
from .sockets import VrmMetaSocket
from .stage import StageRun
from .surfaces import warn_of_losses

_LOG = logging.getLogger("character3d")
_VRM_FORMATS = ("vrm", "vrm0")
_NO_META = VrmMeta("Character", ("Unknown",))


class SaveCharacter(io.ComfyNode):
    """Writes a rigged character, with its clips, as FBX, GLB, VRM or USDZ."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DSaveCharacter",
            display_name="Save Character (FBX, GLB, VRM, USDZ)",
            category="character3d/6 export",
            description="Writes mesh, texture, skeleton, skin weights and animations as one file.",
            search_aliases=["export fbx", "save vrm", "save rigged glb"],
            is_output_node=True,
            inputs=[
                character_input("The rigged character from Rig Character."),
                prefix_input("3D/Hy3D_rigged"),
                io.String.Input(
                    "model_file",
                    optional=True,
                    force_input=True,
                    tooltip="If connected, the file is named after this one and saved next to it.",
                ),
                job_input(),
                io.Combo.Input(
                    "character_format",
                    options=list(CHARACTER_FORMATS),
                    default="fbx",
                    optional=True,
                    tooltip="fbx: binary FBX 7.4. glb: glTF with skin. vrm: VRM 1.0, bound in a T-pose, "
                    "without animations. vrm0: VRM 0.x. usdz: for AR Quick Look, with the first clip; needs "
                    "the package usd-core.",
                ),
                io.Combo.Input(
                    "bone_names",
                    options=list(BONE_NAMES),
                    default="mixamo",
                    optional=True,
                    tooltip="Naming convention of the joints. unreal also adds a root joint on the ground "
                    "and, but in a VRM, gives the joints the axes of Unreal's mannequin.",
                ),
                VrmMetaSocket.Input(
                    "vrm_meta", optional=True, tooltip="Title, authors and permissions of a VRM."
                ),
                io.Boolean.Input(
                    "root_joint",
                    default=False,
                    optional=True,
                    tooltip="Add a joint on the ground above the hips, with every naming convention.",
                ),
                io.Boolean.Input(
                    "twist_joints",
                    default=False,
                    optional=True,
                    tooltip="Add twist joints to upper arms and forearms: they take half of a roll in clips, "
                    "and in a VRM with the hand.",
                ),
                height_input("How tall the character shall be. 0: as it is."),
                *_file_inputs(),
                io.Boolean.Input(
                    "face_joints",
                    default=False,
                    optional=True,
                    tooltip="Add joints of the eyes and the jaw to a face that has morph targets.",
                ),
            ],
            outputs=model_outputs(),
        )

    @classmethod
    def execute(
        cls,
        character: RiggedCharacter,
        filename_prefix: str,
        model_file: str = "",
        job_id: str = "",
        character_format: str = "fbx",
        bone_names: str = "mixamo",
        vrm_meta: VrmMeta | None = None,
        root_joint: bool = False,
        twist_joints: bool = False,
        height_meters: float = 0.0,
        preset: str = NO_PRESET,
        face_joints: bool = False,
        **file_values: Any,
    ) -> io.NodeOutput:
        """C3D_CHARACTER -> path below the output folder."""
        settings = _choose_settings(
            preset, character_format=character_format, bone_names=bone_names, **file_values
        )
        sized = rigging.scale_character(character, height_meters) if height_meters else character
        faced = rigging.add_face_joints(sized) if face_joints else sized
        named = _prepare(faced, settings, root_joint, twist_joints)
        encode = _choose_encoder(named, settings, vrm_meta or _NO_META)
        suffix = formats.SUFFIXES[settings.character_format]
        if model_file:
            return saved_model(save_beside(model_file, f"_rigged{suffix}", encode))
        return saved_model(save_counted(filename_prefix, suffix, encode))


def _file_inputs() -> list[io.Input]:
    """A preset, and what it sets beside format and names."""
    return [
        io.Combo.Input(
            "preset",
            options=list(PRESETS),
            default=NO_PRESET,
            optional=True,
            tooltip="The program that shall take the file: format, names, pose, texture and levels of "
            "detail as it wants them. What you set to another value than the default stays.",
        ),
        io.Int.Input(
            "lods",
            default=0,
            min=0,
            max=MOST_LODS,
            optional=True,
            tooltip="Further levels of detail in an FBX or GLB, each with half the triangles of the one "
            "before.",
        ),
        _limit_input("max_triangles", 1_000_000, "The most triangles of the mesh. 0: all."),
        _limit_input("texture_size", 8192, "The longest side of a texture in pixels. 0: as it was baked."),
        io.Combo.Input(
            "compression",
            options=list(COMPRESSIONS),
            default=COMPRESSIONS[0],
            optional=True,
            tooltip="Of a GLB. quantized: fewer bits and WebP textures, which browsers read. meshopt: a "
            "third smaller again, for readers that have meshopt's decoder. draco: smaller still, and read by "
            "Blender; with expressions about as meshopt.",
        ),
        _limit_input(
            "max_bytes",
            1_000_000_000,
            "The most bytes of the file: its texture, then its mesh, is made smaller until it fits. 0: any.",
        ),
    ]


def _limit_input(name: str, largest: int, tooltip: str) -> io.Input:
    return io.Int.Input(name, default=0, min=0, max=largest, optional=True, tooltip=tooltip)


def _choose_settings(preset: str, **values: Any) -> FileSettings:
    """Those of the inputs, and the preset's in place of defaults."""
    defaults = asdict(FileSettings())
    chosen = {name for name, value in values.items() if value != defaults[name]}
    return FileSettings(**apply_preset({**defaults, **values}, chosen, preset))


def _prepare(
    character: RiggedCharacter, settings: FileSettings, root_joint: bool, twist_joints: bool
) -> RiggedCharacter:
    """The character in the pose, with the joints, names and axes that are asked for."""
    is_vrm = settings.character_format in _VRM_FORMATS
    posed = (
        rigging.normalize_to_t_pose(character) if is_vrm or settings.bind_pose == BIND_POSES[1] else character
    )
    named = formats.rename_character(posed, settings.bone_names, with_root=root_joint)
    if twist_joints:
        named = rigging.add_twist_joints(named, formats.NAME_PROFILES[settings.bone_names].twists)
    # A VRM's players know no axes but those of the rest pose.
    return (
        named
        if is_vrm
        else formats.align_bones(formats.turn_axes(named, settings.bone_names), settings.bone_names)
    )


def _choose_encoder(
    character: RiggedCharacter, settings: FileSettings, meta: VrmMeta
) -> Callable[[str], bytes]:
    """Return a function that encodes the character, given the stem of its file's name."""
    if settings.character_format == "fbx":
        extras = character.textured.mesh.extras
        named = "" if extras is None else replace(extras, rig=None, tangents=None, morphs=()).describe()
        warn_of_losses("FBX", [named] if named else [])

    def encode(stem: str) -> bytes:
        file = formats.encode_character(character, settings, stem, meta, StageRun("rigging").progress)
        for note in file.notes:
            _LOG.warning("%s", note)
        return file.data

    return encode
