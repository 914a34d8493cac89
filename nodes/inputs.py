"""Inputs that several stages take, each said once."""

from __future__ import annotations

from collections.abc import Sequence

from ..backends.hunyuan3d import list_installed_models
from ..backends.mv_adapter import list_installed_adapters
from .compat import io
from .sockets import SIDES, Character, Trimesh


def mesh_input(name: str, tooltip: str) -> io.Input:
    """A mesh input that takes TRIMESH as well as core's MESH."""
    return io.MultiType.Input(name, [Trimesh, io.Mesh], tooltip=tooltip)


def character_input(tooltip: str) -> io.Input:
    """A rigged character."""
    return Character.Input("character", tooltip=tooltip)


def prefix_input(default: str) -> io.Input:
    """Where a file goes and how its name starts."""
    return io.String.Input(
        "filename_prefix",
        default=default,
        tooltip="Start of the file's name in the output folder; may name a subfolder.",
    )


def job_input() -> io.Input:
    """What keeps the files of one job apart from another's with the same values."""
    return io.String.Input(
        "job_id",
        default="",
        optional=True,
        tooltip="Set by the REST service, so that every job writes files of its own. Leave it empty here.",
    )


def picture_inputs() -> list[io.Input]:
    """The framed picture and its mask."""
    return [
        io.Image.Input("image", tooltip="Framed picture from Preprocess Picture."),
        io.Mask.Input("mask", tooltip="Its mask: white where the character is."),
    ]


def method_input(methods: Sequence[str], embedded: str) -> io.Input:
    """The choice of a method, best first; `embedded` is the one that needs no weights."""
    return io.Combo.Input(
        "method",
        options=["auto", *methods],
        default="auto",
        tooltip=f"auto: the best method that is installed. {embedded} needs no weights.",
    )


def seed_input(tooltip: str) -> io.Input:
    """A seed that the editor can draw anew after each run."""
    return io.Int.Input("seed", default=0, min=0, max=2**53 - 1, control_after_generate=True, tooltip=tooltip)


def mesh_model_input() -> io.Input:
    """The choice of a shape model among those on disk."""
    return io.Combo.Input(
        "mesh_model",
        options=["auto", *list_installed_models()],
        default="auto",
        tooltip="Hunyuan3D file in models/diffusion_models or models/checkpoints. auto: the best one there.",
    )


def adapter_input() -> io.Input:
    """The choice of a view adapter among those on disk."""
    return io.Combo.Input(
        "adapter",
        options=["auto", *list_installed_adapters()],
        default="auto",
        tooltip="IG2MV adapter for SDXL in models/model_patches or models/controlnet. auto: the best there.",
    )


def view_size_input() -> io.Input:
    """The side of the six views."""
    return io.Combo.Input(
        "image_size", options=[512, 768, 1024], default=768, tooltip="Side of each view in pixels."
    )


def resolution_input() -> io.Input:
    """The fineness of a learned shape's surface."""
    return io.Int.Input(
        "octree_resolution",
        default=384,
        min=16,
        max=512,
        step=16,
        tooltip="Cells along each side of the cube that a learned shape is decoded in.",
    )


def face_count_input() -> io.Input:
    """The face budget of a mesh."""
    return io.Int.Input(
        "face_count", default=50_000, min=1_000, max=500_000, step=1_000, tooltip="Most faces of the mesh."
    )


def side_picture_inputs() -> list[io.Input]:
    """Further pictures of the character, for models that take several."""
    inputs: list[io.Input] = []
    for side, seen in zip(SIDES, ("its left side", "behind", "its right side"), strict=True):
        tip = f"Framed picture of the character from {seen}, for a multiview model (2mv)."
        inputs += [
            io.Image.Input(side, optional=True, tooltip=tip),
            io.Mask.Input(f"{side}_mask", optional=True, tooltip="Its mask: white where the character is."),
        ]
    return inputs
