"""Rigged characters as files: FBX, GLB and VRM."""

from __future__ import annotations

from ..pipeline.conventions import BONE_NAMES, CHARACTER_FORMATS
from ..pipeline.formats import VrmMeta, rename_character, write_fbx, write_glb, write_vrm
from ..pipeline.rigging import normalize_to_t_pose
from ..pipeline.types import RiggedCharacter
from .compat import io, make_schema
from .inputs import character_input, job_input, prefix_input
from .output_files import model_outputs, reserve_beside, reserve_counted, saved_model
from .sockets import VrmMetaSocket

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
                    tooltip="When connected, the file is named after this one and lies beside it.",
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
                    tooltip="Whose names the joints get. unreal has a root joint on the ground as well.",
                ),
                VrmMetaSocket.Input(
                    "vrm_meta", optional=True, tooltip="Title, authors and permissions of a VRM."
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
    ) -> io.NodeOutput:
        """C3D_CHARACTER -> path below the output folder."""
        if model_file:
            file = reserve_beside(model_file, f"_rigged.{character_format}")
        else:
            file = reserve_counted(filename_prefix, f".{character_format}")
        if character_format == "vrm":
            character = normalize_to_t_pose(character)
            write_vrm(file.path, rename_character(character, bone_names), vrm_meta or _NO_META)
        else:
            write = write_fbx if character_format == "fbx" else write_glb
            write(file.path, rename_character(character, bone_names))
        return saved_model(file)
