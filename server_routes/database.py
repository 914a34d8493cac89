"""Jobs on disk: what was accepted outlives the server.

One row per job and one per event. State is committed before it is published, so after a crash no client has
seen an event that is lost.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from .database_engine import Engine, Session
from .events import PROGRESS_UPDATE, TERMINAL, Event

DELETED = "gone"
"""The state of a job of which only the id is left; the other states are those of jobs.py."""

_ROW = 'id, "user", created, ended, state, body, status'


@dataclass(frozen=True)
class Row:
    """A job's row.

    created and ended: seconds since 1970. state: DELETED, or the job's. body: the record (job_record.py).
    status: the JSON text of an ended job's status body.
    """

    id: str
    user: str
    created: float
    ended: float | None
    state: str
    body: Mapping[str, Any]
    status: str | None = None


@dataclass(frozen=True)
class Delivery:
    """A webhook that is due. due: seconds since 1970."""

    id: str
    url: str
    body: str
    tries: int
    due: float


class JobDatabase:
    """The jobs in a database. Its methods block, and may be called from any thread; they raise DatabaseError.

    Each method is one transaction. Its SQL is what both engines understand.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._transaction, self._read = engine.transaction, engine.read

    @property
    def problem(self) -> str:
        """Why no job can be kept, or nothing."""
        return self.engine.problem

    @property
    def notice(self) -> str:
        """What happened to a damaged file of jobs at the start, or nothing."""
        return self.engine.notice

    def close(self) -> None:
        """Let go of the database."""
        self.engine.close()

    def sync(self) -> None:
        """Wait until all commits are on disk."""
        self.engine.sync()

    # -- jobs --------------------------------------------------------------------------------------

    def insert(self, row: Row, request: tuple[str, str] | None = None) -> None:
        """Store a new job. request: the idempotency key and digest of the request that created it."""
        with self._transaction() as session:
            insert_job(session, row, request)

    def discard(self, job_id: str) -> None:
        """Remove a job that was refused after its row had been inserted."""
        with self._transaction() as session:
            session.execute("DELETE FROM requests WHERE job_id = ?", (job_id,))
            session.execute("DELETE FROM jobs WHERE id = ?", (job_id,))

    def update(self, row: Row, event: Event | None = None, delivery: Delivery | None = None) -> None:
        """Store a job's new state, the event that announces it, and the webhook that it triggers."""
        with self._transaction() as session:
            session.execute(
                "UPDATE jobs SET ended = ?, state = ?, body = ?, status = ? WHERE id = ?",
                (row.ended, row.state, json.dumps(row.body), row.status, row.id),
            )
            if event:
                add_event(session, event)
            if delivery:
                add_delivery(session, delivery)

    def find(self, job_id: str) -> Row | None:
        """The job with exactly this id."""
        rows = self._select("WHERE id = ?", (job_id,))
        return rows[0] if rows else None

    def live_jobs(self) -> list[Row]:
        """The jobs that have not ended, oldest first."""
        return self._select("WHERE ended IS NULL ORDER BY created", ())

    def newest(self, state: str, limit: int) -> list[Row]:
        """The newest jobs in a state."""
        return self._select("WHERE state = ? ORDER BY created DESC LIMIT ?", (state, limit))

    def last_ended(self, states: Collection[str]) -> Row | None:
        """The job in some final states that ended last."""
        marks = ", ".join("?" * len(states))
        found = self._select(
            f"WHERE ended IS NOT NULL AND state IN ({marks}) ORDER BY ended DESC LIMIT 1", tuple(states)
        )
        return found[0] if found else None

    def jobs_of(self, user: str, states: Collection[str], before: str | None, limit: int) -> list[Row]:
        """A user's jobs in some states, newest first; `before`: only those older than this job.

        In the order in which they were inserted, since clocks jump.
        """
        marks = ", ".join("?" * len(states))
        return self._select(
            f'WHERE "user" = ? AND state IN ({marks})'
            " AND (CAST(? AS TEXT) IS NULL OR rowid < (SELECT rowid FROM jobs WHERE id = ?))"
            " ORDER BY rowid DESC LIMIT ?",
            (user, *states, before, before, limit),
        )

    def ended_before(self, moment: float) -> list[str]:
        """Ids of the jobs that ended before a moment."""
        found = self._read("SELECT id FROM jobs WHERE ended < ? AND state != ?", (moment, DELETED))
        return [job_id for (job_id,) in found]

    def replace_record(self, job_id: str, body: Mapping[str, Any], status: str) -> None:
        """Replace the record and the status of an ended job."""
        with self._transaction() as session:
            session.execute(
                "UPDATE jobs SET body = ?, status = ? WHERE id = ? AND ended IS NOT NULL AND state != ?",
                (json.dumps(body), status, job_id, DELETED),
            )

    def end_damaged(self, job_id: str, state: str) -> None:
        """Mark a job ended whose record cannot be read."""
        with self._transaction() as session:
            session.execute(
                "UPDATE jobs SET ended = ?, state = ?, status = NULL WHERE id = ?",
                (time.time(), state, job_id),
            )

    # -- deletion ----------------------------------------------------------------------------------

    def mark_deleted(self, job_id: str, remaining: Mapping[str, Any] | None = None) -> bool:
        """Turn a job into a tombstone: its id, and when it was deleted. False where it is one already.

        remaining: the files that have yet to be removed.
        """
        with self._transaction() as session:
            session.execute("DELETE FROM events WHERE job_id = ?", (job_id,))
            session.execute("DELETE FROM requests WHERE job_id = ?", (job_id,))
            done = session.execute(
                "UPDATE jobs SET state = ?, ended = ?, body = ?, status = NULL WHERE id = ? AND state != ?",
                (DELETED, time.time(), json.dumps(remaining or {}), job_id, DELETED),
            )
        return done.rowcount > 0

    def pending_removals(self) -> list[Row]:
        """Deleted jobs whose files still have to be removed."""
        return self._select("WHERE state = ? AND body != '{}'", (DELETED,))

    def finish_removal(self, job_id: str) -> None:
        """Note that a deleted job has no files left."""
        with self._transaction() as session:
            session.execute("UPDATE jobs SET body = '{}' WHERE id = ? AND state = ?", (job_id, DELETED))

    def purge_tombstones(self, moment: float) -> None:
        """Drop the tombstones and idempotency keys from before a moment."""
        with self._transaction() as session:
            session.execute("DELETE FROM jobs WHERE state = ? AND ended < ?", (DELETED, moment))
            session.execute("DELETE FROM requests WHERE created < ?", (moment,))

    # -- what belongs to jobs ----------------------------------------------------------------------

    def events(self, job_id: str, after: int = 0) -> list[Event]:
        """A job's stored events after number `after`, in order; damaged ones are left out."""
        found = self._read(
            "SELECT type, seq, timestamp, data FROM events WHERE job_id = ? AND seq > ? ORDER BY seq",
            (job_id, after),
        )
        return [
            Event(kind, job_id, seq, moment, dict(read))
            for kind, seq, moment, data in found
            if isinstance(seq, int) and isinstance(moment, int) and (read := _read_object(data))
        ]

    def find_request(self, user: str, key: str, since: float) -> tuple[str, str] | None:
        """(digest, job id) of a user's request with this idempotency key, if it is no older than `since`."""
        found = self._read(
            'SELECT digest, job_id FROM requests WHERE "user" = ? AND key = ? AND created >= ?',
            (user, key, since),
        )
        return (found[0][0], found[0][1]) if found else None

    def add_picture(self, job_id: str) -> None:
        """Note that a job's picture is about to be written to ComfyUI's input folder."""
        with self._transaction() as session:
            session.execute("INSERT INTO pictures (job_id) VALUES (?) ON CONFLICT DO NOTHING", (job_id,))

    def drop_picture(self, job_id: str) -> None:
        """Note that a job's picture is gone."""
        with self._transaction() as session:
            session.execute("DELETE FROM pictures WHERE job_id = ?", (job_id,))

    def pictures(self) -> list[str]:
        """Ids whose pictures may be in ComfyUI's input folder; not every one has become a job."""
        return [job_id for (job_id,) in self._read("SELECT job_id FROM pictures")]

    # -- webhooks ----------------------------------------------------------------------------------

    def reschedule_delivery(self, delivery_id: str, due: float) -> None:
        """Count a failed try and set the time of the next."""
        with self._transaction() as session:
            session.execute(
                "UPDATE deliveries SET tries = tries + 1, due = ? WHERE id = ?", (due, delivery_id)
            )

    def drop_delivery(self, delivery_id: str) -> None:
        """Forget a webhook."""
        with self._transaction() as session:
            session.execute("DELETE FROM deliveries WHERE id = ?", (delivery_id,))

    def due_deliveries(self, moment: float, limit: int = 16) -> list[Delivery]:
        """The webhooks that are due."""
        found = self._read(
            "SELECT id, url, body, tries, due FROM deliveries WHERE due <= ? ORDER BY due LIMIT ?",
            (moment, limit),
        )
        return [Delivery(*row) for row in found]

    def take_deliveries(self, moment: float, until: float) -> list[Delivery]:
        """The webhooks that are due, and not for other servers before `until`."""
        with self._transaction() as session:
            return [
                delivery
                for delivery in self.due_deliveries(moment)
                if session.execute(
                    "UPDATE deliveries SET due = ? WHERE id = ? AND due = ?",
                    (until, delivery.id, delivery.due),
                ).rowcount
            ]

    def next_delivery(self) -> float | None:
        """When the next webhook is due."""
        ((due,),) = self._read("SELECT MIN(due) FROM deliveries WHERE due < 1e300")  # SQLite: a text is more
        return due

    def _select(self, condition: str, values: tuple[Any, ...]) -> list[Row]:
        found = self._read(f"SELECT {_ROW} FROM jobs {condition}", values)
        return [
            Row(job_id, user, created, ended, state, _read_object(body), status)
            for job_id, user, created, ended, state, body, status in found
        ]


