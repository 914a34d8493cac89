"""The routes of the wire contract, on whatever service runs the jobs."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from .access import Access
from .check import CHECK_PATH, PictureChecks
from .database_engine import DatabaseError
from .downloads import redirect_to_file, send_file, wants_redirect
from .edits import edit_digest, require_edits, require_ended
from .ended_job import EndedJob
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
from .files import JobFile
from .health import METRICS_TYPE, describe_health, describe_metrics
from .idempotency import KeysInFlight, key_reused, read_key
from .jobs_page import describe_page, read_page
from .limits import OpenStreams
from .mesh_jobs import ANIMATE_FILES, ANIMATE_PATH, RIG_FILES, RIG_PATH
from .models import MODELS_PATH
from .openapi import OPENAPI_PATH, describe_service
from .rig_check import RIG_CHECK_PATH, RigChecks
from .service_interface import AnyJob, Service
from .status import hide_webhook
from .studio import FILES_PATH, SLASH_PATH, STUDIO_PATH, StudioPage, redirect_to_page, serve_file
from .upload import EDITS, FILES, FilePart, Form, read_form
from .upload_slots import UploadSlots
from .websocket import check_upgrade, read_since, refuse_socket, serve_job_events

log = logging.getLogger("character3d")

CreateJob = Callable[[Form, str, str | None], Awaitable[AnyJob]]
"""Starts the job of a form, a user and an idempotency key."""
ReadDigest = Callable[[Form], str]

NOT_READY_SECONDS = 5
DOCS_PATH = "/generate_character/docs"
LLMS_PATH = "/llms.txt"
OPEN_PATHS = (OPENAPI_PATH, DOCS_PATH, LLMS_PATH, STUDIO_PATH, SLASH_PATH, FILES_PATH)
"""Served without authentication, since they say how to authenticate, or ask for a key."""

PAGE = Path(__file__).with_name("reference.html")
LLMS_FILE = Path(__file__).resolve().parent.parent / "llms.txt"


class Routes:
    """The request handlers."""

    def __init__(
        self,
        service: Service,
        user_manager: Any,
        access: Access,
        checks: PictureChecks,
        rig_checks: RigChecks,
        studio: StudioPage,
    ) -> None:
        self._service = service
        self._checks, self._rig_checks = checks, rig_checks
        self.studio = studio
        self.access = access
        self._user_manager = user_manager
        self._keys = KeysInFlight()
        self._streams = OpenStreams()
        self._uploads = UploadSlots()

    async def generate_character(self, request: web.Request) -> web.StreamResponse:
        """POST /generate_character."""
        return await self._start(request, FILES, self._service.create_job, lambda form: form.digest)

    async def _start(
        self, request: web.Request, wanted: Mapping[str, FilePart], create: CreateJob, digest: ReadDigest
    ) -> web.StreamResponse:
        """Start a job, within the user's limits. wanted: the files of its form."""
        user, key = self._identify_user(request), read_key(request)
        try:
            response = await self._accept(request, user, key, wanted, create, digest)
        except ApiError as error:
            self._service.metrics.refused[str(error.details.get("reason", error.code))] += 1
            error.headers.update(await self._service.describe_limit(user))
            raise
        response.headers.update(await self._service.describe_limit(user))
        return response

    async def edit_views(self, request: web.Request) -> web.StreamResponse:
        """POST /generate_character/jobs/{job_id}/views: the job once more, with painted views."""
        old = require_ended(await self._find_job(request))

        async def create(form: Form, user: str, key: str | None) -> AnyJob:
            require_edits(form)
            return await self._service.create_edit(old, form, user, key)

        return await self._start(request, EDITS, create, lambda form: edit_digest(old.id, form))

    async def rig(self, request: web.Request) -> web.StreamResponse:
        """POST /character/rig: a job that rigs a mesh."""
        return await self._start(request, RIG_FILES, self._service.create_mesh_job, lambda form: form.digest)

    async def animate(self, request: web.Request) -> web.StreamResponse:
        """POST /character/animate: a job that rigs a mesh and puts a motion onto it."""
        create = self._service.create_mesh_job
        return await self._start(request, ANIMATE_FILES, create, lambda form: form.digest)

    async def check(self, request: web.Request) -> web.StreamResponse:
        """POST /character/check."""
        return await self._checks.answer(request, self._identify_user(request), self._uploads)

    async def rig_check(self, request: web.Request) -> web.StreamResponse:
        """POST /character/rig_check."""
        return await self._rig_checks.answer(request, self._identify_user(request), self._uploads)

    async def get_status(self, request: web.Request) -> web.StreamResponse:
        """GET /job/{job_id}/status."""
        return self._describe(request, await self._find_job(request))

    async def download(self, request: web.Request) -> web.StreamResponse:
        """GET /job/{job_id}/download/{filename}: exactly the files that the job's nodes wrote."""
        job, name = await self._find_job(request), request.match_info["filename"]
        for file in [file for file in job.files if file.name == name]:
            signed = await self._service.sign_file(job, file) if wants_redirect(request) else None
            if signed and (response := redirect_to_file(request, signed[0], name, signed[1])):
                return response
            if opened := await self._service.open_file(job, file):
                with opened[0] as stream:
                    return await send_file(request, stream, name, opened[1])
        raise _file_not_found(job, name, job.files)

    async def get_picture(self, request: web.Request) -> web.StreamResponse:
        """GET /job/{job_id}/pictures/{filename}: what a stage showed while the job ran."""
        job, name = await self._find_job(request), request.match_info["filename"]
        for picture in job.pictures:
            opened = await self._service.open_picture(job, picture) if picture.name == name else None
            if opened:
                with opened[0] as stream:
                    return await send_file(request, stream, name, opened[1])
        raise _file_not_found(job, name, job.pictures)

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """POST /job/{job_id}/cancel: stop a job; one that has ended stays as it is."""
        job = await self._find_job(request)
        if job.is_over:
            return self._describe(request, job)
        await self._service.cancel_job(job)
        found = await self._service.jobs.find(job.id)
        return self._describe(request, found, 200 if found.is_over else 202)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """DELETE /job/{job_id}: stop a live job; delete the files and record of one that has ended."""
        job = await self._find_job(request)
        if not isinstance(job, EndedJob):
            return await self.cancel(request)
        await self._service.delete_job(job)
        return self._describe(request, job)

    async def list_jobs(self, request: web.Request) -> web.StreamResponse:
        """GET /generate_character/jobs: the user's own jobs, newest first."""
        page = read_page(request)
        user = self._identify_user(request)
        jobs, further = await self._service.jobs.list_jobs(user, page.states, page.before, page.limit)
        return _json_response(describe_page([job.text for job in jobs], further))

    async def watch(self, request: web.Request) -> web.StreamResponse:
        """WS /ws/{job_id}."""
        since = read_since(request)
        check_upgrade(request)
        try:
            job = await self._find_job(request)
        except ApiError as error:
            with self._streams.hold(self._identify_user(request)):
                return await refuse_socket(request, error)
        user = self._identify_user(request)
        with self._streams.hold(user, job.id):
            log = await self._service.jobs.find_log(job)
            return await serve_job_events(request, job, log, since, is_owner=user == job.user)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """GET /job/{job_id}/events."""
        job, last_seq = await self._find_job(request), read_last_seq(request)
        user = self._identify_user(request)
        with self._streams.hold(user, job.id):
            log = await self._service.jobs.find_log(job)
            return await stream_job_events(request, log, last_seq, is_owner=user == job.user)

    async def health(self, request: web.Request) -> web.StreamResponse:
        """GET /generate_character/health: 200 when a job would be accepted, else 503 with the reasons."""
        service = self._service
        reasons = await service.why_not_ready()
        try:
            live, last_job = await service.count_jobs(), await service.find_last_end()
        except DatabaseError:  # which is among the reasons
            live, last_job = {}, None
        body = describe_health(reasons, live, last_job, service.notices)
        status = 503 if reasons else 200
        return web.json_response(body, status=status, headers={"Cache-Control": "no-store"})

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        """GET /generate_character/metrics, for Prometheus."""
        text = describe_metrics(self._service.metrics, await self._service.count_jobs())
        return web.Response(text=text, headers={"Content-Type": METRICS_TYPE})

    async def list_models(self, request: web.Request) -> web.StreamResponse:
        """GET /generate_character/models, and GET /models unless the client wants folders."""
        diffusion, shape = await self._service.list_models()
        return web.json_response({"diffusion_models": diffusion, "3d_models": shape})

    async def openapi(self, request: web.Request) -> web.StreamResponse:
        """GET /generate_character/openapi.json."""
        return web.json_response(describe_service(needs_key=bool(self.access.keys)))

    async def reference(self, request: web.Request) -> web.StreamResponse:
        """GET /generate_character/docs: the same as a self-contained page."""
        return web.FileResponse(PAGE)

    async def describe_for_models(self, request: web.Request) -> web.StreamResponse:
        """GET /llms.txt: the service in short, for language models."""
        return web.FileResponse(LLMS_FILE, headers={"Content-Type": "text/plain; charset=utf-8"})

    async def _accept(
        self,
        request: web.Request,
        user: str,
        key: str | None,
        wanted: Mapping[str, FilePart],
        create: CreateJob,
        digest: ReadDigest,
    ) -> web.Response:
        """Read and queue a job; the slot that it takes is released where none begins."""
        known = await self._service.find_request(user, key) if key else None
        await self._service.admit(user, is_replay=known is not None)
        began = False
        try:
            async with self._keys.hold(user, key), read_form(request, self._uploads, wanted) as form:
                known = await self._service.find_request(user, key) if key else None
                if known:
                    return await self._replay(known, digest(form))
                job = await create(form, user, key)
                began = True
                return accept_response(job)
        finally:
            if not began:
                self._service.release(user)

    async def _replay(self, known: tuple[str, str], digest: str) -> web.Response:
        known_digest, job_id = known
        if digest != known_digest:
            raise key_reused()
        response = accept_response(await self._service.jobs.find(job_id))
        response.headers["Idempotency-Replayed"] = "true"
        return response

    async def _find_job(self, request: web.Request) -> AnyJob:
        job = await self._service.jobs.find(request.match_info["job_id"])
        if not self.access.may_see(self._identify_user(request), job.user):
            raise job_not_found(job.id)
        return job

    def _describe(self, request: web.Request, job: AnyJob, status: int = 200) -> web.Response:
        """A job's status body; only its owner sees where its webhook goes."""
        is_owner = self._identify_user(request) == job.user
        return _json_response(job.text if is_owner else json.dumps(hide_webhook(job.describe())), status)

    def _identify_user(self, request: web.Request) -> str:
        return self.access.identify(request, self._user_manager)


