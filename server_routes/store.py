"""The jobs by id: the live ones in memory, the ended ones from disk as they are asked for."""

from __future__ import annotations

import logging
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .database import GONE, Delivery, JobDatabase, Row
from .errors import job_gone, job_not_found
from .events import Event
from .jobs import COMPLETED, Job
from .records import job_to_row
from .webhooks import make_delivery

log = logging.getLogger("character3d")

ENDED_IN_MEMORY = 200


class JobStore:
    """Keeps jobs; `restore` makes a job of a row of the database."""

    def __init__(self, database: JobDatabase, restore: Callable[[Row], Job]) -> None:
        self._database = database
        self._restore = restore
        self._live: dict[str, Job] = {}
        self._ended: OrderedDict[str, Job] = OrderedDict()

    @property
    def live(self) -> list[Job]:
        """The jobs that have not ended."""
        return list(self._live.values())

    def add(self, job: Job) -> None:
        """Keep a job that lives; from now on what its events and its status tell is stored before."""
        self._live[job.id] = job
        job.keep = lambda: self.save(job)
        job.log.keep = lambda event: self._keep(job, event)

    def find(self, job_id: str) -> Job:
        """The job with exactly this id; raises ApiError JOB_NOT_FOUND, 404 or 410."""
        job = self._live.get(job_id) or self._ended.get(job_id)
        if job is None:
            row = self._database.find(job_id)
            if row is None:
                raise job_not_found(job_id)
            if row.state == GONE:
                raise job_gone(job_id, row.ended or 0.0)
            job = self._recall(row)
        return job

    def take_up(self, rows: Iterable[Row]) -> list[Job]:
        """The jobs of rows that were read from the database."""
        return [self._live.get(row.id) or self._ended.get(row.id) or self._recall(row) for row in rows]

    def save(self, job: Job) -> None:
        """Store a change that no event tells of."""
        self._store(job, None)

    def forget(self, job_id: str, left: Mapping[str, Any] | None = None) -> None:
        """Drop an ended job; its id stays known as one that has gone, with what has yet to be removed."""
        self._ended.pop(job_id, None)
        self._database.bury(job_id, left)

    def _store(self, job: Job, event: Event | None) -> None:
        delivery = _announce_end(job, event) if event and job.is_terminal else None
        try:
            self._database.update(job_to_row(job), event, delivery)
        except sqlite3.Error:  # a full disk must not stop the job that runs
            log.exception("job %s: its state could not be stored", job.id)

    def _keep(self, job: Job, event: Event) -> None:
        self._store(job, event)
        if job.is_terminal:
            self._live.pop(job.id, None)
            self._remember(job)

    def _recall(self, row: Row) -> Job:
        job = self._restore(row)
        self._remember(job)
        return job

    def _remember(self, job: Job) -> None:
        self._ended[job.id] = job
        while len(self._ended) > ENDED_IN_MEMORY:
            self._ended.popitem(last=False)


def _announce_end(job: Job, event: Event) -> Delivery | None:
    """The webhook that tells of a job's last event, where the client wants one."""
    kind = "character.completed" if job.state == COMPLETED else "character.failed"
    url = job.parameters.values["webhook_url"]
    return make_delivery(job.id, url, kind, event.data) if url else None
