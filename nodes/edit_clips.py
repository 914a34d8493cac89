"""Clips of a rigged character removed, renamed, trimmed and closed to loops."""

from __future__ import annotations

from ..pipeline import animation
from ..pipeline.conventions import CLIP_EDITS
from ..pipeline.types import RiggedCharacter
from .compat import io, make_schema
from .inputs import character_input
from .sockets import Character


class EditClips(io.ComfyNode):
    """Changes the clips of a rigged character."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DEditClips",
            display_name="Edit Clips",
            category="character3d/5 rigging",
            description="Removes, renames, trims or loops clips of the character; chain nodes for several.",
            search_aliases=["trim animation", "rename clip", "loop animation", "remove animation"],
            inputs=[
                character_input("A rigged character with clips, from Add Animation or Load Motion."),
                io.Combo.Input(
                    "edit",
                    options=list(CLIP_EDITS),
                    default=CLIP_EDITS[0],
                    tooltip="What to do. keep only: remove all others. loop: blend the end into the start.",
                ),
                io.String.Input("clip", default="", tooltip="Name of the clip; empty: all clips."),
                io.String.Input(
                    "new_name", default="", optional=True, tooltip="The name that rename gives the clip."
                ),
                io.Float.Input(
                    "start",
                    default=0.0,
                    min=0.0,
                    max=600.0,
                    step=0.01,
                    optional=True,
                    tooltip="Second at which trim begins.",
                ),
                io.Float.Input(
                    "end",
                    default=0.0,
                    min=0.0,
                    max=600.0,
                    step=0.01,
                    optional=True,
                    tooltip="Second at which trim ends. 0: the clip's end.",
                ),
            ],
            outputs=[Character.Output(display_name="character", tooltip="The character with these clips.")],
        )

    @classmethod
    def execute(
        cls,
        character: RiggedCharacter,
        edit: str,
        clip: str,
        new_name: str = "",
        start: float = 0.0,
        end: float = 0.0,
    ) -> io.NodeOutput:
        """C3D_CHARACTER -> C3D_CHARACTER."""
        edited = animation.edit_clips(character, edit, clip.strip(), new_name=new_name, start=start, end=end)
        named = [f"{own.name}: {own.times[-1]:.2f} s{', loop' if own.loop else ''}" for own in edited.clips]
        return io.NodeOutput(edited, ui={"text": named or ["no clips"]})
