"""Animation clips for a rigged character, and animated previews."""

from __future__ import annotations

import math
from typing import Any

from ..pipeline import animation as clips
from ..pipeline import preview
from ..pipeline.conventions import CLIPS
from ..pipeline.errors import RigError
from ..pipeline.progress import Progress, span_progress
from ..pipeline.types import AnimationClip, RiggedCharacter
from .compat import io, make_schema
from .inputs import character_input, job_input, prefix_input
from .output_files import save_counted
from .sockets import Character, array_to_image
from .stage import StageRun, reserve_device

_TURNTABLE, _NEWEST = "turntable", "newest clip"
_FRAMES_PER_SECOND = 15


class AddAnimation(io.ComfyNode):
    """Adds one animation clip, or all of them, to a rigged character."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DAddAnimation",
            display_name="Add Animation",
            category="character3d/5 rigging",
            description="Retargets an animation clip to the character's skeleton; chain nodes for several.",
            search_aliases=["retarget", "walk cycle", "idle", "motion"],
            inputs=[
                character_input("The rigged character from Rig Character."),
                io.Combo.Input(
                    "animation",
                    options=["none", "all", *CLIPS],
                    default="walk",
                    tooltip="The clip to add, or all. A clip that the character already has is replaced.",
                ),
            ],
            outputs=[Character.Output(display_name="character", tooltip="The character with its clips.")],
        )

    @classmethod
    def execute(cls, character: RiggedCharacter, animation: str) -> io.NodeOutput:
        """C3D_CHARACTER -> C3D_CHARACTER."""
        names = {"none": (), "all": CLIPS}.get(animation, (animation,))
        return io.NodeOutput(clips.animate_character(character, names, StageRun("animation").progress))


class PreviewAnimation(io.ComfyNode):
    """Renders a moving or turning character as an animated picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DPreviewAnimation",
            display_name="Preview Animation (WebP)",
            category="character3d/6 export",
            description="Renders the character in motion, or on a turntable, and saves an animated WebP.",
            search_aliases=["turntable", "animated preview", "gif"],
            is_output_node=True,
            inputs=[
                character_input("The rigged character; only newest clip needs clips of its own."),
                io.Combo.Input(
                    "motion",
                    options=[_TURNTABLE, *CLIPS, _NEWEST],
                    default="walk",
                    tooltip="The clip to show. newest clip: the last one that was added to the character. "
                    "turntable: one turn of the character in its rest pose.",
                ),
                io.Int.Input("size", default=320, min=64, max=1024, tooltip="Side of the picture in pixels."),
                io.Float.Input(
                    "azimuth",
                    default=35.0,
                    min=-180.0,
                    max=180.0,
                    tooltip="Camera angle in degrees: 0 is the front, 90 its left side; not for turntable.",
                ),
                prefix_input("preview_animation"),
                job_input(),
            ],
            outputs=[io.Image.Output(display_name="frames", tooltip="The frames, at 15 per second.")],
        )

    @classmethod
    def execute(
        cls,
        character: RiggedCharacter,
        motion: str,
        size: int,
        azimuth: float,
        filename_prefix: str,
        job_id: str = "",
    ) -> io.NodeOutput:
        """C3D_CHARACTER -> IMAGE (T, size, size, 4)."""
        progress = StageRun("preview").progress
        options: dict[str, Any] = {
            "size": size,
            "device": reserve_device((2 * size) ** 2),
            "progress": span_progress(progress, 0.2, 1),
        }
        if motion == _TURNTABLE:
            frames = preview.render_turntable(character.textured, **options)
            seconds = len(frames) / _FRAMES_PER_SECOND
        else:
            part = span_progress(progress, 0, 0.2)
            clip, angle = _choose_clip(character, motion, part), math.radians(azimuth)
            fps, seconds = _FRAMES_PER_SECOND, float(clip.times[-1])
            frames = preview.render_animation(character, clip, azimuth=angle, fps=fps, **options)
        rate = len(frames) / seconds
        file = save_counted(filename_prefix, ".webp", lambda _stem: preview.encode_webp(frames, rate))
        ui = {"images": [file.entry], "animated": (True,), "character3d_file": [file.entry]}
        return io.NodeOutput(array_to_image(frames), ui=ui)


def _choose_clip(character: RiggedCharacter, motion: str, progress: Progress) -> AnimationClip:
    """A bundled clip, or the character's last; what hangs on the body follows. RigError if there is none."""
    if motion != _NEWEST:
        return clips.swing_clip(character, clips.retarget_clip(clips.load_clip(motion), character), progress)
    if not character.clips:
        raise RigError(
            "motion: expected a character with clips, from Add Animation or Load Motion; found none"
        )
    return clips.swing_clip(character, character.clips[-1], progress)
