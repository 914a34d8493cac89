"""A front door: the routes of the service on plain aiohttp, without ComfyUI, torch, a GPU or state.

Any number of them may stand behind a load balancer: what one has accepted, all serve.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

from aiohttp import web

from ..server_routes.access import Access
from ..server_routes.check import PictureChecks, UploadReader
from ..server_routes.check_queue import AT_ONCE
from ..server_routes.errors import Handler, answer_errors
from ..server_routes.guard import Guard
from ..server_routes.models import SPEC, serve_models, wants_folders
from ..server_routes.rig_check import MeshReader, RigChecks
from ..server_routes.routes import OPEN_PATHS, Routes, add_routes
from ..server_routes.studio import StudioPage
from .service import ClusterService

log = logging.getLogger("character3d")


@web.middleware
async def _answer_options(request: web.Request, handler: Handler) -> web.StreamResponse:
    """As ComfyUI answers what is no preflight of a page of an allowed origin."""
    return web.Response() if request.method == "OPTIONS" else await handler(request)


def make_app(
    service: ClusterService, read_picture: UploadReader, read_mesh: MeshReader, access: Access | None = None
) -> web.Application:
    """The application of one front door, with the service's life in its `cleanup_ctx`."""
    app, table = web.Application(), web.RouteTableDef()
    access = access or Access.from_environment()
    guard = Guard(access)
    guard.install(app)
    app.middlewares.append(_answer_options)
    readers = PictureChecks(read_picture, AT_ONCE), RigChecks(read_mesh, AT_ONCE)
    routes = Routes(service, None, access, *readers, StudioPage())
    add_routes(table, routes)
    for route in table:
        if isinstance(route, web.RouteDef):
            guard.add_own(route.handler, is_public=route.method == "*" or route.path in OPEN_PATHS)
    if models := serve_models(app.router, SPEC, answer_errors(routes.list_models)):
        guard.add_shared(models, lambda request: not wants_folders(request))
    for route in list(table):
        if isinstance(route, web.RouteDef):  # as ComfyUI mirrors them
            table.route(route.method, f"/api{route.path}", **route.kwargs)(route.handler)
    app.add_routes(table)

    async def run(app: web.Application) -> AsyncIterator[None]:
        async for _ in service.run():
            yield

    app.cleanup_ctx.append(run)
    return app
