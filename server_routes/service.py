"""The service of one PromptServer: its parts, their start and stop, and how a job is accepted."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import IO, Any

import folder_paths

from . import installed_models, picture
from .database import JobDatabase
from .database_engine import DatabaseError
from .database_threads import DatabaseThreads
from .edits import edit_digest, read_edited_parameters, require_pictures
from .ended_job import EndedJob
from .errors import ApiError, disk_full, server_busy
from .files import FileFacts, JobFile, open_with_facts
from .graph import build_graph, load_template
from .health import Metrics
from .input_pictures import InputPictures
from .job_form import read_job_form
from .job_record import job_to_row, read_estimate, read_origin
from .job_runner import JobRunner, output_folder, temporary_folder
from .jobs import Job, new_job_id
from .kept_uploads import KeptUploads
from .limits import RateLimit, read_quota
from .live_job import LiveJob
from .mesh_jobs import adapt_parameters, read_mesh_suffix
from .parameters import parse_form
from .resume import resume_jobs
from .retention import Retention
from .sqlite_engine import SqliteEngine
from .store import JobStore, LocalJob
from .submission import PromptSubmitter
from .upload import EDITS, MEBIBYTE, MESH, SHEET, SIDE_PICTURES, TEXTURE, Form
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
        self._database = JobDatabase(SqliteEngine(Path(folder_paths.get_user_directory()) / "character3d"))
        self._threads = DatabaseThreads(self._database)
        self._pictures = InputPictures(self._threads)
        self._kept = KeptUploads(Path(folder_paths.get_user_directory()) / "character3d" / "uploads")
        self._webhooks = Webhooks(self._threads)
        self._start_problem = self._database.problem
        self.jobs = JobStore(self._threads)
        parts = (self._submitter, self.jobs, self._pictures, self._kept, self._webhooks)
        self.runner = JobRunner(server, *parts)
        self._restoring = asyncio.Lock()
        self._retention = Retention(self._threads, self.jobs, self._kept)
        self.rate_limit = RateLimit(read_quota())

    async def run(self, app: Any = None) -> AsyncIterator[None]:
        """The service's life, for aiohttp's `cleanup_ctx`: start, serve, and stop."""
        await self._start()
        yield
        await self.runner.background.stop()
        await self._threads.close()

    async def admit(self, user: str, is_replay: bool = False) -> None:
        """Count a request against the user's limits and occupy a slot; raises ApiError where there is none.

        A request that was accepted before starts no job, so it may come while all slots are taken.
        """
        slots = self.runner.slots
        refusal = self.rate_limit.refusal(user) or (None if is_replay else slots.refusal(user))
        if refusal:
            refusal.closes = True
            raise refusal
        self.rate_limit.count(user)
        slots.take(user)

    def release(self, user: str) -> None:
        """Give back the slot of a request that began no job."""
        self.runner.slots.release(user)

    async def describe_limit(self, user: str) -> Mapping[str, str]:
        """The headers that say how many requests the user has left."""
        return self.rate_limit.headers(user)

    @property
    def metrics(self) -> Metrics:
        """What has happened since the server started."""
        return self.runner.metrics

    async def open_file(self, job: LocalJob, file: JobFile) -> tuple[FileIO, FileFacts] | None:
        """A job's file, open, and its facts, which are noted where it has been edited; None without one."""
        known = job.facts.get(file)
        opened = await asyncio.to_thread(open_with_facts, output_folder(), file, known)
        if opened and opened[1] != known:
            await self.jobs.update_facts(job, file, opened[1])
        return opened

    async def sign_file(self, job: LocalJob, file: JobFile) -> None:
        """None: the files are here."""

    async def open_picture(self, job: LocalJob, picture: JobFile) -> tuple[FileIO, FileFacts] | None:
        """A picture of a stage, open, and its facts; None where it has been deleted."""
        return await asyncio.to_thread(open_with_facts, temporary_folder(), picture)

    async def list_models(self) -> tuple[list[str], list[str]]:
        """The names that model_name takes, and those that mesh_model takes besides `auto`, best first."""
        # One after the other: every thread that scans folders competes with the event loop for the GIL.
        diffusion = await asyncio.to_thread(installed_models.list_diffusion_models)
        return diffusion, await asyncio.to_thread(installed_models.list_shape_models)

    async def count_jobs(self) -> Mapping[str, int]:
        """How many jobs wait and run, by their state."""
        return Counter(job.state for job in self.jobs.active)

    async def find_last_end(self) -> Mapping[str, Any] | None:
        """How the job ended that ended last, of those since the start."""
        return self.metrics.last_job

    @property
    def notices(self) -> list[str]:
        """Sentences about what went wrong at the start and is over."""
        return [self._database.notice] if self._database.notice else []

    async def why_not_ready(self) -> list[ApiError]:
        """The errors that any user's next job would get now."""
        return await asyncio.to_thread(self._list_obstacles)

    def _list_obstacles(self) -> list[ApiError]:
        checks = (
            self._require_database,
            lambda: self._submitter.require_nodes(self._template),
            self._submitter.require_worker,
            lambda: require_space(output_folder()),
            self.runner.slots.require_room,
        )
        return [error for check in checks if (error := _catch_refusal(check))]

    async def create_job(self, form: Form, user: str, key: str | None = None) -> LiveJob:
        """Check a form and queue its job, which from then on owns one of the user's slots.

        The job is on disk when this returns. Raises ApiError; a refusal leaves nothing behind.
        """
        await self._require_room()
        parameters, is_learned = read_job_form(form, await self.list_models(), self._webhooks.check_url)
        name, *further = form.pictures
        pixels = await self._encode(form.files[name], name)
        motion = await asyncio.to_thread(picture.read_motion, form.motion) if form.motion else None
        job_id = new_job_id()
        try:
            with _disk_errors():
                pictures = {name: await self._pictures.store(job_id, pixels, name)}
                del pixels  # each may have 160 MB
                for side in further:
                    pixels = await self._encode(form.files[side], side)
                    pictures[side] = await self._pictures.store(job_id, pixels, side)
                    del pixels
                moves = await self._pictures.store_motion(job_id, *motion) if motion else ""
                edits = await self._store_edits(job_id, form.files, parameters.values["image_size"])
                await asyncio.to_thread(self._kept.keep, job_id, form.files)
            graph = build_graph(self._template, job_id, pictures, parameters.values, moves, edits)
            expected = self.runner.history.estimate(parameters.values, is_learned)
            job = Job(job_id, user, parameters, graph, expected)
            return await self._begin(job, (key, form.digest) if key else None)
        except BaseException:
            await self._pictures.remove(job_id)
            await asyncio.to_thread(self._kept.remove, job_id)
            raise

    async def create_mesh_job(self, form: Form, user: str, key: str | None = None) -> LiveJob:
        """Queue a job that rigs the form's mesh, and puts its motion onto it. As create_job."""
        await self._require_room()
        parameters, _ = parse_form(form.fields, await self.list_models(), self._webhooks.check_url)
        parameters = adapt_parameters(parameters)
        mesh = read_mesh_suffix(form), await asyncio.to_thread(form.files[MESH].read)
        motion = await asyncio.to_thread(picture.read_motion, form.motion) if form.motion else None
        job_id = new_job_id()
        try:
            with _disk_errors():
                files = {MESH: await self._pictures.store_mesh(job_id, *mesh)}
                moves = await self._pictures.store_motion(job_id, *motion) if motion else ""
            graph = build_graph(self._template, job_id, files, parameters.values, moves)
            expected = self.runner.history.estimate(parameters.values, is_learned=False, takes_mesh=True)
            job = Job(job_id, user, parameters, graph, expected)
            return await self._begin(job, (key, form.digest) if key else None)
        except BaseException:
            await self._pictures.remove(job_id)
            raise

    async def create_edit(self, old: EndedJob, form: Form, user: str, key: str | None = None) -> LiveJob:
        """Queue a job that is an earlier one with painted views, or a painted texture, in its views' place.

        As create_job. The earlier job's pictures come to where they were, so that ComfyUI finds what it made
        of them in its cache.
        """
        await self._require_room()
        parameters = read_edited_parameters(old, form)
        job_id, origin = new_job_id(), read_origin(old.id, old.record)
        with self._kept.open(old.id) as sent:
            require_pictures(old, sent)
            files = {**sent, **form.files}
            async with self._restoring, self.runner.hold(origin, job_id):
                with _disk_errors():
                    edits = await self._store_edits(job_id, files, parameters.values["image_size"])
                    pictures, moves = await self._restore(origin, files)
                    await asyncio.to_thread(self._kept.keep, job_id, files)
                graph = build_graph(self._template, job_id, pictures, parameters.values, moves, edits)
                expected = read_estimate(old.record)
                job = Job(job_id, user, parameters, graph, expected, origin=origin)
                return await self._begin(job, (key, edit_digest(old.id, form)) if key else None)

    async def _store_edits(self, job_id: str, files: Mapping[str, IO[bytes]], side: int) -> dict[str, str]:
        """Check and write the painted views and texture; returns their names."""
        edits = dict[str, str]()
        for name in [name for name in EDITS if name in files]:
            async with self._decoding:
                size = side if name != TEXTURE else None
                pixels = await asyncio.to_thread(picture.encode_painted, files[name], name, size)
            if not edits:
                await self._pictures.note(job_id)
            edits[name] = await self._pictures.store_edit(job_id, pixels, name)
        return edits

    async def _restore(self, origin: str, files: Mapping[str, IO[bytes]]) -> tuple[dict[str, str], str]:
        """Write the pictures and the motion of an earlier job to where they were; returns their names."""
        if origin in {live.job.origin for live in self.jobs.live}:  # another job reads them
            return self._pictures.find(origin), self._pictures.find_motion(origin)
        pictures = dict[str, str]()
        for name in [name for name in ("image", SHEET, *SIDE_PICTURES) if name in files]:
            pixels = await self._encode(files[name], name)
            pictures[name] = await self._pictures.store(origin, pixels, name)
        if "motion" not in files:
            return pictures, ""
        motion = await asyncio.to_thread(picture.read_motion, files["motion"])
        return pictures, await self._pictures.store_motion(origin, *motion)

    async def _begin(self, job: Job, request: tuple[str, str] | None) -> LiveJob:
        """Store and queue a job. request: idempotency key and digest of the form."""
        live = None
        try:
            valid = await self.runner.validate(job)
            live = self.jobs.add(job)  # before its row can be seen
            with _disk_errors():
                await self._insert(job, request)
            self.runner.submit(live, valid)
        except BaseException:
            if live:
                self.jobs.discard(live)
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
        used = {job_id for live in self.jobs.live for job_id in (live.id, live.job.origin)}
        await _attempt("removing old pictures", self._pictures.remove_orphans(used))
        await _attempt("removing old uploads", self._retention.remove_unknown())
        background.spawn_loop(self._webhooks.run, "webhooks")
        background.spawn_loop(self._retention.expire_jobs, "retention")
        background.spawn_loop(self.jobs.retry_unsaved, "retry")
        log.info("%d jobs resumed in %.3f s", len(self.jobs.live), time.monotonic() - started)

    async def _require_room(self) -> None:
        """Raise ApiError where no job can be stored, run or saved."""
        self._require_database()
        self._submitter.require_worker()
        await asyncio.to_thread(require_space, output_folder())

    def _require_database(self) -> None:
        if self._start_problem:
            error = server_busy(503, self._start_problem, "database", 300)
            error.closes = True
            raise error

    async def _encode(self, file: IO[bytes], name: str) -> bytes:
        """A picture of a form, checked, as LoadImage reads it."""
        async with self._decoding:
            return await asyncio.to_thread(picture.encode_upload, file, name)

    async def _insert(self, job: Job, request: tuple[str, str] | None) -> None:
        """Store a new job; it is on disk when this returns, and not there at all when this raises."""
        try:
            await self._threads.write(JobDatabase.insert, job_to_row(job), request)
            await asyncio.to_thread(self._database.sync)
        except BaseException:
            with suppress(DatabaseError):
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
    except (OSError, DatabaseError) as error:
        log.error("a job was refused, since it could not be stored: %s", error)
        raise disk_full("The disk of jobs cannot be written") from error


def require_space(folder: Path) -> None:
    """Refuse a job whose files would fill the disk."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < LEAST_FREE_BYTES:
        message = f"The disk of the results is almost full, {free // MEBIBYTE} MiB are free"
        raise disk_full(message, minimum=LEAST_FREE_BYTES)
