"""The service as tools of the Model Context Protocol, on standard input and output.

A job takes longer than most hosts wait for a tool: `generate`, `rig` and `animate` return at once, `status`
says how far a job is, and `download` fetches its files.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from .client import Client
from .connection import ServiceError
from .orders import PICTURES

P = ParamSpec("P")
T = TypeVar("T")

ABOUT = (
    "Turns one picture of a character (PNG or JPEG) into a textured, rigged 3D character, and rigs or "
    "animates meshes. Start a job with generate, rig or animate, ask for its status until it is completed, "
    "then download its files. Paths are of the machine that this server runs on."
)

Format = Literal["fbx", "glb", "vrm", "vrm0", "usdz"]
Preset = Literal["none", "unity", "unreal", "godot", "blender", "roblox", "vrchat", "vrm", "quicklook", "web"]
Clip = Literal["none", "all", "idle", "walk", "run", "jump", "wave", "sit", "dance", "t_pose"]


def _told(tool: Callable[P, T]) -> Callable[P, T]:
    """A tool whose refusals are told to the host."""

    @wraps(tool)
    def call(*arguments: P.args, **options: P.kwargs) -> T:
        try:
            return tool(*arguments, **options)
        except (ServiceError, OSError, ValueError) as error:
            raise ToolError(str(error)) from error

    return call


class Tools:
    """The tools; each is a request, or a few."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def generate(
        self,
        picture: str,
        preset: Preset = "none",
        character_format: Format | None = None,
        animation: Clip = "none",
        prompt: str | None = None,
        seed: int | None = None,
    ) -> dict[str, Any]:
        """Start a job that makes a rigged 3D character of a picture file; returns its job_id.

        preset is the program that shall take the file; without one, it is a GLB unless character_format says
        otherwise. prompt describes the texture and counts only where a texture model is installed.
        """
        if preset == "none" and character_format is None:
            character_format = "glb"
        further: dict[str, Any] = {"character_format": character_format, "prompt": prompt, "seed": seed}
        given = {name: value for name, value in further.items() if value is not None}
        return dict(self._client.generate(Path(picture), preset=preset, animation=animation, **given))

    def rig(self, mesh: str, character_format: Format = "glb", animation: Clip = "none") -> dict[str, Any]:
        """Start a job that rigs a mesh file (GLB, FBX, OBJ and others); returns its job_id."""
        options: dict[str, Any] = {"character_format": character_format, "animation": animation}
        return dict(self._client.rig(Path(mesh), **options))

    def animate(self, mesh: str, motion: str, character_format: Format = "glb") -> dict[str, Any]:
        """Start a job that rigs a mesh file and puts a motion onto it: BVH, FBX, GLB, VRMA or npz of SMPL."""
        return dict(self._client.rig(Path(mesh), Path(motion), character_format=character_format))

    def status(self, job_id: str) -> dict[str, Any]:
        """How far a job is: its status (processing, completed or failed), progress, stages and downloads."""
        return dict(self._client.status(job_id))

    def check(self, file: str) -> list[dict[str, Any] | Image]:
        """What a job would read in a picture file, with a drawing, or what a rig would make of a mesh."""
        path = Path(file)
        if path.suffix.lower() not in PICTURES:
            return [dict(self._client.check_rig(path))]
        found: dict[str, Any] = dict(self._client.check(path))
        drawing = Image(data=base64.b64decode(found.pop("preview")), format="png")
        return [found, drawing]

    def download(self, job_id: str, folder: str, names: list[str] | None = None) -> list[str]:
        """Download files of a job into a folder, by default all of them; returns their paths."""
        wanted = names or [file["name"] for file in self._client.status(job_id)["downloads"]]
        return [str(self._client.download(job_id, name, Path(folder)).resolve()) for name in wanted]


def make_server(client: Client) -> MCPServer:
    """A server with the tools of one client."""
    server, tools = MCPServer("character3d", instructions=ABOUT), Tools(client)
    for tool in (tools.generate, tools.rig, tools.animate, tools.status, tools.check, tools.download):
        server.add_tool(_told(tool))
    return server


def serve(client: Client) -> None:
    """Serve until standard input ends."""
    make_server(client).run("stdio")
