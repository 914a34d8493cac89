"""The service of a front door: it checks, stores and answers; workers run the jobs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import IO, Any

from ..server_routes import picture
from ..server_routes.background import Background
from ..server_routes.database import JobDatabase, Row
from ..server_routes.database_engine import DatabaseError
from ..server_routes.database_threads import DatabaseThreads
from ..server_routes.edits import edit_digest, read_edited_parameters, require_pictures
from ..server_routes.ended_job import EndedJob
from ..server_routes.errors import ApiError, job_gone, jobs_away, server_busy
from ..server_routes.estimates import REMEMBERED, Estimate, History
from ..server_routes.files import FileFacts, JobFile
from ..server_routes.graph import build_graph, load_template
from ..server_routes.health import CANCELLED, Metrics, describe_end
from ..server_routes.job_form import read_job_form
from ..server_routes.job_record import describe_files, job_to_row, read_estimate, read_picture_facts
from ..server_routes.jobs import COMPLETED, FAILED, Failure, Job, new_job_id
from ..server_routes.mesh_jobs import adapt_parameters, read_mesh_suffix
from ..server_routes.parameters import Parameters, parse_form
from ..server_routes.postgres_engine import PostgresEngine
from ..server_routes.status import RETENTION_SECONDS, describe_job
from ..server_routes.upload import (
    EDITS,
    MAX_PICTURES_BYTES,
    MESH,
    SHEET,
    SIDE_PICTURES,
    TEXTURE,
    Form,
    pictures_too_large,
)
from ..server_routes.webhooks import Webhooks
from .endings import fail_job
from .files import ClusterFiles
from .jobs import ClusterJobs, RemoteJob
from .ledger import KEY_SECONDS, FencedError, Ledger, Limits
from .queues import WorkerQueue, find_queue, find_soonest, measure_need, merge_models

log = logging.getLogger("character3d")

PICTURES = frozenset({"image", SHEET, *SIDE_PICTURES})
DECODING_AT_ONCE = 2
POLL_SECONDS = 1.0
"""How often messages are looked for that another front door has left."""
SWEEP_SECONDS = 30.0
LONGEST_PAUSE = 5.0
"""After which the database and the broker are tried again, however long they have been away."""
TOMBSTONE_SECONDS = 30 * 24 * 3600.0
"""How long the id of a deleted job is known as such."""

SendMessage = Callable[[str, str], None]
"""Gives the id of a job to a queue of the broker, and returns when the broker has it. Blocks."""

ReadDead = Callable[[Callable[[str], None]], None]
"""Hands the ids of jobs that no worker could take to what it is given. Blocks for a moment."""
UNDELIVERABLE = "No worker could take the job: each that tried gave it back, or stopped"


class ClusterService:
    """The jobs of a cluster, from one front door. As service_interface.Service."""

    notices: Sequence[str] = ()

    def __init__(
        self,
        url: str,
        files: ClusterFiles,
        send: SendMessage,
        limits: Limits | None = None,
        read_dead: ReadDead = lambda handle: None,
        redirects: bool = False,
    ) -> None:
        """url: of PostgreSQL. redirects: whether clients are sent to S3 for files.

        Raises DatabaseError where PostgreSQL cannot be reached, and GraphError.
        """
        self._read_dead, self._redirects = read_dead, redirects
        self._template = load_template()
        self._threads = DatabaseThreads(JobDatabase(PostgresEngine(url)))
        self._outbox = PostgresEngine(url)  # a broker that does not answer holds up no other write
        self._ledger = Ledger(self._threads.database.engine, limits)
        self._messages = Ledger(self._outbox)
        self._files, self._send = files, send
        self._webhooks = Webhooks(self._threads, take=True)
        self._background = Background(LONGEST_PAUSE)
        self._decoding = asyncio.Semaphore(DECODING_AT_ONCE)
        self._news = asyncio.Event()
        self.history, self.metrics = History(), Metrics()
        self.jobs = ClusterJobs(self._threads, url)

    async def run(self) -> AsyncIterator[None]:
        """The service's life: start, serve, and stop."""
        self.history.load(await self._threads.read(JobDatabase.newest, COMPLETED, REMEMBERED))
        self._background.spawn_loop(self.jobs.relay, "relay")
        self._background.spawn_loop(self._send_messages, "messages")
        self._background.spawn_loop(self._sweep, "sweep")
        self._background.spawn_loop(self._webhooks.run, "webhooks")
        yield
        await self._background.stop()
        await self._threads.close()
        self._outbox.close()

    @property
    def ledger(self) -> Ledger:
        """What the machines of the cluster agree on."""
        return self._ledger

    async def why_not_ready(self) -> list[ApiError]:
        """The errors that any user's next job would get now: none without a worker, since jobs wait."""
        try:
            await asyncio.to_thread(self._ledger.count_workers)
        except DatabaseError as error:
            log.error("the jobs cannot be reached: %s", error)
            return [jobs_away()]
        return []

    def count_workers(self) -> int:
        """How many workers are heard of. Blocks."""
        return self._ledger.count_workers()

    async def count_jobs(self) -> Mapping[str, int]:
        """How many jobs wait and run, by their state."""
        return await asyncio.to_thread(self._ledger.count_jobs)

    async def find_last_end(self) -> Mapping[str, Any] | None:
        """How the job ended that ended last, at whatever worker."""
        row = await self._threads.read(JobDatabase.last_ended, (COMPLETED, FAILED))
        if row is None or row.ended is None:
            return None
        return describe_end(row.state, (row.body["failure"] or {}).get("stage"), row.ended)

    async def list_models(self) -> tuple[list[str], list[str]]:
        """What the workers of any queue have: the names that model_name and mesh_model take."""
        return merge_models(await self._list_queues())

    async def _list_queues(self) -> list[WorkerQueue]:
        return await asyncio.to_thread(self._ledger.list_queues)

    async def describe_limit(self, user: str) -> Mapping[str, str]:
        """The headers that say how many requests the user has left; none without a limit."""
        limits = self._ledger.limits
        if not limits.requests:
            return {}
        left, wait = await asyncio.to_thread(self._ledger.count_requests, user)
        return {
            "RateLimit-Policy": f'"generate";q={limits.requests};w={limits.window:g}',
            "RateLimit": f'"generate";r={left};t={round(wait)}',
        }

    async def admit(self, user: str, is_replay: bool = False) -> None:
        """Count a request against the user's limits; raises ApiError."""
        if refusal := await asyncio.to_thread(self._ledger.admit, user, is_replay):
            refusal.closes = True
            raise refusal

    def release(self, user: str) -> None:
        """Does nothing: a job counts from when it is stored."""

    async def find_request(self, user: str, key: str) -> tuple[str, str] | None:
        """(digest of the form, job id) of the user's accepted request with this idempotency key."""
        return await self._threads.read(JobDatabase.find_request, user, key, time.time() - KEY_SECONDS)

    async def create_job(self, form: Form, user: str, key: str | None = None) -> RemoteJob:
        """Check a form and store its job and the message that starts it, in one commit."""
        check_url = self._webhooks.check_url
        queue, (parameters, is_learned) = find_queue(
            await self._list_queues(),
            lambda models: read_job_form(form, models, check_url),
            lambda read, models: measure_need(read[0].values, models),
        )
        for name in form.pictures:
            async with self._decoding:
                await asyncio.to_thread(picture.check_upload, form.files[name], name)
        await self._check_motion(form)
        await self._check_painted(form, parameters)
        expected = self.history.estimate(parameters.values, is_learned)
        job = self._new_job(user, parameters, form.pictures, expected)
        return await self._begin(job, queue, form.files, (key, form.digest) if key else None)

    async def create_mesh_job(self, form: Form, user: str, key: str | None = None) -> RemoteJob:
        """As create_job, for a form's mesh and its motion."""
        queues = await self._list_queues()
        parameters, _ = parse_form(form.fields, merge_models(queues), self._webhooks.check_url)
        parameters = adapt_parameters(parameters)
        names = {MESH: f"{MESH}{read_mesh_suffix(form)}"}
        await self._check_motion(form)
        expected = self.history.estimate(parameters.values, is_learned=False, takes_mesh=True)
        job = self._new_job(user, parameters, [MESH], expected)
        files = {names.get(name, name): file for name, file in form.files.items()}
        return await self._begin(job, find_soonest(queues), files, (key, form.digest) if key else None)

    async def create_edit(self, old: EndedJob, form: Form, user: str, key: str | None = None) -> RemoteJob:
        """As create_job, for an earlier job once more with painted views: a worker makes all of it anew."""
        parameters = read_edited_parameters(old, form)
        sent = await asyncio.to_thread(self._files.list_uploads, old.id)
        require_pictures(old, sent)
        await self._check_painted(form, parameters)
        _require_size(sent, form)
        pictures = [name for name in sent if name in PICTURES]
        job = self._new_job(user, parameters, pictures, read_estimate(old.record))
        request = (key, edit_digest(old.id, form)) if key else None
        queue = await asyncio.to_thread(self._ledger.find_queue, old.id)
        return await self._begin(job, queue, form.files, request, source=old.id)

    async def _check_motion(self, form: Form) -> None:
        if form.motion:
            await asyncio.to_thread(picture.read_motion, form.motion)

    async def _check_painted(self, form: Form, parameters: Parameters) -> None:
        for name in [name for name in EDITS if name in form.files]:
            side = parameters.values["image_size"] if name != TEXTURE else None
            async with self._decoding:
                await asyncio.to_thread(picture.decode_painted, form.files[name], name, side)

    def _new_job(
        self, user: str, parameters: Parameters, pictures: Collection[str], expected: Estimate
    ) -> Job:
        """A job that waits; its graph, which tells its stages, is not the one that a worker makes."""
        job_id = new_job_id()
        graph = build_graph(self._template, job_id, dict.fromkeys(pictures, job_id), parameters.values)
        return Job(job_id, user, parameters, graph, expected)

    async def _begin(
        self,
        job: Job,
        queue: str,
        files: Mapping[str, IO[bytes]],
        request: tuple[str, str] | None,
        source: str = "",
    ) -> RemoteJob:
        """Store a job with its files, which come on top of those of `source`. Raises ApiError."""
        try:
            job.jobs_ahead = await asyncio.to_thread(self._ledger.count_rounds, queue)
            row = job_to_row(job, json.dumps(describe_job(job)))
            if source:
                await asyncio.to_thread(self._files.copy_uploads, source, job.id)
            await asyncio.to_thread(self._files.keep_uploads, job.id, files)
            await self._accept(row, request, queue)
        except (OSError, DatabaseError) as error:
            log.error("a job was refused, since it could not be stored: %s", error)
            raise jobs_away() from error
        self.metrics.accepted += 1
        self._news.set()
        return RemoteJob(row)

    async def cancel_job(self, job: Any) -> None:
        """Stop a job: one that waits ends at once, else its worker is told with its next heartbeat."""
        attempt = await asyncio.to_thread(self._ledger.request_stop, job.id)
        if attempt == 0:
            row = await self._threads.read(JobDatabase.find, job.id)
            if row and row.ended is None:
                await asyncio.to_thread(self._end_unclaimed, row)

    def _end_unclaimed(self, row: Row) -> None:
        try:
            fail_job(self._ledger, row, 0, None)
            self.metrics.ended[CANCELLED] += 1
        except FencedError:
            log.info("job %s: it was begun meanwhile, its worker stops it", row.id)

    async def delete_job(self, job: EndedJob) -> None:
        """Delete an ended job's record and files; its id answers 410 from then on."""
        remaining = {"files": describe_files(job.files, job.facts)}
        if not await self._threads.write(JobDatabase.mark_deleted, job.id, remaining):
            raise job_gone(job.id, time.time())  # another request was faster
        await self._remove_files(job.id)

    async def _remove_files(self, job_id: str) -> None:
        await asyncio.to_thread(self._files.remove, job_id)
        await self._threads.write(JobDatabase.finish_removal, job_id)

    async def open_file(self, job: Any, file: JobFile) -> tuple[IO[bytes], FileFacts] | None:
        """A job's file, open, and its facts; None where it is not there."""
        found = _find_facts(job, file)
        if found is None:
            return None
        attempt, facts = found
        try:
            opened = await asyncio.to_thread(self._files.open_result, job.id, attempt, file.relative)
        except FileNotFoundError:
            return None
        except OSError as error:
            log.error("job %s: %s cannot be read: %s", job.id, file.name, error)
            raise server_busy(503, "The files cannot be read now", "files", 5) from error
        return opened, facts

    async def sign_file(self, job: Any, file: JobFile) -> tuple[str, FileFacts] | None:
        """A URL of S3 that serves the file, if clients are sent there, and its facts."""
        found = _find_facts(job, file) if self._redirects else None
        if found is None:
            return None
        attempt, facts = found
        url = await asyncio.to_thread(self._files.sign_result, job.id, attempt, file.relative)
        return (url, facts) if url else None

    async def open_picture(self, job: Any, picture: JobFile) -> tuple[IO[bytes], FileFacts] | None:
        """As open_file, for what a stage showed."""
        return await self.open_file(job, picture)

    async def _accept(self, row: Row, request: tuple[str, str] | None, queue: str) -> None:
        try:
            refusal = await asyncio.to_thread(self._ledger.accept, row, request, queue)
        except DatabaseError:
            await asyncio.to_thread(self._files.remove, row.id)
            raise
        if refusal:
            await asyncio.to_thread(self._files.remove, row.id)
            raise refusal

    async def _send_messages(self) -> None:
        """Give waiting messages to the broker, forever; raises where the broker or the database fails."""
        while True:
            self._news.clear()
            while await asyncio.to_thread(self._messages.send_messages, self._send):
                pass
            try:
                await asyncio.wait_for(self._news.wait(), POLL_SECONDS)
            except asyncio.TimeoutError:
                continue

    async def _sweep(self) -> None:
        """End jobs of dead messages, send again what the broker lost, delete old jobs; forever. Raises."""
        while True:
            await asyncio.to_thread(self._read_dead, self._bury)
            if count := await asyncio.to_thread(self._messages.resend_lost):
                log.warning("%d messages are sent again: nobody is heard of who runs their jobs", count)
            await self._expire_jobs()
            await asyncio.to_thread(self._files.remove_old_questions)
            await asyncio.sleep(SWEEP_SECONDS)

    async def _expire_jobs(self) -> None:
        """Delete old jobs, and the files of those whose deletion was cut off."""
        now = time.time()
        for job_id in await self._threads.read(JobDatabase.ended_before, now - RETENTION_SECONDS):
            await self._threads.write(JobDatabase.mark_deleted, job_id, {"files": []})
        for row in await self._threads.read(JobDatabase.pending_removals):
            await self._remove_files(row.id)
        await self._threads.write(JobDatabase.purge_tombstones, now - TOMBSTONE_SECONDS)

    def _bury(self, job_id: str) -> None:
        """End a job whose message is dead. Raises DatabaseError."""
        attempt, row = self._ledger.find_attempt(job_id), self._threads.database.find(job_id)
        if row and row.ended is None:
            with contextlib.suppress(FencedError):  # somebody runs it after all
                fail_job(self._ledger, row, attempt, Failure("Given up", UNDELIVERABLE, None))
                self.metrics.ended[FAILED] += 1


def _find_facts(job: Any, file: JobFile) -> tuple[int, FileFacts] | None:
    """The attempt that made a job's file, and what is known of the file; None of another's."""
    record = job.record if isinstance(job, EndedJob) else job.row.body
    facts = job.facts.get(file) or read_picture_facts(record).get(file)
    return (record["attempts"], facts) if facts else None


def _require_size(sent: Mapping[str, int], form: Form) -> None:
    """Refuse painted views that do not fit into one form with what was sent before: a worker sends one."""
    sizes = {name: size for name, size in sent.items() if name in PICTURES or name in EDITS}
    sizes |= {name: file.seek(0, os.SEEK_END) for name, file in form.files.items()}
    if sum(sizes.values()) > MAX_PICTURES_BYTES:
        raise pictures_too_large(next(iter(form.files)))
