"""Rigged characters as files: FBX, GLB and VRM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..pipeline.conventions import BONE_NAMES, CHARACTER_FORMATS
from ..pipeline.formats import (
    NAME_PROFILES,
    VrmMeta,
    encode_fbx,
    encode_glb,
    encode_vrm,
    rename_character,
    turn_axes,
)
from ..pipeline.rigging import add_twist_joints, normalize_to_t_pose, scale_character
from ..pipeline.types import RiggedCharacter
from .compat import io, make_schema
from .inputs import character_input, height_input, job_input, prefix_input
from .output_files import model_outputs, save_beside, save_counted, saved_model
from .sockets import VrmMetaSocket
from .surfaces import warn_of_losses

_NO_META = VrmMeta("Character", ("Unknown",))


class SaveCharacter(io.ComfyNode):
    """Writes a rigged character, with its clips, as FBX, GLB or VRM."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DSaveCharacter",
            display_name="Save Character (FBX, GLB, VRM)",
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
                    "without animations.",
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
    ) -> io.NodeOutput:
        """C3D_CHARACTER -> path below the output folder."""
        sized = scale_character(character, height_meters) if height_meters else character
        posed = normalize_to_t_pose(sized) if character_format == "vrm" else sized
        named = rename_character(posed, bone_names, with_root=root_joint)
        if twist_joints:
            named = add_twist_joints(named, NAME_PROFILES[bone_names].twists)
        if character_format != "vrm":  # whose players know no axes but those of the rest pose
            named = turn_axes(named, bone_names)
        encode = _choose_encoder(named, character_format, vrm_meta or _NO_META)
        if model_file:
            return saved_model(save_beside(model_file, f"_rigged.{character_format}", encode))
        return saved_model(save_counted(filename_prefix, f".{character_format}", encode))


def _choose_encoder(
    character: RiggedCharacter, character_format: str, meta: VrmMeta
) -> Callable[[str], bytes]:
    """Return a function that encodes the character, given the stem of its file's name."""
    if character_format == "fbx":
        extras = character.textured.mesh.extras
        named = "" if extras is None else replace(extras, rig=None, tangents=None, morphs=()).describe()
        warn_of_losses("FBX", [named] if named else [])
        return lambda stem: encode_fbx(character, stem)
    if character_format == "vrm":
        return lambda _stem: encode_vrm(character, meta)
    return lambda _stem: encode_glb(character)
