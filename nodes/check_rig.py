"""What a rig would make of a mesh: the node Check Rig, and the service's POST /character/rig_check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..pipeline import formats, rigging
from ..pipeline.conventions import AXIS_OPTIONS
from ..pipeline.errors import MeshError
from ..pipeline.types import TexturedMesh
from .compat import file_3d_to_path, io, is_file_3d, make_schema
from .inputs import mesh_input, placing_inputs
from .sockets import socket_to_surfaces

MAX_FACES = 1_000_000
"""Of a mesh that the service looks over; so many take about ten seconds."""


class CheckRig(io.ComfyNode):
    """Says what a mesh is, how it stands, what it lacks for a rig, and what to do."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DCheckRig",
            display_name="Check Rig",
            category="character3d/5 rigging",
            description="Says what a mesh is, how it stands, what it lacks for a rig, and what to do.",
            search_aliases=["validate mesh", "is humanoid", "rig check", "inspect mesh"],
            is_output_node=True,
            inputs=[mesh_input("mesh", "The mesh as it would go into Rig Character."), *placing_inputs()],
            outputs=[
                io.String.Output(
                    display_name="kind",
                    tooltip="What it is: humanoid, half_body, quadruped…",
                    is_output_list=True,
                ),
                io.Float.Output(
                    display_name="confidence", tooltip="How sure that is, 0 to 1.", is_output_list=True
                ),
                io.String.Output(
                    display_name="report", tooltip="All that was found, as JSON.", is_output_list=True
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        mesh: Any,
        up: str = AXIS_OPTIONS[0],
        front: str = AXIS_OPTIONS[0],
        height_meters: float = 0.0,
    ) -> io.NodeOutput:
        """TRIMESH, MESH or FILE_3D -> STRING, FLOAT, STRING, one each for each mesh of a batch."""
        placing: dict[str, Any] = {"up": up, "front": front, "height": height_meters}
        if is_file_3d(mesh):
            with file_3d_to_path(mesh) as path:
                checks = [_check_file(path, **placing)]
        else:
            checks = [rigging.check_rig(surface, **placing) for surface in socket_to_surfaces(mesh)]
        reports = [json.dumps(check.to_dict(), indent=2, ensure_ascii=False) for check in checks]
        lines = [line for check in checks for line in describe_check(check)]
        kinds, shares = [check.kind for check in checks], [check.confidence for check in checks]
        return io.NodeOutput(kinds, shares, reports, ui={"text": lines})


def check_rig_file(path: Path) -> dict[str, Any]:
    """Look over the mesh of a file: the members of RigCheck. FormatError, MeshError: as of read_mesh."""
    return _check_file(path, most=MAX_FACES).to_dict()


def describe_check(check: rigging.RigCheck) -> list[str]:
    """The check in sentences: what it is, how it stands, each finding."""
    what = f"{check.kind} ({check.confidence:.0%} sure), {check.surface.faces} faces"
    stands = f"{check.height_meters:.2f} m high ({check.unit}), up {check.up}, faces {check.front}"
    if check.pose:
        stands += f", {check.pose}, {check.arms} arms and {check.legs} legs apart, {check.fingers} fingers"
    notes = (f"{item.message}. {item.advice}".strip() for item in check.findings)
    return [what, stands, *notes]


def _check_file(
    path: Path, *, up: str = "auto", front: str = "auto", height: float = 0.0, most: int = 0
) -> rigging.RigCheck:
    loaded = formats.read_mesh(path)
    if (up, front) == ("auto", "auto"):
        up, front = loaded.up, loaded.front
    surface = loaded.surface
    count = len((surface.mesh if isinstance(surface, TexturedMesh) else surface).faces)
    if most and count > most:
        raise MeshError(f"{path.name} has {count} faces; at most {most} are looked over")
    return rigging.check_rig(surface, up=up, front=front, height=height, is_stated=loaded.has_stated_frame)