def accept_response(job: AnyJob) -> web.Response:
    """The 202 answer."""
    location = {"Location": f"/job/{job.id}/status"}
    return web.json_response(job.describe_acceptance(), status=202, headers=location)


def _json_response(text: str, status: int = 200) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    return web.Response(text=text, status=status, headers=headers, content_type="application/json")


def _file_not_found(job: AnyJob, name: str, files: list[JobFile]) -> ApiError:
    refusal = invalid_parameter(
        "The job has no such file",
        "filename",
        404,
        provided=name[:100],
        allowed=sorted(file.name for file in files),
        job_status=job.describe()["status"],
    )
    if not job.is_over:
        refusal.headers["Retry-After"] = str(NOT_READY_SECONDS)
    return refusal


def add_routes(table: web.RouteTableDef, routes: Routes) -> None:
    """Put the routes into a table."""
    # Wider than aiohttp's own patterns, so that odd ids and names get our answer too.
    job, name = r"{job_id:[^/]+}", r"{filename:[\s\S]*}"
    paths: dict[str, dict[str, Handler]] = {
        "/generate_character": {"POST": routes.generate_character},
        CHECK_PATH: {"POST": routes.check},
        RIG_CHECK_PATH: {"POST": routes.rig_check},
        RIG_PATH: {"POST": routes.rig},
        ANIMATE_PATH: {"POST": routes.animate},
        f"/job/{job}/status": {"GET": routes.get_status},
        f"/job/{job}/download/{name}": {"GET": routes.download},
        f"/job/{job}/pictures/{name}": {"GET": routes.get_picture},
        f"/job/{job}/cancel": {"POST": routes.cancel},
        f"/job/{job}": {"DELETE": routes.delete},
        "/generate_character/jobs": {"GET": routes.list_jobs},
        f"/generate_character/jobs/{job}/views": {"POST": routes.edit_views},
        STUDIO_PATH: {"GET": routes.studio.serve},
        SLASH_PATH: {"GET": redirect_to_page},
        FILES_PATH: {"GET": serve_file},
        MODELS_PATH: {"GET": routes.list_models},
        OPENAPI_PATH: {"GET": routes.openapi},
        DOCS_PATH: {"GET": routes.reference},
        LLMS_PATH: {"GET": routes.describe_for_models},
        "/generate_character/health": {"GET": routes.health},
        "/generate_character/metrics": {"GET": routes.metrics},
        f"/job/{job}/events": {"GET": routes.stream},
        f"/ws/{job}": {"GET": routes.watch},
    }
    for path, handlers in paths.items():
        for method, handler in handlers.items():
            table.route(method, path)(answer_errors(handler))
        allowed = [*handlers, *(["HEAD"] if "GET" in handlers else [])]
        table.route("*", path)(refuse_method(*allowed))
    for beside in ("/generate_character/{tail:.*}", "/job/{tail:.*}", "/ws/{tail:.*}"):
        table.route("*", beside)(refuse_path)
