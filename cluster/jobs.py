"""The jobs of a cluster as a front door sees them: rows, and the news of those that clients watch."""

from __future__ import annotations

import asyncio
import json
import logging
import weakref
from collections.abc import Collection
from typing import Any

import psycopg

from ..server_routes.database import DELETED, JobDatabase, Row
from ..server_routes.database_threads import DatabaseThreads
from ..server_routes.ended_job import EndedJob, read_ended_job
from ..server_routes.errors import job_gone, job_not_found
from ..server_routes.events import EventLog
from ..server_routes.files import FileFacts, JobFile
from ..server_routes.job_record import (
    read_estimate,
    read_files,
    read_jobs_ahead,
    read_parameters,
    read_pictures,
)
from ..server_routes.jobs import QUEUED
from ..server_routes.postgres_engine import CONNECTION
from ..server_routes.postgres_migrations import NEWS
from ..server_routes.status import describe_acceptance, describe_place, read_moment
from .ledger import Ledger

log = logging.getLogger("character3d")


class RemoteJob:
    """A job that waits, or runs on some worker, as of the row that was read last."""

    is_over = False

    def __init__(self, row: Row, place: tuple[int, int] | None = None) -> None:
        """place: as Ledger.find_place."""
        self.row, self._place = row, place

    @property
    def id(self) -> str:
        """The job's id."""
        return self.row.id

    @property
    def user(self) -> str:
        """The job's owner."""
        return self.row.user

    @property
    def text(self) -> str:
        """The status body as JSON."""
        text = self.row.status or "{}"
        if self._place is None or self.row.state != QUEUED:
            return text
        return json.dumps({**json.loads(text), **describe_place(read_estimate(self.row.body), *self._place)})

    @property
    def files(self) -> list[JobFile]:
        """The files written so far."""
        return read_files(self.row.body)[0]

    @property
    def pictures(self) -> list[JobFile]:
        """The pictures that the stages have shown so far."""
        return read_pictures(self.row.body)

    @property
    def facts(self) -> dict[JobFile, FileFacts]:
        """What is known of the files."""
        return read_files(self.row.body)[1]

    def describe(self) -> dict[str, Any]:
        """The status body."""
        return dict(json.loads(self.text))

    def describe_acceptance(self) -> dict[str, Any]:
        """Body of the 202 answer."""
        body = self.row.body
        return describe_acceptance(self.id, read_parameters(body), read_estimate(body), read_jobs_ahead(body))


class ClusterJobs:
    """Finds jobs, and relays what the workers store of them."""

    def __init__(self, threads: DatabaseThreads, url: str) -> None:
        self._threads = threads
        self._ledger = Ledger(threads.database.engine)
        self._url = url
        self._watched: weakref.WeakKeyDictionary[EventLog, RemoteJob] = weakref.WeakKeyDictionary()
        """The logs that clients follow, each with the job that its handler holds."""
        self._reading = asyncio.Lock()

    async def find(self, job_id: str) -> RemoteJob | EndedJob:
        """The job with exactly this id; raises ApiError JOB_NOT_FOUND, 404 or 410."""
        row = await self._threads.read(JobDatabase.find, job_id)
        if row is None:
            raise job_not_found(job_id)
        if row.state == DELETED:
            raise job_gone(job_id, read_moment(row.ended))
        return await self._read_job(row)

    async def _read_job(self, row: Row) -> RemoteJob | EndedJob:
        if row.ended is not None:
            return read_ended_job(row)
        is_waiting = row.state == QUEUED
        return RemoteJob(
            row, await asyncio.to_thread(self._ledger.find_place, row.id) if is_waiting else None
        )

    async def find_log(self, job: RemoteJob | EndedJob) -> EventLog:
        """The events of a job; those of a live one go on as long as the log is held."""
        if isinstance(job, EndedJob):
            return job.make_log(await self._threads.read(JobDatabase.events, job.id))
        events = EventLog(job.id)
        self._watched[events] = job
        await self._read_news(events, job)
        return events

    async def list_jobs(
        self, user: str, states: Collection[str], before: str | None, limit: int
    ) -> tuple[list[RemoteJob | EndedJob], str | None]:
        """A page of a user's jobs in some states, newest first, and the `before` of the next page."""
        rows = await self._threads.read(JobDatabase.jobs_of, user, states, before, limit + 1)
        further = rows[limit - 1].id if len(rows) > limit else None
        page = [await self._read_job(row) for row in rows[:limit]]
        return page, further

    async def relay(self) -> None:
        """Publish to those who watch, forever; raises psycopg.Error where the connection breaks."""
        connecting = psycopg.AsyncConnection.connect(self._url, autocommit=True, **CONNECTION)
        async with await connecting as connection:
            await connection.execute(f"LISTEN {NEWS}".encode())
            for events, job in list(self._watched.items()):  # what was missed since the last connection
                await self._read_news(events, job)
            async for news in connection.notifies():
                for events, job in list(self._watched.items()):
                    if job.id == news.payload:
                        await self._read_news(events, job)

    async def _read_news(self, events: EventLog, job: RemoteJob) -> None:
        """Publish the events that a log lacks; the row is read after them, so it is no older."""
        async with self._reading:
            found = await self._threads.read(JobDatabase.events, job.id, events.last_seq)
            row = await self._threads.read(JobDatabase.find, job.id)
            if row and row.status:
                job.row = row
            for event in found:
                events.publish(event)
