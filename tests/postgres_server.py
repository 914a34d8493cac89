"""A PostgreSQL of the tests' own: files in a temporary folder, on loopback, run by a user without rights."""

import contextlib
import itertools
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from character3d.launcher.server import find_free_port

FAST = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "16MB", "max_connections": "60"}
NOBODY = 65534
"""PostgreSQL refuses to run as root."""

_numbers = itertools.count()


def find_programs():
    """The folder of PostgreSQL's programs, or None where it is not installed."""
    found = shutil.which("postgres") or max(Path("/usr/lib/postgresql").glob("*/bin/postgres"), default=None)
    return Path(os.path.realpath(found)).parent if found else None


class PostgresServer:
    """A server that can be stopped and started again, with one database."""

    def __init__(self, programs, folder, port):
        self._programs, self._folder, self._port = programs, folder, port
        self._user = {"user": NOBODY, "group": NOBODY} if os.geteuid() == 0 else {}
        self.url = f"postgresql://test@127.0.0.1:{port}/postgres"
        self._process = None

    def initialize(self):
        options = ("-A", "trust", "-U", "test", "-E", "UTF8", "--locale=C", "--no-sync")
        self._run("initdb", "-D", self._folder / "data", *options)

    def start(self):
        options = [part for name, value in FAST.items() for part in ("-c", f"{name}={value}")]
        options += ["-h", "127.0.0.1", "-p", str(self._port), "-k", str(self._folder)]
        command = [self._programs / "postgres", "-D", self._folder / "data", *options]
        log = (self._folder / "log").open("ab")
        self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder, **self._user)
        ready = [self._programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        while subprocess.run(ready).returncode:
            assert self._process.poll() is None, (self._folder / "log").read_text()
            time.sleep(0.05)

    def stop(self):
        """At once, as after a crash."""
        self._process.send_signal(3)  # SIGQUIT: without a checkpoint
        self._process.wait()

    def new_schema(self):
        """The URL of an empty schema of its own in the one database."""
        name = f"s{next(_numbers)}_{os.getpid()}"
        self._run("psql", "-q", "-c", f"CREATE SCHEMA {name}", self.url)
        return f"{self.url}?options=-csearch_path%3D{name}"

    def _run(self, program, *arguments):
        command = [self._programs / program, *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=self._folder, **self._user)


@contextlib.contextmanager
def run_postgres():
    """A running server; None where PostgreSQL is not installed."""
    programs = find_programs()
    if programs is None:
        yield None
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        os.chmod(name, 0o777)
        server = PostgresServer(programs, Path(name), find_free_port())
        server.initialize()
        server.start()
        try:
            yield server
        finally:
            server.stop()
