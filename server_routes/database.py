"""Jobs on disk, in ComfyUI's user folder: what was accepted outlives the server.

One row a job, one row an event. Every change is committed before anybody hears of it, so a server that is
killed has told nobody of anything that it forgets.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from .events import PROGRESS_UPDATE, TERMINAL, Event

GONE = "gone"
"""The state of a job of which only the id is left; the other states are those of jobs.py."""

_MOST_SERVERS = 100
_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, user TEXT NOT NULL, created REAL NOT NULL, ended REAL,
    state TEXT NOT NULL, body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, created);
CREATE INDEX IF NOT EXISTS jobs_by_end ON jobs (ended);
CREATE INDEX IF NOT EXISTS jobs_by_user ON jobs (user);
CREATE TABLE IF NOT EXISTS events (
    job_id TEXT NOT NULL, seq INTEGER NOT NULL, type TEXT NOT NULL, timestamp INTEGER NOT NULL,
    data TEXT NOT NULL, PRIMARY KEY (job_id, seq)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS requests (
    user TEXT NOT NULL, key TEXT NOT NULL, digest TEXT NOT NULL, job_id TEXT NOT NULL,
    created REAL NOT NULL, PRIMARY KEY (user, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pictures (job_id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deliveries (
    id TEXT PRIMARY KEY, url TEXT NOT NULL, body TEXT NOT NULL, tries INTEGER NOT NULL, due REAL NOT NULL
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Row:
    """A job's row. created and ended: seconds since 1970. state: GONE, or the job's. body: the record."""

    id: str
    user: str
    created: float
    ended: float | None
    state: str
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Delivery:
    """A webhook that waits. due: seconds since 1970."""

    id: str
    url: str
    body: str
    tries: int
    due: float


class JobDatabase:
    """The file of jobs; its methods may be called from any thread, and take well under a millisecond.

    WAL mode: a commit outlives the process at once, and a power cut from the next checkpoint on; `insert`
    waits for the disk.
    """

    def __init__(self, folder: Path) -> None:
        """Opens the first of the folder's job files that no other running server has."""
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self.path, self._claim = _claim_file(folder)
        self._connection = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA busy_timeout=5000")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file; another server may have it then."""
        self._connection.close()
        self._claim.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk has ended it already
                    self._connection.execute("ROLLBACK")
                raise

    def _wait_for_disk(self) -> None:
        """What synchronous=FULL does after a commit, but with no lock held: the event loop need not wait."""
        with open(f"{self.path}-wal", "r+b") as log:
            os.fsync(log.fileno())

    def insert(self, row: Row, request: tuple[str, str] | None = None) -> None:
        """Keep a new job, on disk when this returns; request: its idempotency key and body's digest."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?)",
                (row.id, row.user, row.created, row.ended, row.state, json.dumps(row.body)),
            )
            if request:
                key, digest = request
                connection.execute(
                    "INSERT OR REPLACE INTO requests VALUES (?, ?, ?, ?, ?)",
                    (row.user, key, digest, row.id, row.created),
                )
        self._wait_for_disk()

    def update(self, row: Row, event: Event | None = None, delivery: Delivery | None = None) -> None:
        """Keep a job's new state, the event that tells of it, and the webhook that waits from then on."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE jobs SET ended = ?, state = ?, body = ? WHERE id = ?",
                (row.ended, row.state, json.dumps(row.body), row.id),
            )
            if event:
                _add_event(connection, event)
            if delivery:
                connection.execute(
                    "INSERT OR IGNORE INTO deliveries VALUES (?, ?, ?, ?, ?)", astuple(delivery)
                )

    def bury(self, job_id: str, left: Mapping[str, Any] | None = None) -> None:
        """Forget a job but for its id and when it went; left: what of it has yet to be removed."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM events WHERE job_id = ?", (job_id,))
            connection.execute("DELETE FROM requests WHERE job_id = ?", (job_id,))
            connection.execute(
                "UPDATE jobs SET state = ?, ended = ?, body = ? WHERE id = ?",
                (GONE, time.time(), json.dumps(left or {}), job_id),
            )

    def empty_grave(self, job_id: str) -> None:
        """Note that nothing is left of a job that is gone."""
        with self._transaction() as connection:
            connection.execute("UPDATE jobs SET body = '{}' WHERE id = ? AND state = ?", (job_id, GONE))

    def graves(self) -> list[Row]:
        """The jobs that are gone and of which something is left."""
        return self._select("WHERE state = ? AND body != '{}'", (GONE,))

    def find(self, job_id: str) -> Row | None:
        """The job with exactly this id."""
        rows = self._select("WHERE id = ?", (job_id,))
        return rows[0] if rows else None

    def events(self, job_id: str) -> list[Event]:
        """A job's stored events in order."""
        with self._lock:
            found = self._connection.execute(
                "SELECT type, job_id, seq, timestamp, data FROM events WHERE job_id = ? ORDER BY seq",
                (job_id,),
            ).fetchall()
        return [Event(kind, of, seq, moment, json.loads(data)) for kind, of, seq, moment, data in found]

    def live_jobs(self) -> list[Row]:
        """The jobs that have not ended, oldest first."""
        return self._select("WHERE ended IS NULL ORDER BY created", ())

    def ended_before(self, moment: float) -> list[str]:
        """Ids of the jobs that ended before a moment."""
        with self._lock:
            found = self._connection.execute(
                "SELECT id FROM jobs WHERE ended < ? AND state != ?", (moment, GONE)
            ).fetchall()
        return [job_id for (job_id,) in found]

    def jobs_of(self, user: str, states: Collection[str], before: str | None, limit: int) -> list[Row]:
        """A user's jobs in some states, newest first, of those before a job only where its id is given.

        In the order in which they were kept: clocks jump.
        """
        marks = ", ".join("?" * len(states))
        return self._select(
            f"WHERE user = ? AND state IN ({marks})"
            " AND (? IS NULL OR rowid < (SELECT rowid FROM jobs WHERE id = ?)) ORDER BY rowid DESC LIMIT ?",
            (user, *states, before, before, limit),
        )

    def newest(self, state: str, limit: int) -> list[Row]:
        """The newest jobs in a state."""
        return self._select("WHERE state = ? ORDER BY created DESC LIMIT ?", (state, limit))

    def find_request(self, user: str, key: str, since: float) -> tuple[str, str] | None:
        """(digest, job id) of a user's request with this idempotency key, if it is no older than `since`."""
        with self._lock:
            return self._connection.execute(
                "SELECT digest, job_id FROM requests WHERE user = ? AND key = ? AND created >= ?",
                (user, key, since),
            ).fetchone()

    def put_off_delivery(self, delivery_id: str, due: float) -> None:
        """Count a try that failed, and say when the next one is."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE deliveries SET tries = tries + 1, due = ? WHERE id = ?", (due, delivery_id)
            )

    def drop_delivery(self, delivery_id: str) -> None:
        """Forget a webhook."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM deliveries WHERE id = ?", (delivery_id,))

    def due_deliveries(self, moment: float) -> list[Delivery]:
        """The webhooks that are due."""
        with self._lock:
            found = self._connection.execute(
                "SELECT id, url, body, tries, due FROM deliveries WHERE due <= ? ORDER BY due LIMIT 16",
                (moment,),
            ).fetchall()
        return [Delivery(*row) for row in found]

    def next_delivery(self) -> float | None:
        """When the next webhook is due."""
        with self._lock:
            (due,) = self._connection.execute("SELECT MIN(due) FROM deliveries").fetchone()
        return due

    def add_picture(self, job_id: str) -> None:
        """Note that a job's picture is about to lie in ComfyUI's input folder."""
        with self._transaction() as connection:
            connection.execute("INSERT INTO pictures VALUES (?)", (job_id,))

    def drop_picture(self, job_id: str) -> None:
        """Note that a job's picture is gone."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM pictures WHERE job_id = ?", (job_id,))

    def pictures(self) -> list[str]:
        """Ids whose pictures may lie in ComfyUI's input folder; not each has become a job."""
        with self._lock:
            found = self._connection.execute("SELECT job_id FROM pictures").fetchall()
        return [job_id for (job_id,) in found]

    def forget_graves(self, moment: float) -> None:
        """Drop what is left of jobs that went before a moment, and keys that old."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM jobs WHERE state = ? AND ended < ?", (GONE, moment))
            connection.execute("DELETE FROM requests WHERE created < ?", (moment,))

    def _select(self, condition: str, values: tuple[Any, ...]) -> list[Row]:
        with self._lock:
            found = self._connection.execute(
                f"SELECT id, user, created, ended, state, body FROM jobs {condition}", values
            ).fetchall()
        return [
            Row(job_id, user, created, ended, state, _read_body(body))
            for job_id, user, created, ended, state, body in found
        ]


def _read_body(text: str) -> Mapping[str, Any]:
    """A record; a damaged one is empty, so that it costs its own job only."""
    try:
        body = json.loads(text)
    except ValueError:
        return {}
    return body if isinstance(body, Mapping) else {}


def _add_event(connection: sqlite3.Connection, event: Event) -> None:
    connection.execute(
        "INSERT INTO events VALUES (?, ?, ?, ?, ?)",
        (event.job_id, event.seq, event.type, event.timestamp, json.dumps(event.data)),
    )
    if event.type in TERMINAL:
        connection.execute(
            "DELETE FROM events WHERE job_id = ? AND type = ?", (event.job_id, PROGRESS_UPDATE)
        )


def _claim_file(folder: Path) -> tuple[Path, sqlite3.Connection]:
    """The file, and what holds it for this process: two servers on one folder must not share jobs."""
    for number in range(1, _MOST_SERVERS):
        name = "jobs" if number == 1 else f"jobs-{number}"
        claim = sqlite3.connect(folder / f"{name}.lock", check_same_thread=False, timeout=0)
        try:
            claim.execute("BEGIN EXCLUSIVE")
            return folder / f"{name}.sqlite3", claim
        except sqlite3.OperationalError:
            claim.close()
    raise OSError(f"{folder}: expected fewer than {_MOST_SERVERS} servers on one folder")
