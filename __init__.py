"""ComfyUI-Character3D: what ComfyUI imports. The nodes, the web folder and the routes; no work here."""

from __future__ import annotations

from server import PromptServer

from .nodes import Character3DExtension
from .nodes.check_picture import check_picture
from .nodes.check_rig import check_rig_file
from .nodes.prepare_job import prepare_job
from .server_routes.registration import register_routes
from .server_routes.templates import serve_workflows

WEB_DIRECTORY = "./web"

register_routes(PromptServer.instance, check_picture, check_rig_file, prepare_job)
serve_workflows(PromptServer.instance)


async def comfy_entrypoint() -> Character3DExtension:
    """Called by ComfyUI after the import."""
    return Character3DExtension()
