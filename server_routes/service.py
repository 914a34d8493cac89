"""Accept jobs, follow them through ComfyUI's queue, and end them."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Collection, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import folder_paths

from . import models, picture
from .database import JobDatabase, Row
from .errors import ApiError, disk_full
from .estimates import REMEMBERED, History
from .files import measure_files, remove_files
from .graph import JobGraph, build_graph, load_template
from .health import Tally
from .jobs import COMPLETED, Failure, Job, new_job_id
from .limits import JobSlots, RateLimit
from .listener import CANCELLED, JobListener, stage_failure
from .parameters import parse_parameters
from .records import describe_files, job_to_row, read_files, read_parameters, row_to_job
from .redact import redact_paths
from .status import RETENTION_SECONDS
from .store import JobStore
from .submission import IN_HISTORY, MISSING, PromptSubmitter, ValidPrompt
from .upload import MEBIBYTE, Form
from .webhooks import Webhooks

log = logging.getLogger("character3d")

DECODING_AT_ONCE = min(2, max(1, (os.cpu_count() or 1) // 2))
"""A decoded picture may take 160 MB, and the event loop needs a core."""

LEAST_FREE_BYTES = 512 * MEBIBYTE
MAX_ATTEMPTS = 2
"""Times that a job is begun; one that takes the server down with it must not do so for ever."""

TIDY_SECONDS = 3600.0
GRAVE_SECONDS = 30 * 24 * 3600.0
"""How long the id of a job that is gone is known as such."""

KEY_SECONDS = 24 * 3600.0
RESTARTED = "Server restarted"
WATCH_SECONDS = 1.0
INTERRUPT_SECONDS = 0.05


def _redact(message: str) -> str:
    folders = (
        folder_paths.base_path,
        folder_paths.get_output_directory(),
        folder_paths.get_input_directory(),
    )
    return redact_paths(message, (*folders, folder_paths.get_temp_directory(), str(Path.home())))


class CharacterService:
    """The jobs of one PromptServer."""

    def __init__(self, server: Any, template_file: Path) -> None:
        self._server = server
        self._template = load_template(template_file)
        self._submitter = PromptSubmitter(server)
        self._listeners: dict[str, JobListener] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._decoding = asyncio.Semaphore(DECODING_AT_ONCE)
        self._database = JobDatabase(Path(folder_paths.get_user_directory()) / "character3d")
        self.jobs = JobStore(self._database, self._restore)
        self._history = History()
        self._webhooks = Webhooks(self._database)
        self.tally = Tally()
        self.rate_limit = RateLimit()
        self.slots = JobSlots()

    async def resume(self, app: Any = None) -> None:
        """Take up the jobs that lived when the server ended; called once, before requests come."""
        started = time.monotonic()
        self._spawn(self._webhooks.run())
        self._spawn(self._forget_old())
        self._history.load(self._database.newest(COMPLETED, REMEMBERED))
        for row in self._database.live_jobs():
            try:
                job = self._restore(row)
            except Exception:  # a record that cannot be read must not keep ComfyUI from starting
                log.exception("job %s: its record could not be read, it is dropped", row.id)
                self.jobs.forget(row.id)
                continue
            self.jobs.add(job)
            self.slots.take(job.user)
            await self._resume_job(job)
        await asyncio.to_thread(self._empty_graves)
        for job_id in set(self._database.pictures()) - {job.id for job in self.jobs.live}:
            self._remove_picture(job_id)
        log.info("%d jobs taken up in %.3f s", len(self.jobs.live), time.monotonic() - started)

    async def close(self, app: Any = None) -> None:
        """Let go of the file of jobs."""
        for task in self._tasks:
            task.cancel()
        self._database.close()

    def why_not_ready(self) -> list[ApiError]:
        """The errors that any user's next job would get now. Blocks."""
        checks = (
            lambda: self._submitter.require_nodes(self._template),
            self._submitter.require_worker,
            lambda: _require_space(self.output_folder),
            self.slots.require_room,
        )
        return [error for check in checks if (error := _catch_refusal(check))]

    async def create_job(self, form: Form, user: str, key: str | None = None) -> Job:
        """Check a form and queue its job, which from then on owns one of the user's slots.

        It is on disk when this returns. Raises ApiError; nothing is left behind by a refusal.
        """
        self._submitter.require_worker()
        await asyncio.to_thread(_require_space, self.output_folder)
        installed = await asyncio.to_thread(models.list_diffusion_models)
        shape_models = await asyncio.to_thread(models.list_shape_models)
        parameters = parse_parameters(form.fields, installed, shape_models)
        if url := parameters.values["webhook_url"]:
            self._webhooks.check_url(url)
        async with self._decoding:
            pixels = await asyncio.to_thread(picture.encode_upload, form.image)
        job_id = new_job_id()
        try:
            with _disk_errors():
                image = await asyncio.to_thread(self._store_picture, job_id, pixels)
            graph = build_graph(self._template, job_id, image, parameters.values)
            expected = self._history.estimate(parameters.values, is_learned=bool(shape_models))
            job = Job(job_id, user, parameters, graph, expected)
            valid = await self._submitter.validate(job_id, self._client_id(job), graph.prompt)
            request = (key, form.digest) if key else None
            with _disk_errors():
                await asyncio.to_thread(self._database.insert, job_to_row(job), request)
            self._submit(job, valid)
            self.tally.accepted += 1
        except BaseException:
            await asyncio.to_thread(self._remove_picture, job_id)
            raise
        return job

    async def cancel_job(self, job: Job) -> bool:
        """Stop a job; True when it has ended by now. Asking again, or too late, does nothing."""
        if job.is_terminal or job.cancel_requested:
            return job.is_terminal
        job.cancel_requested = True
        self.jobs.save(job)
        if self._submitter.remove(job.id):
            await self._end(job)
        else:
            self._spawn(self._interrupt(job))
        return job.is_terminal

    async def delete_job(self, job: Job) -> None:
        """Delete an ended job's files and record; its id answers 410 from then on.

        The record goes first: names of files that are gone come again, and would then be those of two jobs.
        What cannot be deleted now is at the next start.
        """
        self.jobs.forget(job.id, {"files": describe_files(job)})
        if await asyncio.to_thread(remove_files, self.output_folder, job.files):
            self._database.empty_grave(job.id)

    def list_jobs(self, user: str, states: Collection[str], before: str | None, limit: int) -> list[Job]:
        """A user's jobs in some states, newest first, of those before a job where its id is given."""
        return self.jobs.take_up(self._database.jobs_of(user, states, before, limit))

    def find_request(self, user: str, key: str) -> tuple[str, str] | None:
        """(digest of the form, job id) of the user's accepted request with this idempotency key."""
        return self._database.find_request(user, key, time.time() - KEY_SECONDS)

    @property
    def output_folder(self) -> Path:
        """ComfyUI's output folder."""
        return Path(folder_paths.get_output_directory())

    @property
    def _input_folder(self) -> Path:
        return Path(folder_paths.get_input_directory())

    def _store_picture(self, job_id: str, pixels: bytes) -> str:
        """Lend a job's picture to LoadImage. Noted first: a server that is killed here finds it again."""
        self._database.add_picture(job_id)
        return picture.store_input(self._input_folder, job_id, pixels)

    def _remove_picture(self, job_id: str) -> None:
        """Take a job's picture back, after the job's end is stored: until then a restart may need it."""
        if picture.remove_input(self._input_folder, job_id):
            with suppress(sqlite3.Error):  # a full disk; the next start asks again
                self._database.drop_picture(job_id)

    @staticmethod
    def _client_id(job: Job) -> str:
        return f"character3d-{job.id}"

    async def _forget_old(self) -> None:
        while True:
            now = time.time()
            for job_id in await asyncio.to_thread(self._database.ended_before, now - RETENTION_SECONDS):
                self.jobs.forget(job_id)
                await asyncio.sleep(0)  # requests come first
            await asyncio.to_thread(self._database.forget_graves, now - GRAVE_SECONDS)
            await asyncio.sleep(TIDY_SECONDS)

    def _empty_graves(self) -> None:
        """Remove the files of jobs whose deletion was cut off, unless others have taken their names."""
        for row in self._database.graves():
            files, known = read_files(row.body)
            found = measure_files(self.output_folder, files)
            if remove_files(self.output_folder, [file for file in found if found[file] == known.get(file)]):
                self._database.empty_grave(row.id)

    def _restore(self, row: Row) -> Job:
        image = picture.input_name(row.id)
        graph = build_graph(self._template, row.id, image, read_parameters(row.body).values)
        return row_to_job(row, graph, self._database.events(row.id))

    async def _resume_job(self, job: Job) -> None:
        """Queue a job again, or end it where it cannot be."""
        failure = _why_not_again(job)
        try:
            if failure is None:
                valid = await self._submitter.validate(job.id, self._client_id(job), job.graph.prompt)
        except ApiError as error:
            failure = Failure(RESTARTED, error.message, None)
        if failure is None:
            cut_off = job.files
            job.requeue()
            self.jobs.save(job)
            await asyncio.to_thread(remove_files, self.output_folder, cut_off)
            self._submit(job, valid)
            log.info("job %s: queued again after a restart", job.id)
            return
        job.fail(failure, await asyncio.to_thread(measure_files, self.output_folder, job.files))
        self._remove_picture(job.id)
        self.slots.release(job.user)
        self._webhooks.wake()

    def _submit(self, job: Job, valid: ValidPrompt) -> None:
        outputs = _order_outputs(job.graph, valid.outputs)
        job.use_outputs([node for node in outputs if node in job.graph.node_stages])
        listener = JobListener(job, lambda: self._spawn(self._end(job)), _redact)
        listener.use_outputs(outputs)
        self._listeners[job.id] = self._server.sockets[self._client_id(job)] = listener
        self._submitter.put(job.id, ValidPrompt(valid.prompt, outputs, valid.extra_data))
        self.jobs.add(job)
        job.jobs_ahead = self._submitter.count() - 1
        job.set_queue_position(self._submitter.locate(job.id).position)
        self._spawn(self._watch(job))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch(self, job: Job) -> None:
        """Hold the job against ComfyUI's queue, in case an event is lost or others empty the queue."""
        missed = 0
        while not job.is_terminal:
            place = self._submitter.locate(job.id)
            missed = missed + 1 if place.where == MISSING else 0
            job.set_queue_position(place.position)
            if place.where == IN_HISTORY or missed > 1:
                await self._end(job)
            await asyncio.sleep(WATCH_SECONDS)

    async def _interrupt(self, job: Job) -> None:
        while not job.is_terminal and self._submitter.interrupt(job.id):
            await asyncio.sleep(INTERRUPT_SECONDS)

    async def _end(self, job: Job) -> None:
        """Settle a job whose prompt has left ComfyUI's queue; once only."""
        listener = self._listeners.pop(job.id, None)
        if listener is None:
            return
        try:
            await self._settle(job, listener)
        except Exception:
            log.exception("job %s: its results could not be read", job.id)
            job.fail(stage_failure(job.graph.stages[-1], "Internal server error"), {})
            raise
        finally:
            self._clean_up(job, listener)
        log.info("job %s: %s after %.1f s", job.id, job.state, job.seconds)

    async def _settle(self, job: Job, listener: JobListener) -> None:
        listener.absorb_history(self._submitter.read_history(job.id))
        facts = await asyncio.to_thread(measure_files, self.output_folder, job.files)
        failure = _find_failure(job, listener) or _find_missing_result(job, set(facts))
        if failure:
            job.fail(failure, facts)
        else:
            job.complete(facts)
            self._history.add(job_to_row(job))

    def _clean_up(self, job: Job, listener: JobListener) -> None:
        """Let go of what an ended job held, before anybody hears of its end: there is no await between."""
        client_id = self._client_id(job)
        if self._server.sockets.get(client_id) is listener:
            del self._server.sockets[client_id]
        self._remove_picture(job.id)
        self.slots.release(job.user)
        self.tally.count_end(job)
        self._webhooks.wake()


