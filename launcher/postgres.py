"""A PostgreSQL from the system's packages: files in one folder, on loopback, with a password of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from .process import Process, find_account, make_own_folder
from .server import HOST
from .terminal import QuickstartError

DEBIAN = Path("/usr/lib/postgresql")
USER = "character3d"
START_SECONDS = 60.0


def find_postgres() -> Path | None:
    """The folder of PostgreSQL's programs, of the newest version; None where it is not installed."""
    if found := shutil.which("postgres"):
        return Path(os.path.realpath(found)).parent
    versions = DEBIAN.glob("*/bin/postgres")
    newest = max(versions, key=lambda path: float(path.parts[-3]), default=None)
    return newest.parent if newest else None


class PostgresServer:
    """A server that can be stopped and started again, with one database. Its files stay in its folder.

    settings: of postgresql.conf. Raises QuickstartError where it does not come up.
    """

    def __init__(
        self, programs: Path, folder: Path, port: int, settings: Mapping[str, str] | None = None
    ) -> None:
        self._programs, self._folder, self._port = programs, folder, port
        self._settings = dict(settings or {})
        self._process: Process | None = None
        make_own_folder(folder)
        if not (folder / "data" / "PG_VERSION").exists():
            self._initialize()
        password = (folder / "password").read_text()
        self.url = f"postgresql://{USER}:{password}@{HOST}:{port}/postgres"

    def _initialize(self) -> None:
        """Make the files of a new server, whose only user is known by a password."""
        password = self._folder / "password"
        password.write_text(secrets.token_urlsafe(24))
        password.chmod(0o600)
        if account := find_account():
            os.chown(password, account["user"], account["group"])
        access = ("-A", "scram-sha-256", "-U", USER, f"--pwfile={password}")
        self._run("initdb", "-D", self._folder / "data", *access, "-E", "UTF8", "--locale=C")

    def start(self) -> None:
        """Start the server; returns when it takes connections."""
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        options += ["-h", HOST, "-p", str(self._port), "-c", "unix_socket_directories="]
        command: list[str | Path] = [self._programs / "postgres", "-D", self._folder / "data", *options]
        log = self._folder / "log"
        self._process = Process("PostgreSQL", command, log, cwd=self._folder, **find_account())
        ready = [str(self._programs / "pg_isready"), "-q", "-h", HOST, "-p", str(self._port)]
        self._process.wait_until(lambda: subprocess.run(ready).returncode == 0, START_SECONDS)

    def check(self) -> None:
        """Raise QuickstartError where the server has ended."""
        if self._process:
            self._process.check()

    def stop(self) -> None:
        """Stop the server; what is connected is cut off."""
        if self._process:
            self._process.stop(signal.SIGINT)

    def kill(self) -> None:
        """Stop it at once, as after a crash."""
        if self._process:
            self._process.stop(signal.SIGQUIT)

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = [str(self._programs / program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self._folder, **find_account())
        if done.returncode:
            raise QuickstartError(f"{program} of PostgreSQL failed:\n{done.stderr.strip()}")
