"""A live job as clients see it: its status and events, each published once it is stored."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .database import Delivery, Row
from .events import TERMINAL, Event, EventLog
from .files import FileFacts, JobFile
from .job_record import job_to_row
from .jobs import COMPLETED, Change, Job
from .status import describe_acceptance, describe_change, describe_job, refresh_remaining
from .webhooks import make_delivery

log = logging.getLogger("character3d")

StoredChange = tuple[Row, Event | None, Delivery | None]
Write = Callable[[Row, Event | None, Delivery | None], "asyncio.Future[None]"]
"""Stores a job's row, an event and a webhook in one commit; the futures complete in order."""


class LiveJob:
    """Publishes the changes of a job, in order, each after it is stored.

    The terminal event waits until `publish_end`, so that the job's resources can be released before any
    client learns of its end. Without `write` nothing is stored and everything is published at once.
    """

    is_over = False
    """Whether the end has been published; the job is an EndedJob then."""

    def __init__(self, job: Job, write: Write | None = None, events: Iterable[Event] = ()) -> None:
        self.job = job
        self.log = EventLog(job.id, events)
        self._write = write
        self._status = describe_job(job)
        self._end: Event | None = None
        self._last_change: StoredChange | None = None
        self._last_write: asyncio.Future[None] | None = None
        job.on_change = self._handle_change

    @property
    def id(self) -> str:
        """The job's id."""
        return self.job.id

    @property
    def user(self) -> str:
        """The job's owner."""
        return self.job.user

    @property
    def files(self) -> list[JobFile]:
        """The files written so far."""
        return self.job.files

    @property
    def pictures(self) -> list[JobFile]:
        """The pictures that its nodes have shown so far."""
        return self.job.pictures

    @property
    def facts(self) -> dict[JobFile, FileFacts]:
        """What is known of the files."""
        return self.job.facts

    def describe(self) -> dict[str, Any]:
        """The status body, as of the last change that is stored."""
        return refresh_remaining(self._status, self.job)

    def describe_acceptance(self) -> dict[str, Any]:
        """Body of the 202 answer."""
        job = self.job
        return describe_acceptance(job.id, job.parameters, job.expected, job.jobs_ahead)

    @property
    def text(self) -> str:
        """The status body as JSON."""
        return json.dumps(self.describe())

    async def stored(self) -> bool:
        """Wait until all changes up to now are stored; returns whether the last one could be."""
        written = self._last_write
        if written is None:
            return True
        await asyncio.wait([written])
        return written.exception() is None

    @property
    def last_change(self) -> StoredChange | None:
        """What was given to `write` last."""
        return self._last_change

    def publish_end(self) -> None:
        """Publish the event of the job's end, after `stored`."""
        if self._end:
            self._publish(dict(self._end.data), self._end)

    def _handle_change(self, change: Change) -> None:
        status = describe_job(self.job)
        event = self.log.create(change.event, describe_change(self.job, change)) if change.event else None
        if self._write is None:
            self._publish(status, event)
            return
        written = self._store(self._write, status, event)
        if event and event.type in TERMINAL:
            self._end = event
        else:
            written.add_done_callback(lambda done: self._publish(status, event))

    def _store(self, write: Write, status: Mapping[str, Any], event: Event | None) -> asyncio.Future[None]:
        text = json.dumps(status) if self.job.is_terminal else None
        delivery = _announce_end(self.job, event) if event and event.type in TERMINAL else None
        self._last_change = job_to_row(self.job, text), event, delivery
        self._last_write = write(*self._last_change)
        self._last_write.add_done_callback(self._note_failure)
        return self._last_write

    def _note_failure(self, written: asyncio.Future[None]) -> None:
        if error := written.exception():  # a full disk must not stop the job that runs
            log.error("job %s: its state could not be stored: %s", self.id, error)

    def _publish(self, status: dict[str, Any], event: Event | None) -> None:
        self._status = status
        if event:
            self.log.publish(event)


def _announce_end(job: Job, event: Event) -> Delivery | None:
    """The webhook of a job's end, where the client wants one."""
    kind = "character.completed" if job.state == COMPLETED else "character.failed"
    url = job.parameters.values["webhook_url"]
    return make_delivery(job.id, url, kind, event.data) if url else None
