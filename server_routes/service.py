"""The service of one PromptServer: its parts, their start and stop, and how a job is accepted."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import folder_paths

from . import models, picture
from .database import JobDatabase
from .database_threads import DatabaseThreads
from .ended_job import EndedJob
from .errors import ApiError, disk_full, server_busy
from .graph import build_graph, load_template
from .health import Metrics
from .input_pictures import InputPictures
from .job_record import job_to_row
from .job_runner import JobRunner, output_folder
from .jobs import Job, new_job_id
from .limits import JobSlots, RateLimit
from .live_job import LiveJob
from .parameters import Parameters, parse_parameters
from .resume import resume_jobs
from .retention import Retention
from .store import JobStore
from .submission import PromptSubmitter
from .upload import MEBIBYTE, Form
from .webhooks import Webhooks

log = logging.getLogger("character3d")

DECODING_AT_ONCE = min(2, max(1, (os.cpu_count() or 1) // 2))
"""A decoded picture may take 160 MB, and the event loop needs a core."""

LEAST_FREE_BYTES = 512 * MEBIBYTE
KEY_SECONDS = 24 * 3600.0
"""How long an idempotency key is remembered."""


class CharacterService:
    """The jobs of one PromptServer."""

    def __init__(self, server: Any, template_file: Path) -> None:
        self._template = load_template(template_file)
        self._submitter = PromptSubmitter(server)
        self._decoding = asyncio.Semaphore(DECODING_AT_ONCE)
        self._database = JobDatabase(Path(folder_paths.get_user_directory()) / "character3d")
        self._threads = DatabaseThreads(self._database)
        self._pictures = InputPictures(self._threads)
        self._webhooks = Webhooks(self._threads)
        self._start_problem = self._database.problem
        self.jobs = JobStore(self._threads)
        self.runner = JobRunner(server, self._submitter, self.jobs, self._pictures, self._webhooks)
        self._retention = Retention(self._threads, self.jobs)
        self.rate_limit = RateLimit()

    async def run(self, app: Any = None) -> AsyncIterator[None]:
        """The service's life, for aiohttp's `cleanup_ctx`: start, serve, and stop."""
        await self._start()
        yield
        await self.runner.background.stop()
        await self._threads.close()

    @property
    def slots(self) -> JobSlots:
        """The slots of live jobs."""
        return self.runner.slots

    @property
    def metrics(self) -> Metrics:
        """What has happened since the server started."""
        return self.runner.metrics

    @property
    def output_folder(self) -> Path:
        """ComfyUI's output folder."""
        return output_folder()

    @property
    def notices(self) -> list[str]:
        """Sentences about what went wrong at the start and is over."""
        return [self._database.notice] if self._database.notice else []

    def why_not_ready(self) -> list[ApiError]:
        """The errors that any user's next job would get now. Blocks."""
        checks = (
            self._require_database,
            lambda: self._submitter.require_nodes(self._template),
            self._submitter.require_worker,
            lambda: require_space(output_folder()),
            self.slots.require_room,
        )
        return [error for check in checks if (error := _catch_refusal(check))]

    async def create_job(self, form: Form, user: str, key: str | None = None) -> LiveJob:
        """Check a form and queue its job, which from then on owns one of the user's slots.

        The job is on disk when this returns. Raises ApiError; a refusal leaves nothing behind.
        """
        self._require_database()
        self._submitter.require_worker()
        await asyncio.to_thread(require_space, output_folder())
        parameters, is_learned = await self._read_parameters(form)
        name, *further = form.pictures
        pixels = await self._encode(form, name)
        motion = await asyncio.to_thread(picture.read_motion, form.motion) if form.motion else None
        if motion and not parameters.values["enable_rigging"]:
            warnings = (*parameters.warnings, "motion: ignored, since enable_rigging is false")
            parameters = replace(parameters, warnings=warnings)
        job_id, live = new_job_id(), None
        try:
            with _disk_errors():
                pictures = {name: await self._pictures.store(job_id, pixels, name)}
                del pixels  # each may have 160 MB
                for side in further:
                    pictures[side] = await self._pictures.store(job_id, await self._encode(form, side), side)
                moves = await self._pictures.store_motion(job_id, *motion) if motion else ""
            graph = build_graph(self._template, job_id, pictures, parameters.values, moves)
            expected = self.runner.history.estimate(parameters.values, is_learned)
            job = Job(job_id, user, parameters, graph, expected)
            valid = await self.runner.validate(job)
            live = self.jobs.add(job)  # before its row can be seen
            with _disk_errors():
                await self._insert(job, (key, form.digest) if key else None)
            self.runner.submit(live, valid)
        except BaseException:
            if live:
                self.jobs.discard(live)
            await self._pictures.remove(job_id)
            raise
        self.metrics.accepted += 1
        return live

    async def cancel_job(self, live: LiveJob) -> None:
        """Stop a job; it may take a moment. Asking again, or too late, does nothing."""
        await self.runner.cancel(live)

    async def delete_job(self, job: EndedJob) -> None:
        """Delete an ended job's files and record; its id answers 410 from then on."""
        await self._retention.delete_job(job)

    async def find_request(self, user: str, key: str) -> tuple[str, str] | None:
        """(digest of the form, job id) of the user's accepted request with this idempotency key."""
        return await self._threads.read(JobDatabase.find_request, user, key, time.time() - KEY_SECONDS)

    async def _start(self) -> None:
        """Resume the jobs and start the background tasks. Raises nothing: ComfyUI must start in any case."""
        started = time.monotonic()
        background = self.runner.background
        if not await _attempt(
            "resuming the jobs", resume_jobs(self._threads, self.jobs, self.runner, self._template)
        ):
            self._start_problem = self._start_problem or "The jobs of before the start could not be resumed"
        await _attempt("removing deleted jobs' files", self._retention.finish_removals())
        used = [live.id for live in self.jobs.live]
        await _attempt("removing old pictures", self._pictures.remove_orphans(used))
        background.spawn_loop(self._webhooks.run, "webhooks")
        background.spawn_loop(self._retention.expire_jobs, "retention")
        background.spawn_loop(self.jobs.retry_unsaved, "retry")
        log.info("%d jobs resumed in %.3f s", len(self.jobs.live), time.monotonic() - started)

    def _require_database(self) -> None:
        if self._start_problem:
            error = server_busy(503, self._start_problem, "database", 300)
            error.closes = True
            raise error

    async def _encode(self, form: Form, name: str) -> bytes:
        """One of the form's pictures, checked, as LoadImage reads it."""
        async with self._decoding:
            return await asyncio.to_thread(picture.encode_upload, form.files[name], name)

    async def _read_parameters(self, form: Form) -> tuple[Parameters, bool]:
        """The form's checked parameters, and whether a learned mesh model is installed."""
        installed = await asyncio.to_thread(models.list_diffusion_models)
        shape_models = await asyncio.to_thread(models.list_shape_models)
        parameters = parse_parameters(form.fields, installed, shape_models)
        if url := parameters.values["webhook_url"]:
            self._webhooks.check_url(url)
        return parameters, bool(shape_models)

    async def _insert(self, job: Job, request: tuple[str, str] | None) -> None:
        """Store a new job; it is on disk when this returns, and not there at all when this raises."""
        try:
            await self._threads.write(JobDatabase.insert, job_to_row(job), request)
            await asyncio.to_thread(self._database.sync)
        except BaseException:
            with suppress(sqlite3.Error):
                await self._threads.write(JobDatabase.discard, job.id)
            raise


