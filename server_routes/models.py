"""Which models this ComfyUI has, and GET /models beside core's route of the same path."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable
from typing import Any

import folder_paths
from aiohttp import web

from .errors import answer_errors

FOLDERS_MEDIA_TYPE = "application/vnd.comfyui.folders+json"

_SHAPE_MODEL = re.compile(r"hunyuan[-_ ]?3d|hy3d", re.IGNORECASE)
_NOT_SHAPE = re.compile(r"paint|delight|vae|texgen", re.IGNORECASE)


def _list_safetensors(folder: str) -> list[str]:
    if folder not in folder_paths.folder_names_and_paths:
        return []
    names = folder_paths.get_filename_list(folder)
    return sorted(name for name in names if name.lower().endswith(".safetensors"))


def list_diffusion_models() -> list[str]:
    """Exactly the names that POST /generate_character takes as model_name. Blocks: scans folders."""
    return _list_safetensors("checkpoints")


def list_shape_models() -> list[str]:
    """Names of Hunyuan3D shape models, wherever ComfyUI keeps them. Blocks: scans folders."""
    names = {*_list_safetensors("diffusion_models"), *_list_safetensors("checkpoints")}
    return sorted(name for name in names if _SHAPE_MODEL.search(name) and not _NOT_SHAPE.search(name))


def _wants_folders(request: web.Request) -> bool:
    """Whether this is a client of core's GET /models, which lists folder names.

    ComfyUI client libraries mark their requests with clientId; others may ask outright.
    """
    return (
        "clientId" in request.query
        or request.query.get("format") == "folders"
        or FOLDERS_MEDIA_TYPE in request.headers.get("Accept", "")
    )


def _core_handler(server: Any) -> Callable[[web.Request], Any] | None:
    for route in server.routes:
        if isinstance(route, web.RouteDef) and (route.method, route.path) == ("GET", "/models"):
            return route.handler
    return None


def models_handler(server: Any) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The handler of GET /models: the wire contract's object, or core's list for who wants that."""
    core = _core_handler(server)

    async def list_models(request: web.Request) -> web.StreamResponse:
        if core and _wants_folders(request):
            answer = core(request)
            return await answer if inspect.isawaitable(answer) else answer
        diffusion, shape = await asyncio.gather(
            asyncio.to_thread(list_diffusion_models), asyncio.to_thread(list_shape_models)
        )
        return web.json_response({"diffusion_models": diffusion, "3d_models": shape})

    return answer_errors(list_models)