def _catch_refusal(check: Callable[[], None]) -> ApiError | None:
    try:
        check()
    except ApiError as error:
        return error
    return None


def _why_not_again(job: Job) -> Failure | None:
    stage = job.current_stage if job.attempts else None
    if job.cancel_requested:
        return Failure(CANCELLED, "Cancelled by the client", stage, cancelled=True)
    if job.attempts >= MAX_ATTEMPTS:
        return Failure(
            RESTARTED, f"The server stopped while the job was running, {job.attempts} times", stage
        )
    return None


@contextmanager
def _disk_errors() -> Iterator[None]:
    """A job that cannot be kept is refused: there may be room again later."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        log.error("a job was refused, since it could not be kept: %s", error)
        raise disk_full("The disk of jobs cannot be written") from error


def _require_space(folder: Path) -> None:
    """Refuse a job whose files would fill the disk."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < LEAST_FREE_BYTES:
        message = f"The disk of the results is almost full, {free // MEBIBYTE} MiB are free"
        raise disk_full(message, minimum=LEAST_FREE_BYTES)


def _order_outputs(graph: JobGraph, outputs: list[str]) -> list[str]:
    """The output nodes in the order of the stages; nodes that another pack has added come last."""
    known = [node for node in outputs if node in graph.node_stages]
    return graph.order_nodes(known) + [node for node in outputs if node not in graph.node_stages]


def _find_failure(job: Job, listener: JobListener) -> Failure | None:
    if listener.outcome is None:
        return listener.cancelled()
    return listener.outcome if isinstance(listener.outcome, Failure) else None


def _find_missing_result(job: Job, present: set[Any]) -> Failure | None:
    keys = {file.key for file in present}
    for node_id in job.graph.order_nodes(list(job.graph.result_nodes)):
        key = job.graph.result_nodes[node_id]
        if key not in keys:
            return stage_failure(job.graph.node_stages[node_id], f"No file was written for {key}")
    return None


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
