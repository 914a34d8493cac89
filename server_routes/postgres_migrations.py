"""The schema of the jobs in PostgreSQL, as the steps that lead from one version to the next.

As in migrations.py, with two differences: rows are numbered by a column `rowid`, which SQLite has by itself,
and triggers tell everybody who listens of a job's news.
"""

from __future__ import annotations

from typing import Any

import psycopg

from .migrations import NewerSchemaError

NEWS = "character3d_news"
"""The channel whose notifications are ids of jobs that have a new event or state."""

_LOCK = 0x63336431
"""Of pg_advisory_lock: servers that start at the same time migrate one after the other."""

_FIRST_TABLES: tuple[str, ...] = (
    """CREATE TABLE jobs (
        rowid BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE,
        id TEXT PRIMARY KEY, "user" TEXT NOT NULL, created DOUBLE PRECISION NOT NULL, ended DOUBLE PRECISION,
        state TEXT NOT NULL, body TEXT NOT NULL, status TEXT
    )""",
    "CREATE INDEX jobs_by_state ON jobs (state, created)",
    "CREATE INDEX jobs_by_end ON jobs (ended)",
    'CREATE INDEX jobs_by_user ON jobs ("user", rowid)',
    """CREATE TABLE events (
        job_id TEXT NOT NULL, seq INTEGER NOT NULL, type TEXT NOT NULL, timestamp BIGINT NOT NULL,
        data TEXT NOT NULL, PRIMARY KEY (job_id, seq)
    )""",
    """CREATE TABLE requests (
        "user" TEXT NOT NULL, key TEXT NOT NULL, digest TEXT NOT NULL, job_id TEXT NOT NULL,
        created DOUBLE PRECISION NOT NULL, PRIMARY KEY ("user", key)
    )""",
    "CREATE INDEX requests_by_job ON requests (job_id)",
    "CREATE TABLE pictures (job_id TEXT PRIMARY KEY)",
    """CREATE TABLE deliveries (
        id TEXT PRIMARY KEY, url TEXT NOT NULL, body TEXT NOT NULL, tries INTEGER NOT NULL,
        due DOUBLE PRECISION NOT NULL
    )""",
    "CREATE INDEX deliveries_by_due ON deliveries (due)",
    f"""CREATE FUNCTION character3d_tell() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_notify(''{NEWS}'', NEW.id); RETURN NULL; END'""",
    """CREATE TRIGGER jobs_tell AFTER UPDATE OF state, status ON jobs
        FOR EACH ROW EXECUTE FUNCTION character3d_tell()""",
)

_CLUSTER: tuple[str, ...] = (
    """ALTER TABLE jobs ADD attempt INTEGER NOT NULL DEFAULT 0, ADD worker TEXT,
        ADD heard DOUBLE PRECISION, ADD is_unwanted BOOLEAN NOT NULL DEFAULT FALSE""",
    """CREATE TABLE messages (
        id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, job_id TEXT NOT NULL
    )""",
    'CREATE TABLE admissions ("user" TEXT NOT NULL, moment DOUBLE PRECISION NOT NULL)',
    'CREATE INDEX admissions_by_user ON admissions ("user", moment)',
    "CREATE TABLE workers (name TEXT PRIMARY KEY, heard DOUBLE PRECISION NOT NULL, models TEXT NOT NULL)",
)
"""Version 2. jobs.attempt is the fencing token of the worker that runs the job; heard: when it last wrote."""

_QUEUES: tuple[str, ...] = (
    "ALTER TABLE jobs ADD queue TEXT NOT NULL DEFAULT 'character3d'",
    "ALTER TABLE workers ADD queue TEXT NOT NULL DEFAULT 'character3d'",
)
"""Version 3. The broker's queue that a job goes to, and that a worker takes from."""

_MEMORY: tuple[str, ...] = ("ALTER TABLE workers ADD memory DOUBLE PRECISION",)
"""Version 4. GB that a worker's models may take."""

MIGRATIONS = (_FIRST_TABLES, _CLUSTER, _QUEUES, _MEMORY)
"""MIGRATIONS[n] leads from version n, the row of the table `character3d_schema`, to n + 1."""


def migrate(connection: psycopg.Connection[Any]) -> None:
    """Bring a database, new or old, to the newest version; raises NewerSchemaError."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        connection.execute("CREATE TABLE IF NOT EXISTS character3d_schema (version INTEGER NOT NULL)")
        found = connection.execute("SELECT version FROM character3d_schema").fetchone()
        version = found[0] if found else 0
        if version > len(MIGRATIONS):
            raise NewerSchemaError(f"it has schema version {version}, this release knows {len(MIGRATIONS)}")
        for statement in (statement for step in MIGRATIONS[version:] for statement in step):
            connection.execute(statement.encode())
        connection.execute("DELETE FROM character3d_schema")
        connection.execute("INSERT INTO character3d_schema VALUES (%s)", (len(MIGRATIONS),))
