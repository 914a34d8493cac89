"""Adding the routes to ComfyUI's server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from .access import Access
from .check import PictureChecks, PictureReader, make_upload_reader
from .database_engine import DatabaseError
from .errors import answer_errors
from .graph import GRAPH_FILE, GraphError
from .guard import Guard
from .models import read_setting, serve_models, wants_folders
from .rig_check import RigChecks, RigReader, make_mesh_reader
from .routes import OPEN_PATHS, Routes, add_routes
from .service import CharacterService
from .studio import StudioPage

log = logging.getLogger("character3d")


async def _warn_when_open(server: Any, access: Access) -> AsyncIterator[None]:
    """ComfyUI sets its address only after the startup hooks have run."""

    async def wait_for_address() -> None:
        while not hasattr(server, "address"):
            await asyncio.sleep(0.1)
        access.warn_when_open(server.address)

    waiting = asyncio.create_task(wait_for_address())
    yield
    waiting.cancel()


def register_routes(
    server: Any,
    read_picture: PictureReader,
    read_rig: RigReader,
    prepare_job: Callable[[], None] | None,
    template_file: Path = GRAPH_FILE,
) -> None:
    """Add the routes to ComfyUI's PromptServer; to be called once, while the pack is imported.

    read_picture, read_rig: answer POST /character/check and /character/rig_check; prepare_job: does what the
    first job would wait for, when the studio is opened. Handed in, since the service imports no nodes.

    ComfyUI mirrors the route table under /api. When the pack is imported again while the server runs, the
    routes stay as they are.
    """
    if server.app.frozen:
        log.warning("the REST service stays as it was: ComfyUI's server is running already")
        return
    access = Access.from_environment()
    guard = Guard(access)
    guard.install(server.app)  # also if the service cannot start: earlier results are still there
    try:
        models_owner = read_setting()
        service = CharacterService(server, template_file)
    except (OSError, ValueError, GraphError, DatabaseError) as error:
        log.error("the REST service is off: %s", error)
        return
    user_manager = getattr(server, "user_manager", None)
    server.app.cleanup_ctx.append(service.run)
    server.app.cleanup_ctx.append(lambda app: _warn_when_open(server, access))
    foreign = len(server.routes)
    checks = PictureChecks(make_upload_reader(read_picture)), RigChecks(make_mesh_reader(read_rig))
    routes = Routes(service, user_manager, access, *checks, StudioPage(prepare_job))
    add_routes(server.routes, routes)
    for route in list(server.routes)[foreign:]:
        guard.add_own(route.handler, is_public=route.method == "*" or route.path in OPEN_PATHS)
    if models := serve_models(server.app.router, models_owner, answer_errors(routes.list_models)):
        guard.add_shared(models, lambda request: not wants_folders(request))
    log.info("POST /generate_character, GET /job/{id}/status, WS /ws/{id} are served")