async def _attempt(name: str, work: Coroutine[Any, Any, None]) -> bool:
    """Do a part of the start; returns whether it succeeded."""
    try:
        await work
    except Exception:  # the boundary to ComfyUI's start
        log.exception("%s failed", name)
        return False
    return True


def _catch_refusal(check: Callable[[], None]) -> ApiError | None:
    try:
        check()
    except ApiError as error:
        return error
    return None


@contextmanager
def _disk_errors() -> Iterator[None]:
    """A job that cannot be stored is refused: there may be room again later."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        log.error("a job was refused, since it could not be stored: %s", error)
        raise disk_full("The disk of jobs cannot be written") from error


def require_space(folder: Path) -> None:
    """Refuse a job whose files would fill the disk."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < LEAST_FREE_BYTES:
        message = f"The disk of the results is almost full, {free // MEBIBYTE} MiB are free"
        raise disk_full(message, minimum=LEAST_FREE_BYTES)


def take_slot(service: CharacterService, user: str, is_replay: bool = False) -> None:
    """Count a request against the user's limits and occupy a slot; raises ApiError where there is none.

    A request that was accepted before starts no job, so it may come while all slots are taken.
    """
    refusal = service.rate_limit.refusal(user) or (None if is_replay else service.slots.refusal(user))
    if refusal:
        refusal.closes = True
        raise refusal
    service.rate_limit.count(user)
    service.slots.take(user)
