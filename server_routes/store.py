"""The jobs by id: live ones in memory, ended ones read from disk on demand."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from .database import DELETED, JobDatabase
from .database_engine import DatabaseError
from .database_threads import DatabaseThreads, for_each
from .ended_job import EndedJob, read_ended_job
from .errors import ApiError, job_gone, job_not_found
from .events import Event, EventLog
from .files import FileFacts, JobFile
from .job_record import describe_files
from .jobs import PROCESSING, Job
from .live_job import LiveJob, StoredChange
from .status import read_moment

log = logging.getLogger("character3d")

LocalJob = LiveJob | EndedJob

RETRY_SECONDS = 60.0


class JobStore:
    """Finds jobs, and stores the changes of the live ones."""

    def __init__(self, threads: DatabaseThreads) -> None:
        self._threads = threads
        self._live: dict[str, LiveJob] = {}
        self._unsaved: dict[str, StoredChange] = {}
        """The ends that could not be stored, for lack of disk space."""

    @property
    def live(self) -> list[LiveJob]:
        """The jobs whose end has not been published."""
        return list(self._live.values())

    @property
    def active(self) -> list[Job]:
        """The jobs that wait or run."""
        return [live.job for live in self._live.values() if not live.job.is_terminal]

    def add(self, job: Job, events: Iterable[Event] = ()) -> LiveJob:
        """Track an active job. From here on every change is stored before it is published."""
        live = LiveJob(job, lambda *change: self._threads.write(JobDatabase.update, *change), events)
        self._live[job.id] = live
        return live

    def discard(self, live: LiveJob) -> None:
        """Stop tracking a job that could not be stored."""
        self._live.pop(live.id, None)

    def finish(self, live: LiveJob, is_stored: bool) -> None:
        """Publish the end of a job. is_stored: whether the end could be written to disk."""
        if not is_stored and live.last_change:
            self._unsaved[live.id] = live.last_change
        live.publish_end()
        self._live.pop(live.id, None)

    async def find(self, job_id: str) -> LocalJob:
        """The job with exactly this id; raises ApiError JOB_NOT_FOUND, 404 or 410."""
        if job := self._find_in_memory(job_id):
            return job
        row = await self._threads.read(JobDatabase.find, job_id)
        if row is None:
            raise job_not_found(job_id)
        if row.state == DELETED:
            raise job_gone(job_id, read_moment(row.ended))
        return read_ended_job(row)

    async def find_log(self, job: LocalJob) -> EventLog:
        """The events of a job."""
        if isinstance(job, LiveJob):
            return job.log
        return job.make_log(await self._threads.read(JobDatabase.events, job.id))

    async def list_jobs(
        self, user: str, states: Collection[str], before: str | None, limit: int
    ) -> tuple[list[LocalJob], str | None]:
        """A page of a user's jobs in some states, newest first, and the `before` of the next page."""
        page = await self._threads.read(_read_page, user, states, before, limit + 1)
        further = page[limit - 1][0] if len(page) > limit else None
        jobs = [await self._resolve(job_id, ended) for job_id, ended in page[:limit]]
        is_live_wanted = PROCESSING in states
        return [job for job in jobs if job and (job.is_over or is_live_wanted)], further

    async def _resolve(self, job_id: str, ended: EndedJob | None) -> LocalJob | None:
        """The job of a row that was read a moment ago; None where it has been deleted since."""
        if job := self._find_in_memory(job_id) or ended:
            return job
        try:
            return await self.find(job_id)
        except ApiError:
            return None

    async def update_facts(self, job: LocalJob, file: JobFile, facts: FileFacts) -> None:
        """Record the new size and hash of a file that has been edited since its job ended."""
        if isinstance(job, LiveJob):
            job.facts[file] = facts
            return
        changed = job.with_facts(file, facts)
        try:
            await self._threads.write(JobDatabase.replace_record, job.id, changed.record, changed.text)
        except DatabaseError as error:  # a full disk must not stop a download
            log.error("job %s: its changed file could not be noted: %s", job.id, error)

    async def delete(self, job: EndedJob) -> None:
        """Turn an ended job into a tombstone, which names the files that have yet to be removed.

        Raises ApiError 410 where it is one already.
        """
        remaining: Mapping[str, Any] = {"files": describe_files(job.files, job.facts)}
        if not await self._threads.write(JobDatabase.mark_deleted, job.id, remaining):
            raise job_gone(job.id, time.time())  # another request was faster
        self._unsaved.pop(job.id, None)

    async def expire(self, job_id: str) -> None:
        """Turn an ended job into a tombstone; its files stay."""
        await self._threads.write(JobDatabase.mark_deleted, job_id)
        self._unsaved.pop(job_id, None)

    async def retry_unsaved(self) -> None:
        """Store the ends that could not be stored, forever; raises DatabaseError while they still cannot."""
        while True:
            await for_each(list(self._unsaved), self._retry)
            await asyncio.sleep(RETRY_SECONDS)

    async def _retry(self, job_id: str) -> None:
        if change := self._unsaved.get(job_id):
            await self._threads.write(JobDatabase.update, *change)
            self._unsaved.pop(job_id, None)

    def _find_in_memory(self, job_id: str) -> LocalJob | None:
        if change := self._unsaved.get(job_id):
            return read_ended_job(change[0])
        return self._live.get(job_id)


def _read_page(
    database: JobDatabase, user: str, states: Collection[str], before: str | None, limit: int
) -> list[tuple[str, EndedJob | None]]:
    """The ids of a page, and the jobs of those that have ended."""
    rows = database.jobs_of(user, states, before, limit)
    return [(row.id, read_ended_job(row) if row.ended is not None else None) for row in rows]
