"""A PostgreSQL of the tests' own, in a temporary folder (launcher/postgres.py)."""

import contextlib
import itertools
import os
import tempfile
from pathlib import Path

import psycopg
from character3d.launcher.postgres import PostgresServer, find_postgres
from character3d.launcher.server import find_free_port

FAST = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "16MB", "max_connections": "60"}

_numbers = itertools.count()


class TestedPostgres(PostgresServer):
    """A server with a schema for each test."""

    def new_schema(self):
        """The URL of an empty schema of its own in the one database."""
        name = f"s{next(_numbers)}_{os.getpid()}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        return f"{self.url}?options=-csearch_path%3D{name}"


@contextlib.contextmanager
def run_postgres():
    """A running server; None where PostgreSQL is not installed."""
    programs = find_postgres()
    if programs is None:
        yield None
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        os.chmod(name, 0o755)
        server = TestedPostgres(programs, Path(name, "postgres"), find_free_port(), FAST)
        server.start()
        try:
            yield server
        finally:
            server.kill()
