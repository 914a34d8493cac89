"""An ended job, served from its row: nothing is recomputed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .database import Row
from .estimates import EMBEDDED_SECONDS, STAGE_SECONDS, Estimate
from .events import ERROR, JOB_COMPLETED, TERMINAL, Event, EventLog, now_milliseconds
from .files import FileFacts, JobFile
from .job_record import (
    describe_files,
    read_estimate,
    read_files,
    read_jobs_ahead,
    read_parameters,
    read_pictures,
)
from .jobs import COMPLETED, FAILED
from .status import UNKNOWN_PARAMETERS, describe_acceptance, describe_damaged, describe_downloads

log = logging.getLogger("character3d")


@dataclass(frozen=True)
class EndedJob:
    """A job that has ended.

    text: its status body as JSON. facts: what is known of each of its files. record: the body of its row.
    pictures: what its nodes showed, as long as ComfyUI's temporary folder has it.
    is_damaged: whether its record cannot be read; it counts as failed then, without files.
    """

    id: str
    user: str
    text: str
    files: list[JobFile] = field(default_factory=list)
    facts: dict[JobFile, FileFacts] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)
    pictures: list[JobFile] = field(default_factory=list)
    is_damaged: bool = False
    is_over: bool = True

    def describe(self) -> dict[str, Any]:
        """The status body."""
        return dict(json.loads(self.text))

    def describe_acceptance(self) -> dict[str, Any]:
        """Body of the 202 answer, for a request that is repeated."""
        if self.is_damaged:
            return describe_acceptance(self.id, UNKNOWN_PARAMETERS, Estimate(EMBEDDED_SECONDS, STAGE_SECONDS))
        record = self.record
        return describe_acceptance(
            self.id, read_parameters(record), read_estimate(record), read_jobs_ahead(record)
        )

    def with_facts(self, file: JobFile, found: FileFacts) -> EndedJob:
        """The job after one of its files was edited."""
        facts = {**self.facts, file: found}
        body = {**self.describe(), "downloads": describe_downloads(self.id, self.files, facts)}
        record = {**self.record, "files": describe_files(self.files, facts)}
        return replace(self, text=json.dumps(body), facts=facts, record=record)

    def make_log(self, events: Iterable[Event]) -> EventLog:
        """The job's event log; a terminal event that is missing, or not this status, is replaced."""
        found = list(events)
        if found and found[-1].type in TERMINAL and not self.is_damaged:
            return EventLog(self.id, found)
        kept = [event for event in found if event.type not in TERMINAL]
        seq, body = found[-1].seq + 1 if found else 1, self.describe()
        kind = JOB_COMPLETED if body["status"] == COMPLETED else ERROR
        return EventLog(self.id, [*kept, Event(kind, self.id, seq, now_milliseconds(), body)])


def read_ended_job(row: Row) -> EndedJob:
    """The job of an ended row, whatever the row holds."""
    try:
        return _read(row)
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        log.warning("job %s: its record is damaged: %r", row.id, error)
        text = json.dumps(describe_damaged(row.id, row.created, row.ended))
        return EndedJob(row.id, str(row.user), text, is_damaged=True)


def _read(row: Row) -> EndedJob:
    if row.state not in (COMPLETED, FAILED) or row.status is None:
        raise ValueError(f"it has no status, its state is {row.state!r}")
    status = json.loads(row.status)
    if (status["job_id"], status["status"]) != (row.id, row.state):
        raise ValueError("its status is that of another job")
    files, facts = read_files(row.body)
    read_parameters(row.body), read_estimate(row.body)
    return EndedJob(row.id, row.user, row.status, files, facts, row.body, read_pictures(row.body))
