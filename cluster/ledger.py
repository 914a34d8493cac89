"""What several machines agree on in PostgreSQL: limits, who runs a job, what has to be sent.

jobs.attempt is a fencing token: it grows with every claim, every write of a worker names the one it got, and
one that has been replaced changes no row. Moments are the database's own, in seconds since 1970, so that the
machines' clocks do not matter.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..server_routes.database import Delivery, Row, add_delivery, add_event, insert_job
from ..server_routes.database_engine import Engine, Session
from ..server_routes.errors import ApiError, server_busy
from ..server_routes.events import Event
from ..server_routes.jobs import QUEUED
from ..server_routes.limits import read_quota
from .queues import QUEUE, WorkerQueue, read_queues

_NOW = "EXTRACT(EPOCH FROM clock_timestamp())::float8"

LEASE_SECONDS = 15.0
"""A worker that has not been heard for so long may be replaced without the broker's word."""
LOST_SECONDS = 300.0
"""A worker that has not been heard for so long has left no message either."""
WORKER_SECONDS = 24 * 3600.0
"""For how long the models of a worker that is away are still offered."""
KEY_SECONDS = 24 * 3600.0
MOST_MESSAGES = 50


class FencedError(Exception):
    """Another worker has the job, or it has ended: what was to be written is not."""


@dataclass(frozen=True)
class Limits:
    """Of one user: requests in `window` seconds (0: any), and live jobs; `total`: live jobs of all users."""

    requests: int = field(default_factory=read_quota)
    window: float = 60.0
    jobs: int = 2
    total: int = 1000


