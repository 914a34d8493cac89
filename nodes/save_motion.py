"""Clips of a rigged character as files of motion, without its mesh."""

from __future__ import annotations

from collections.abc import Callable

from ..pipeline import formats
from ..pipeline.conventions import BONE_NAMES
from ..pipeline.types import RiggedCharacter
from .compat import io, make_schema
from .inputs import character_input, job_input, prefix_input
from .output_files import model_outputs, save_counted, saved_model

_OF_CLIP: dict[str, Callable[[RiggedCharacter, str], bytes]] = {
    "bvh": lambda character, clip: formats.encode_bvh(character, clip),
    "vrma": lambda character, clip: formats.encode_vrma(character, clip),
}
"""Formats of one clip, and of the skeleton with all its clips."""
_OF_ALL: dict[str, Callable[[RiggedCharacter], bytes]] = {
    "fbx": lambda character: formats.encode_fbx_armature(character),
    "glb": lambda character: formats.encode_glb_armature(character),
}


class SaveMotion(io.ComfyNode):
    """Writes clips of a rigged character without its mesh."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DSaveMotion",
            display_name="Save Motion (BVH, VRMA, FBX, GLB)",
            category="character3d/6 export",
            description="Writes the skeleton and its clips without the mesh.",
            search_aliases=["export bvh", "save vrma", "armature only", "export animation"],
            is_output_node=True,
            inputs=[
                character_input("A rigged character with clips."),
                io.Combo.Input(
                    "motion_format",
                    options=[*_OF_CLIP, *_OF_ALL],
                    default="bvh",
                    tooltip="bvh, vrma: one clip, on the skeleton in T-pose. fbx, glb: all clips.",
                ),
                io.String.Input(
                    "clip",
                    default="",
                    tooltip="Name of the clip for bvh and vrma; empty: the last one added.",
                ),
                io.Combo.Input(
                    "bone_names",
                    options=list(BONE_NAMES),
                    default="mixamo",
                    optional=True,
                    tooltip="Naming convention of the joints.",
                ),
                prefix_input("3D/motion"),
                job_input(),
            ],
            outputs=model_outputs(),
        )

    @classmethod
    def execute(
        cls,
        character: RiggedCharacter,
        motion_format: str,
        clip: str,
        filename_prefix: str,
        bone_names: str = "mixamo",
        job_id: str = "",
    ) -> io.NodeOutput:
        """C3D_CHARACTER -> path below the output folder."""
        if motion_format in _OF_ALL:
            turned = formats.turn_axes(formats.rename_character(character, bone_names), bone_names)
            data = _OF_ALL[motion_format](formats.align_bones(turned, bone_names))
        else:
            named = clip.strip() or (character.clips[-1].name if character.clips else "")
            data = _OF_CLIP[motion_format](formats.rename_character(character, bone_names), named)
        return saved_model(save_counted(filename_prefix, f".{motion_format}", lambda _stem: data))
