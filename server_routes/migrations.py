"""The schema of the jobs database, as the steps that lead from one version to the next."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable

from .redact import strip_query

_FIRST_TABLES = (
    """CREATE TABLE IF NOT EXISTS jobs (
        id TEXT PRIMARY KEY, user TEXT NOT NULL, created REAL NOT NULL, ended REAL,
        state TEXT NOT NULL, body TEXT NOT NULL
    )""",
    "CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, created)",
    "CREATE INDEX IF NOT EXISTS jobs_by_end ON jobs (ended)",
    "CREATE INDEX IF NOT EXISTS jobs_by_user ON jobs (user)",
    """CREATE TABLE IF NOT EXISTS events (
        job_id TEXT NOT NULL, seq INTEGER NOT NULL, type TEXT NOT NULL, timestamp INTEGER NOT NULL,
        data TEXT NOT NULL, PRIMARY KEY (job_id, seq)
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS requests (
        user TEXT NOT NULL, key TEXT NOT NULL, digest TEXT NOT NULL, job_id TEXT NOT NULL,
        created REAL NOT NULL, PRIMARY KEY (user, key)
    ) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS pictures (job_id TEXT PRIMARY KEY) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS deliveries (
        id TEXT PRIMARY KEY, url TEXT NOT NULL, body TEXT NOT NULL, tries INTEGER NOT NULL, due REAL NOT NULL
    ) WITHOUT ROWID""",
)


class NewerSchemaError(Exception):
    """The file was written by a later release."""


def _create_tables(connection: sqlite3.Connection) -> None:
    """Version 1. Files of the releases before schema versions have these tables and version 0."""
    for statement in _FIRST_TABLES:
        connection.execute(statement)


def _add_status(connection: sqlite3.Connection) -> None:
    """Version 2: an ended job's status body is stored; its last event has it already."""
    connection.execute("ALTER TABLE jobs ADD COLUMN status TEXT")
    _strip_webhook_queries(connection)
    connection.execute(
        "UPDATE jobs SET status = (SELECT data FROM events WHERE job_id = jobs.id"
        " AND type IN ('job_completed', 'error') ORDER BY seq DESC LIMIT 1) WHERE ended IS NOT NULL"
    )


def _strip_webhook_queries(connection: sqlite3.Connection) -> None:
    """Remove the query, which often is a secret, from the webhook URLs that events show."""
    found = connection.execute(
        'SELECT job_id, seq, data FROM events WHERE data LIKE \'%"webhook_url": "http%?%\''
    ).fetchall()
    for job_id, seq, text in found:
        try:
            data = json.loads(text)
            data["parameters"]["webhook_url"] = strip_query(data["parameters"]["webhook_url"])
        except (ValueError, KeyError, TypeError, AttributeError):  # a damaged event stays as it is
            continue
        connection.execute(
            "UPDATE events SET data = ? WHERE job_id = ? AND seq = ?", (json.dumps(data), job_id, seq)
        )


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_create_tables, _add_status)
"""MIGRATIONS[n] leads from version n (PRAGMA user_version) to n + 1."""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a database, new or old, to the newest version; raises NewerSchemaError."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise NewerSchemaError(f"it has schema version {version}, this release knows {len(MIGRATIONS)}")
    for number, step in enumerate(MIGRATIONS[version:], version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            step(connection)
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
