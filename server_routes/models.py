"""GET /models next to core's route of the same path.

CHARACTER3D_MODELS_ROUTE: `spec` (the default) answers GET /models as the wire contract says, `core` leaves it
to ComfyUI. GET /generate_character/models answers as the contract says in both cases.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from aiohttp import web

from .errors import Handler, answer_errors

log = logging.getLogger("character3d")

SETTING = "CHARACTER3D_MODELS_ROUTE"
SPEC, CORE = "spec", "core"
MODELS_PATH = "/generate_character/models"

FOLDERS_MEDIA_TYPE = "application/vnd.comfyui.folders+json"


def wants_folders(request: web.Request) -> bool:
    """Whether this is a client of core's GET /models, which lists folder names.

    ComfyUI client libraries mark their requests with clientId; others may ask outright.
    """
    return (
        "clientId" in request.query
        or request.query.get("format") == "folders"
        or FOLDERS_MEDIA_TYPE in request.headers.get("Accept", "")
    )


def read_setting(environment: Mapping[str, str] = os.environ) -> str:
    """Who answers GET /models: `spec` or `core`; raises ValueError for any other value of the variable."""
    found = environment.get(SETTING, "").strip() or SPEC
    if found not in (SPEC, CORE):
        raise ValueError(f"{SETTING} is {found!r}; it must be {SPEC} or {CORE}")
    return found


def serve_models(router: web.UrlDispatcher, owner: str, list_models: Handler) -> Handler | None:
    """Put GET /models onto the router, which is asked before the table of routes; returns its handler.

    Core's route, and those that other packs add or put in its place, are left as they are: clients that want
    folders are answered by the next of them, as they would be without this pack. owner: SPEC or CORE.
    list_models: answers everybody else.
    """

    @answer_errors
    async def answer(request: web.Request) -> web.StreamResponse:
        other = find_other() if wants_folders(request) else None
        return await (other or list_models)(request)

    def find_other() -> Handler | None:
        for route in router.routes():
            path = route.resource and route.resource.canonical
            if (route.method, path) == ("GET", "/models") and route.handler is not answer:
                return route.handler
        return None

    if owner != SPEC:
        log.info("GET /models is ComfyUI's; ours is %s", MODELS_PATH)
        return None
    if find_other():
        log.warning("GET /models is another pack's, which was loaded first; ours is %s", MODELS_PATH)
        return None
    # With names of their own: add_get of another pack would raise on a nameless route of this path.
    router.add_get("/models", answer, name="character3d_models")
    router.add_options("/models", answer, name="character3d_models_preflight")
    log.info("GET /models is the wire contract's; %s=core leaves it to ComfyUI", SETTING)
    return answer