class Ledger:
    """The statements of a cluster. They block, and raise DatabaseError."""

    def __init__(self, engine: Engine, limits: Limits | None = None) -> None:
        self._engine = engine
        self.limits = limits or Limits()

    # -- accepting ---------------------------------------------------------------------------------

    def admit(self, user: str, is_replay: bool) -> ApiError | None:
        """Count a request of a user; or the error that refuses it. is_replay: it starts no job."""
        with self._engine.transaction() as session:
            _lock_user(session, user)
            refusal = self._refuse_request(session, user)
            if refusal is None and not is_replay:
                refusal = self._refuse_job(session, user)
            if refusal is None:
                session.execute(f'INSERT INTO admissions ("user", moment) VALUES (?, {_NOW})', (user,))
        return refusal

    def count_requests(self, user: str) -> tuple[int, float]:
        """How many requests the user has left, and the seconds until there is one more."""
        found = self._engine.read(
            f'SELECT COUNT(*), COALESCE(MIN(moment) - {_NOW}, 0) FROM admissions WHERE "user" = ?'
            f" AND moment > {_NOW} - ?",
            (user, self.limits.window),
        )
        count, age = found[0]
        return max(0, self.limits.requests - count), max(0.0, age + self.limits.window) if count else 0.0

    def accept(self, row: Row, request: tuple[str, str] | None, queue: str = QUEUE) -> ApiError | None:
        """Store a new job with the message that starts it, in a queue; or the error that refuses it.

        Under the lock of its user, so that front doors together keep the limits, and start one job of a key.
        """
        with self._engine.transaction() as session:
            _lock_user(session, row.user)
            refusal = self._refuse_job(session, row.user)
            if refusal is None and request:
                refusal = _refuse_key(session, row.user, request[0])
            if refusal is None:
                insert_job(session, row, request)
                session.execute("UPDATE jobs SET queue = ? WHERE id = ?", (queue, row.id))
                session.execute("INSERT INTO messages (job_id) VALUES (?)", (row.id,))
        return refusal

    def _refuse_request(self, session: Session, user: str) -> ApiError | None:
        limits = self.limits
        session.execute(
            f'DELETE FROM admissions WHERE "user" = ? AND moment <= {_NOW} - ?', (user, limits.window)
        )
        ((count, wait),) = session.execute(
            f'SELECT COUNT(*), COALESCE(MIN(moment) - {_NOW}, 0) FROM admissions WHERE "user" = ?', (user,)
        ).fetchall()
        if not limits.requests or count < limits.requests:
            return None
        message = f"Too many requests. The limit is {limits.requests} per {limits.window:g} seconds"
        return server_busy(429, message, "rate_limit", wait + limits.window, limit=limits.requests)

    def _refuse_job(self, session: Session, user: str) -> ApiError | None:
        ((own, total),) = session.execute(
            'SELECT COUNT(*) FILTER (WHERE "user" = ?), COUNT(*) FROM jobs WHERE ended IS NULL', (user,)
        ).fetchall()
        if own >= self.limits.jobs:
            message = f"Too many jobs at once. The limit is {self.limits.jobs} per user"
            return server_busy(429, message, "concurrent_jobs", 5, limit=self.limits.jobs)
        if total >= self.limits.total:
            return server_busy(503, "The server's queue is full", "queue_full", 30, limit=self.limits.total)
        return None

    # -- running -----------------------------------------------------------------------------------

    def claim(self, job_id: str, worker: str, is_redelivered: bool) -> int | None:
        """Take a job; returns the fencing token, or None where the message is to be dropped.

        It is dropped where the job has ended or is gone, or where another worker is heard of that runs it:
        the message came twice. A worker runs one job at a time: one that is said to run this one has not been
        told that it does. is_redelivered: the broker says that its last consumer is gone.
        """
        with self._engine.transaction() as session:
            found = session.execute(
                f"SELECT attempt, COALESCE(heard, 0) > {_NOW} - ? AND worker != ? FROM jobs"
                " WHERE id = ? AND ended IS NULL FOR UPDATE",
                (LEASE_SECONDS, worker, job_id),
            ).fetchall()
            if not found or (found[0][1] and not is_redelivered):
                return None
            attempt: int = found[0][0] + 1
            session.execute(
                f"UPDATE jobs SET attempt = ?, worker = ?, heard = {_NOW} WHERE id = ?",
                (attempt, worker, job_id),
            )
        return attempt

    def find_attempt(self, job_id: str) -> int:
        """The fencing token that a job has now; 0 where no worker has had it."""
        found = self._engine.read("SELECT attempt FROM jobs WHERE id = ?", (job_id,))
        return int(found[0][0]) if found else 0

    def beat(self, job_id: str, attempt: int) -> bool:
        """Say that a job's worker lives; returns whether its client wants it to stop. Raises FencedError."""
        with self._engine.transaction() as session:
            found = session.execute(
                f"UPDATE jobs SET heard = {_NOW} WHERE id = ? AND attempt = ? AND ended IS NULL"
                " RETURNING is_unwanted",
                (job_id, attempt),
            ).fetchall()
        if not found:
            raise FencedError(job_id)
        return bool(found[0][0])

    def record(
        self, row: Row, attempt: int, event: Event | None = None, delivery: Delivery | None = None
    ) -> None:
        """Store a job's new state with its event, whose number is the next, and the webhook of its end.

        Raises FencedError where another attempt has begun or the job has ended; nothing is stored then.
        """
        with self._engine.transaction() as session:
            done = session.execute(
                "UPDATE jobs SET ended = ?, state = ?, body = ?, status = ?"
                " WHERE id = ? AND attempt = ? AND ended IS NULL",
                (row.ended, row.state, json.dumps(row.body), row.status, row.id, attempt),
            )
            if not done.rowcount:
                raise FencedError(row.id)
            if event:
                add_event(session, replace(event, seq=_next_seq(session, row.id)))
            if delivery:
                add_delivery(session, delivery)

    def request_stop(self, job_id: str) -> int:
        """Note that a job's client wants it to stop; returns its attempt, 0 where it has not begun."""
        with self._engine.transaction() as session:
            found = session.execute(
                "UPDATE jobs SET is_unwanted = TRUE WHERE id = ? AND ended IS NULL RETURNING attempt",
                (job_id,),
            ).fetchall()
        return int(found[0][0]) if found else 0

    # -- messages ----------------------------------------------------------------------------------

    def send_messages(self, send: Callable[[str, str], None]) -> int:
        """Hand the jobs of waiting messages and their queues to `send`, and forget them; returns how many.

        Two front doors never send the same one at the same time. Where one dies after sending and before the
        commit, the message is sent again: `claim` drops the second.
        """
        with self._engine.transaction() as session:
            found = session.execute(
                "SELECT messages.id, job_id, COALESCE(queue, ?)"
                " FROM messages LEFT JOIN jobs ON jobs.id = job_id"
                f" ORDER BY messages.id LIMIT {MOST_MESSAGES} FOR UPDATE OF messages SKIP LOCKED",
                (QUEUE,),
            ).fetchall()
            for number, job_id, queue in found:
                send(job_id, queue)
                session.execute("DELETE FROM messages WHERE id = ?", (number,))
        return len(found)

    def resend_lost(self) -> int:
        """Send a message again, once, for jobs whose worker was not heard for long; returns for how many.

        The broker redelivers by itself: this is for one that has lost its own messages.
        """
        with self._engine.transaction() as session:
            lost = session.execute(
                f"UPDATE jobs SET heard = NULL WHERE ended IS NULL AND heard < {_NOW} - ? RETURNING id",
                (LOST_SECONDS,),
            ).fetchall()
            for (job_id,) in lost:
                session.execute("INSERT INTO messages (job_id) VALUES (?)", (job_id,))
        return len(lost)

    # -- workers -----------------------------------------------------------------------------------

    def register(
        self, worker: str, models: Mapping[str, Any], queue: str = QUEUE, memory: float | None = None
    ) -> None:
        """Say that a worker is there, what its GET /models answers, and which queue it takes from.

        memory: GB that its models may take; None where it is not known.
        """
        with self._engine.transaction() as session:
            session.execute(
                f"INSERT INTO workers (name, heard, models, queue, memory) VALUES (?, {_NOW}, ?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET heard = excluded.heard, models = excluded.models,"
                " queue = excluded.queue, memory = excluded.memory",
                (worker, json.dumps(models), queue, memory),
            )

    def list_queues(self) -> list[WorkerQueue]:
        """The queues of the workers of the last day."""
        waiting = self._engine.read(
            "SELECT queue, COUNT(*) FROM jobs WHERE ended IS NULL AND attempt = 0 GROUP BY queue"
        )
        workers = self._engine.read(
            f"SELECT queue, models, memory, heard > {_NOW} - ? FROM workers"
            f" WHERE heard > {_NOW} - ? ORDER BY name",
            (LEASE_SECONDS, WORKER_SECONDS),
        )
        return read_queues(workers, dict(waiting))

    def find_place(self, job_id: str) -> tuple[int, int] | None:
        """The place of a job in its queue, 1 is next, and the queue's workers; None once it has begun."""
        ((place, workers),) = self._engine.read(
            "SELECT COUNT(*), (SELECT COUNT(*) FROM workers"
            f" WHERE workers.queue = MIN(own.queue) AND workers.heard > {_NOW} - ?)"
            " FROM jobs AS own JOIN jobs AS other ON other.queue = own.queue AND other.rowid <= own.rowid"
            " WHERE own.id = ? AND own.ended IS NULL AND own.attempt = 0"
            " AND other.ended IS NULL AND other.attempt = 0",
            (LEASE_SECONDS, job_id),
        )
        return (int(place), int(workers)) if place else None

    def count_rounds(self, queue: str) -> int:
        """How many jobs each worker of a queue has to end, as it is now, before it begins one that is new."""
        ((jobs, workers),) = self._engine.read(
            "SELECT (SELECT COUNT(*) FROM jobs WHERE queue = ? AND ended IS NULL),"
            f" (SELECT COUNT(*) FROM workers WHERE queue = ? AND heard > {_NOW} - ?)",
            (queue, queue, LEASE_SECONDS),
        )
        return int(jobs) // max(1, int(workers))

    def find_queue(self, job_id: str) -> str:
        """The queue that a job was sent to."""
        found = self._engine.read("SELECT queue FROM jobs WHERE id = ?", (job_id,))
        return str(found[0][0]) if found else QUEUE

    def count_workers(self) -> int:
        """How many workers are heard of."""
        ((count,),) = self._engine.read(
            f"SELECT COUNT(*) FROM workers WHERE heard > {_NOW} - ?", (LEASE_SECONDS,)
        )
        return int(count)

    def count_jobs(self) -> dict[str, int]:
        """How many jobs wait and run, by state."""
        return dict(self._engine.read("SELECT state, COUNT(*) FROM jobs WHERE ended IS NULL GROUP BY state"))

    def measure_backlog(self) -> tuple[int, float]:
        """How many messages the broker has not got yet, and for how long the first waiting job has waited."""
        ((messages, oldest),) = self._engine.read(
            "SELECT (SELECT COUNT(*) FROM messages),"
            " (SELECT COALESCE(MIN(created), 0) FROM jobs WHERE state = ?)",
            (QUEUED,),
        )
        return int(messages), max(0.0, time.time() - oldest) if oldest else 0.0


def _lock_user(session: Session, user: str) -> None:
    number = int.from_bytes(hashlib.sha256(user.encode()).digest()[:8], "big", signed=True)
    session.execute("SELECT pg_advisory_xact_lock(?)", (number,))


def _refuse_key(session: Session, user: str, key: str) -> ApiError | None:
    """The error where another front door has accepted this key while this one read the form."""
    found = session.execute(
        f'SELECT 1 FROM requests WHERE "user" = ? AND key = ? AND created >= {_NOW} - ?',
        (user, key, KEY_SECONDS),
    ).fetchall()
    if not found:
        return None
    message, details = "A request with this Idempotency-Key is in progress", {"parameter": "Idempotency-Key"}
    return ApiError(409, "INVALID_PARAMETERS", message, details, retry_after=1, closes=True)


def _next_seq(session: Session, job_id: str) -> int:
    ((seq,),) = session.execute(
        "SELECT COALESCE(MAX(seq), 0) + 1 FROM events WHERE job_id = ?", (job_id,)
    ).fetchall()
    return int(seq)
