"""A front door: the routes of the service on plain aiohttp, without ComfyUI, torch, a GPU or state.

Any number of them may stand behind a load balancer: what one has accepted, all serve.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiohttp import web

from ..pipeline.types import FloatArray
from ..server_routes.access import Access
from ..server_routes.errors import ApiError, answer_errors, server_busy
from ..server_routes.guard import Guard
from ..server_routes.models import SPEC, serve_models, wants_folders
from ..server_routes.routes import OPEN_PATHS, Routes, add_routes
from .service import ClusterService

log = logging.getLogger("character3d")


def make_app(service: ClusterService, access: Access | None = None) -> web.Application:
    """The application of one front door, with the service's life in its `cleanup_ctx`."""
    app, table = web.Application(), web.RouteTableDef()
    access = access or Access.from_environment()
    guard = Guard(access)
    guard.install(app)
    routes = Routes(service, None, access, _refuse_picture, _refuse_rig)
    add_routes(table, routes)
    for route in table:
        if isinstance(route, web.RouteDef):
            guard.add_own(route.handler, is_public=route.method == "*" or route.path in OPEN_PATHS)
    if models := serve_models(app.router, SPEC, answer_errors(routes.list_models)):
        guard.add_shared(models, lambda request: not wants_folders(request))
    app.add_routes(table)

    async def run(app: web.Application) -> AsyncIterator[None]:
        async for _ in service.run():
            yield

    app.cleanup_ctx.append(run)
    return app


def _refuse_picture(picture: FloatArray, figure: int) -> tuple[Mapping[str, Any], bytes]:
    raise _not_here("Pictures")


def _refuse_rig(*arguments: Any) -> Any:
    raise _not_here("Meshes")


def _not_here(things: str) -> ApiError:
    message = f"{things} are checked by a ComfyUI with this pack; a front door has none"
    return server_busy(503, message, "not_served", 3600)
