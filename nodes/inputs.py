"""Inputs that several stages take, each said once."""

from __future__ import annotations

from collections.abc import Sequence

from .compat import io
from .sockets import Trimesh


def mesh_input(name: str, tooltip: str) -> io.Input:
    """A mesh input that takes TRIMESH as well as core's MESH."""
    return io.MultiType.Input(name, [Trimesh, io.Mesh], tooltip=tooltip)


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
