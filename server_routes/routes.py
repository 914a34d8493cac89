"""The routes of the wire contract, and how they are hung onto ComfyUI's server."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator
from io import FileIO
from pathlib import Path
from typing import Any

from aiohttp import web

from .access import Access
from .downloads import send_file
from .errors import (
    ApiError,
    Handler,
    answer_errors,
    invalid_parameter,
    job_not_found,
    refuse_method,
    refuse_path,
)
from .event_stream import read_last_seq, stream_job_events
from .files import FileFacts, JobFile, open_with_facts
from .graph import GRAPH_FILE, GraphError
from .health import METRICS_TYPE, describe_health, describe_metrics
from .idempotency import KeysInFlight, key_reused, read_key
from .jobs import Job
from .limits import Listeners
from .listing import describe_page, read_page
from .models import MODELS_PATH, list_models, read_setting, serve_models
from .openapi import OPENAPI_PATH, describe_service
from .service import CharacterService, take_slot
from .status import describe_acceptance, describe_job
from .upload import Form, read_form
from .websocket import check_upgrade, read_since, refuse_socket, serve_job_events

log = logging.getLogger("character3d")

NOT_READY_SECONDS = 5
DOCS_PATH = "/generate_character/docs"
OPEN_PATHS = (OPENAPI_PATH, DOCS_PATH)
"""How to ask for a key must be readable without one."""

PAGE = Path(__file__).with_name("reference.html")


class Routes:
    """The request handlers."""

    def __init__(self, service: CharacterService, user_manager: Any, access: Access) -> None:
        self._service = service
        self.access = access
        self._user_manager = user_manager
        self._keys = KeysInFlight()
        self._listeners = Listeners()

    async def generate_character(self, request: web.Request) -> web.StreamResponse:
        """POST /generate_character."""
        user, key = self._identify_user(request), read_key(request)
        rate_limit = self._service.rate_limit
        try:
            response = await self._accept(request, user, key)
        except ApiError as error:
            self._service.tally.refused[str(error.details.get("reason", error.code))] += 1
            error.headers.update(rate_limit.headers(user))
            raise
        response.headers.update(rate_limit.headers(user))
        return response

    async def get_status(self, request: web.Request) -> web.StreamResponse:
        """GET /job/{job_id}/status."""
        job = self._find_job(request)
        return web.json_response(describe_job(job), headers={"Cache-Control": "no-store"})

    async def download(self, request: web.Request) -> web.StreamResponse:
        """GET /job/{job_id}/download/{filename}: exactly the files that the job's nodes wrote."""
        job, name = self._find_job(request), request.match_info["filename"]
        for file in job.files:
            opened = await self._open(job, file) if file.name == name else None
            if opened:
                with opened[0] as stream:
                    return await send_file(request, stream, name, opened[1])
        raise _file_not_found(job, name)

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """POST /job/{job_id}/cancel: stop a job; one that has ended stays as it is."""
        job = self._find_job(request)
        ended = await self._service.cancel_job(job)
        return web.json_response(describe_job(job), status=200 if ended else 202)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """DELETE /job/{job_id}: stop a job that lives; delete the files and record of one that has ended."""
        job = self._find_job(request)
        if not job.is_terminal:
            return await self.cancel(request)
        body = describe_job(job)
        await self._service.delete_job(job)
        return web.json_response(body)

    async def list_jobs(self, request: web.Request) -> web.StreamResponse:
        """GET /generate_character/jobs: the user's own jobs, newest first."""
        page = read_page(request)
        user = self._identify_user(request)
        jobs = self._service.list_jobs(user, page.states, page.before, page.limit + 1)
        return web.json_response(describe_page(jobs, page.limit), headers={"Cache-Control": "no-store"})

    async def watch(self, request: web.Request) -> web.StreamResponse:
        """WS /ws/{job_id}."""
        since = read_since(request)
        check_upgrade(request)
        try:
            job = self._find_job(request)
        except ApiError as error:
            return await refuse_socket(request, error)
        with self._listeners.hold(job.id, self._identify_user(request)):
            return await serve_job_events(request, job, since)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """GET /job/{job_id}/events."""
        job, last_seq = self._find_job(request), read_last_seq(request)
        with self._listeners.hold(job.id, self._identify_user(request)):
            return await stream_job_events(request, job, last_seq)

    async def health(self, request: web.Request) -> web.StreamResponse:
        """GET /generate_character/health: 200 when a job would be taken, else 503 with the reasons."""
        reasons = await asyncio.to_thread(self._service.why_not_ready)
        body = describe_health(reasons, self._service.jobs.live, self._service.tally)
        status = 503 if reasons else 200
        return web.json_response(body, status=status, headers={"Cache-Control": "no-store"})

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        """GET /generate_character/metrics, for Prometheus."""
        text = describe_metrics(self._service.tally, self._service.jobs.live)
        return web.Response(text=text, headers={"Content-Type": METRICS_TYPE})

    async def openapi(self, request: web.Request) -> web.StreamResponse:
        """GET /generate_character/openapi.json."""
        return web.json_response(describe_service(needs_key=bool(self.access.keys)))

    async def reference(self, request: web.Request) -> web.StreamResponse:
        """GET /generate_character/docs: the same as a page, made of nothing but itself."""
        return web.FileResponse(PAGE)

    async def _accept(self, request: web.Request, user: str, key: str | None) -> web.Response:
        """Read and queue a job; the slot that it takes is given back where none begins."""
        known = self._service.find_request(user, key) if key else None
        take_slot(self._service, user, is_replay=known is not None)
        began = False
        try:
            async with self._keys.hold(user, key), read_form(request) as form:
                known = self._service.find_request(user, key) if key else None
                if known:
                    return self._replay(known, form)
                job = await self._service.create_job(form, user, key)
                began = True
                return accept_response(job)
        finally:
            if not began:
                self._service.slots.release(user)

    def _replay(self, known: tuple[str, str], form: Form) -> web.Response:
        digest, job_id = known
        if digest != form.digest:
            raise key_reused()
        response = accept_response(self._service.jobs.find(job_id))
        response.headers["Idempotency-Replayed"] = "true"
        return response

    async def _open(self, job: Job, file: JobFile) -> tuple[FileIO, FileFacts] | None:
        known = job.facts.get(file)
        opened = await asyncio.to_thread(open_with_facts, self._service.output_folder, file, known)
        if opened:
            job.facts[file] = opened[1]
        return opened

    def _find_job(self, request: web.Request) -> Job:
        job = self._service.jobs.find(request.match_info["job_id"])
        if not self.access.may_see(self._identify_user(request), job.user):
            raise job_not_found(job.id)
        return job

    def _identify_user(self, request: web.Request) -> str:
        return self.access.identify(request, self._user_manager)


