"""Inputs shared by several nodes, each defined once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..backends.installed import list_installed_adapters, list_installed_models
from ..pipeline.conventions import AXIS_OPTIONS, SIDE_NAMES
from .compat import file_3d_types, io, is_file_3d_type
from .sockets import SIDES, Character, FigureSocket, PicturesSocket, Trimesh


def mesh_input(name: str, tooltip: str) -> io.Input:
    """A mesh input: TRIMESH, core's MESH, or core's FILE_3D where the running ComfyUI has it."""
    return io.MultiType.Input(name, [Trimesh, io.Mesh, *file_3d_types()], tooltip=tooltip)


def file_inputs(widget: str) -> list[io.Input]:
    """A FILE_3D that takes the place of the file that a widget names; none where core has no such type."""
    types, tooltip = file_3d_types(), f"Used instead of {widget} if connected."
    return [io.MultiType.Input("file", types, optional=True, tooltip=tooltip)] if types else []


def check_file_links(widget: str, input_types: Mapping[str, str] | None) -> bool | str | None:
    """What validate_inputs says of a linked file, or of a linked widget; None if the widget's value counts.

    ComfyUI passes the types of linked inputs in `input_types`, and leaves checking them to this method.
    """
    linked = input_types or {}
    if "file" in linked:
        return is_file_3d_type(linked["file"]) or f"file: expected FILE_3D, found {linked['file']}"
    return True if widget in linked else None  # a linked value is known, and checked, when the node runs


def placing_inputs() -> list[io.Input]:
    """How a mesh stands, where it is not to be found from the mesh."""
    names = (("up", "points up"), ("front", "the figure faces"))
    return [
        *(
            io.Combo.Input(
                name,
                options=list(AXIS_OPTIONS),
                default=AXIS_OPTIONS[0],
                optional=True,
                tooltip=f"The axis of the mesh that {what}. auto: found from the mesh.",
            )
            for name, what in names
        ),
        height_input("How tall the figure shall be. 0: its unit is found from its height."),
    ]


def height_input(tooltip: str) -> io.Input:
    """A height in metres, or 0."""
    return io.Float.Input(
        "height_meters", default=0.0, min=0.0, max=1000.0, step=0.01, optional=True, tooltip=tooltip
    )


def character_input(tooltip: str) -> io.Input:
    """A rigged character."""
    return Character.Input("character", tooltip=tooltip)


def prefix_input(default: str) -> io.Input:
    """The folder of a file and the start of its name."""
    return io.String.Input(
        "filename_prefix",
        default=default,
        tooltip="Start of the file's name in the output folder; may include a subfolder.",
    )


def job_input() -> io.Input:
    """Distinguishes the files of one job from those of another with the same inputs.

    The editor shows no widget for it; only the REST service sets it.
    """
    tooltip = "Set by the REST service, so that every job writes its own files."
    job = io.String.Input("job_id", default="", optional=True, tooltip=tooltip)
    job.extra_dict["hidden"] = True
    return job


def picture_inputs() -> list[io.Input]:
    """The framed picture and its mask."""
    return [
        io.Image.Input("image", tooltip="Framed picture from Preprocess Picture."),
        io.Mask.Input("mask", tooltip="Its mask: white where the character is."),
    ]


def subject_mask_input() -> io.Input:
    """Where the character is in a picture as it came."""
    tooltip = "White where the character is; from any matting node. All white: no mask."
    return io.Mask.Input("mask", optional=True, tooltip=tooltip)


def figure_number_input(tooltip: str) -> io.Input:
    """One of several figures in a picture, from the left, from 0; -1 leaves the choice."""
    return io.Int.Input("figure", default=-1, min=-1, max=99, optional=True, tooltip=tooltip)


def figure_input(tooltip: str) -> io.Input:
    """What was read of the figure in the picture; a stage reads the outline or the mesh itself without it."""
    return FigureSocket.Input("figure", optional=True, tooltip=tooltip)


def method_input(methods: Sequence[str], embedded: str) -> io.Input:
    """The method, best first; `embedded` is the one that needs no weights."""
    return io.Combo.Input(
        "method",
        options=["auto", *methods],
        default="auto",
        tooltip=f"auto: the best installed method. {embedded} needs no weights.",
    )


def seed_input(tooltip: str) -> io.Input:
    """A seed, which the editor can change after each run."""
    return io.Int.Input("seed", default=0, min=0, max=2**53 - 1, control_after_generate=True, tooltip=tooltip)


def mesh_model_input() -> io.Input:
    """The shape model, among those that are installed."""
    return io.Combo.Input(
        "mesh_model",
        options=["auto", *list_installed_models()],
        default="auto",
        tooltip="Hunyuan3D file in models/diffusion_models or models/checkpoints. auto: the best one.",
    )


def adapter_input() -> io.Input:
    """The view adapter, among those that are installed."""
    return io.Combo.Input(
        "adapter",
        options=["auto", *list_installed_adapters()],
        default="auto",
        tooltip="IG2MV adapter for SDXL in models/model_patches or models/controlnet. auto: the best one.",
    )


def view_size_input() -> io.Input:
    """The side length of the six views."""
    return io.Combo.Input(
        "image_size", options=[512, 768, 1024], default=768, tooltip="Side of each view in pixels."
    )


def resolution_input() -> io.Input:
    """The resolution at which a learned shape is decoded."""
    return io.Int.Input(
        "octree_resolution",
        default=384,
        min=16,
        max=512,
        step=16,
        tooltip="Number of cells along each side of the cube in which a learned shape is decoded.",
    )


def face_count_input() -> io.Input:
    """The maximum number of faces of a mesh."""
    return io.Int.Input(
        "face_count",
        default=50_000,
        min=1_000,
        max=500_000,
        step=1_000,
        tooltip="Maximum number of faces.",
    )


def side_picture_inputs() -> list[io.Input]:
    """Additional pictures of the character, for models that accept several."""
    inputs: list[io.Input] = []
    for side, seen in zip(SIDES, ("its left side", "behind", "its right side"), strict=True):
        tip = f"Framed picture of the character from {seen}, for a multiview model (2mv)."
        inputs += [
            io.Image.Input(side, optional=True, tooltip=tip),
            io.Mask.Input(f"{side}_mask", optional=True, tooltip="Its mask: white where the character is."),
        ]
    return inputs


def pictures_input(tooltip: str) -> io.Input:
    """Pictures of the character from other sides, brought to the front's scale."""
    return PicturesSocket.Input("pictures", optional=True, tooltip=tooltip)


def further_picture_inputs() -> list[io.Input]:
    """Pictures of the character from other sides, as they are."""
    seen = {"left": "its left side", "right": "its right side", "back": "behind", "top": "above"}
    inputs: list[io.Input] = []
    for side in SIDE_NAMES:
        tip = f"The same character in the same pose, seen from {seen[side]}."
        mask = f"White where it is in {side}; from any matting node."
        inputs += [
            io.Image.Input(side, optional=True, tooltip=tip),
            io.Mask.Input(f"{side}_mask", optional=True, tooltip=mask),
        ]
    return inputs
