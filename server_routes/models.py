"""Which models this ComfyUI has, and GET /models beside core's route of the same path."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import folder_paths
from aiohttp import web

from ..pipeline import weights
from .errors import answer_errors

FOLDERS_MEDIA_TYPE = "application/vnd.comfyui.folders+json"


def list_diffusion_models() -> list[str]:
    """Exactly the names that POST /generate_character takes as model_name. Blocks: scans folders."""
    names = set(folder_paths.get_filename_list("checkpoints"))
    names -= set(weights.list_shape_models(names))
    return sorted(name for name in names if name.lower().endswith(".safetensors"))


def list_shape_models() -> list[str]:
    """Exactly the names that it takes as mesh_model beside `auto`, best first. Blocks: scans folders."""
    return weights.list_shape_models(
        name for folder in weights.SHAPE_MODEL_FOLDERS for name in folder_paths.get_filename_list(folder)
    )


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