def accept_response(job: Job) -> web.Response:
    """The 202 answer."""
    location = {"Location": f"/job/{job.id}/status"}
    return web.json_response(describe_acceptance(job), status=202, headers=location)


def _file_not_found(job: Job, name: str) -> ApiError:
    refusal = invalid_parameter(
        "The job has no such file",
        "filename",
        404,
        provided=name[:100],
        allowed=sorted(file.name for file in job.files),
        job_status=describe_job(job)["status"],
    )
    if not job.is_terminal:
        refusal.headers["Retry-After"] = str(NOT_READY_SECONDS)
    return refusal


def _guard(access: Access, handler: Handler) -> Handler:
    """The handler for those who may ask."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        access.check(request)
        return await handler(request)

    return guarded


def _add_routes(table: web.RouteTableDef, routes: Routes) -> None:
    # Wider than aiohttp's own patterns, so that odd ids and names get our answer, too.
    job, name = r"{job_id:[^/]+}", r"{filename:[\s\S]*}"
    paths: dict[str, dict[str, Handler]] = {
        "/generate_character": {"POST": routes.generate_character},
        f"/job/{job}/status": {"GET": routes.get_status},
        f"/job/{job}/download/{name}": {"GET": routes.download},
        f"/job/{job}/cancel": {"POST": routes.cancel},
        f"/job/{job}": {"DELETE": routes.delete},
        "/generate_character/jobs": {"GET": routes.list_jobs},
        MODELS_PATH: {"GET": list_models},
        OPENAPI_PATH: {"GET": routes.openapi},
        DOCS_PATH: {"GET": routes.reference},
        "/generate_character/health": {"GET": routes.health},
        "/generate_character/metrics": {"GET": routes.metrics},
        f"/job/{job}/events": {"GET": routes.stream},
        f"/ws/{job}": {"GET": routes.watch},
    }
    for path, handlers in paths.items():
        for method, handler in handlers.items():
            checked = handler if path in OPEN_PATHS else _guard(routes.access, handler)
            table.route(method, path)(answer_errors(checked))
        allowed = [*handlers, *(["HEAD"] if "GET" in handlers else [])]
        table.route("*", path)(refuse_method(*allowed))
    for beside in ("/generate_character/{tail:.*}", "/job/{tail:.*}", "/ws/{tail:.*}"):
        table.route("*", beside)(refuse_path)


async def _warn_when_open(server: Any, access: Access) -> AsyncIterator[None]:
    """ComfyUI notes where it listens only after the start hooks have run."""

    async def wait_for_address() -> None:
        while not hasattr(server, "address"):
            await asyncio.sleep(0.1)
        access.warn_when_open(server.address)

    waiting = asyncio.create_task(wait_for_address())
    yield
    waiting.cancel()


def register_routes(server: Any, template_file: Path = GRAPH_FILE) -> None:
    """Hang the routes onto ComfyUI's PromptServer; to be called once, while the pack is imported.

    ComfyUI mirrors the route table under /api. A pack that is imported once more while the server runs
    leaves the routes as they are.
    """
    if server.app.frozen:
        log.warning("the REST service stays as it was: ComfyUI's server runs already")
        return
    try:
        models_owner = read_setting()
        service = CharacterService(server, template_file)
    except (OSError, ValueError, GraphError, sqlite3.Error) as error:
        log.error("the REST service is off: %s", error)
        return
    user_manager = getattr(server, "user_manager", None)
    access = Access.from_environment()
    server.app.on_startup.append(service.resume)
    server.app.on_cleanup.append(service.close)
    server.app.cleanup_ctx.append(lambda app: _warn_when_open(server, access))
    _add_routes(server.routes, Routes(service, user_manager, access))
    serve_models(server.app.router, models_owner)
    log.info("POST /generate_character, GET /job/{id}/status, WS /ws/{id} are served")