def _read_object(text: Any) -> Mapping[str, Any]:
    """A JSON object; an empty one in place of anything else, so that damage affects this job only."""
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, Mapping) else {}


def insert_job(session: Session, row: Row, request: tuple[str, str] | None) -> None:
    """Add a new job to a transaction, as JobDatabase.insert."""
    session.execute(
        f"INSERT INTO jobs ({_ROW}) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (row.id, row.user, row.created, row.ended, row.state, json.dumps(row.body), row.status),
    )
    if request:
        key, digest = request
        session.execute(
            'INSERT INTO requests ("user", key, digest, job_id, created) VALUES (?, ?, ?, ?, ?)'
            ' ON CONFLICT ("user", key) DO UPDATE SET digest = excluded.digest,'
            " job_id = excluded.job_id, created = excluded.created",
            (row.user, key, digest, row.id, row.created),
        )


def add_delivery(session: Session, delivery: Delivery) -> None:
    """Add a webhook to a transaction, once."""
    session.execute(
        "INSERT INTO deliveries (id, url, body, tries, due) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (delivery.id, delivery.url, delivery.body, delivery.tries, delivery.due),
    )


def add_event(session: Session, event: Event) -> None:
    """Add an event to a transaction; the last one leaves a job's milestones only."""
    session.execute(
        "INSERT INTO events (job_id, seq, type, timestamp, data) VALUES (?, ?, ?, ?, ?)",
        (event.job_id, event.seq, event.type, event.timestamp, json.dumps(event.data)),
    )
    if event.type in TERMINAL:
        session.execute("DELETE FROM events WHERE job_id = ? AND type = ?", (event.job_id, PROGRESS_UPDATE))
