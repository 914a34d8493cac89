"""Opening the file of jobs, whatever state it and its disk are in."""

from __future__ import annotations

import itertools
import logging
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from .migrations import NewerSchemaError, migrate

log = logging.getLogger("character3d")

_MOST_SERVERS = 100
_BUSY_SECONDS = 5.0
_memory_names = (f"file:character3d-{number}?mode=memory&cache=shared" for number in itertools.count())


@dataclass(frozen=True)
class OpenFile:
    """An open file of jobs.

    path: None where the jobs are kept in memory, since the file cannot be used; problem: why.
    notice: what happened to the file that was there before.
    """

    path: Path | None
    writer: sqlite3.Connection
    reader: sqlite3.Connection
    claim: sqlite3.Connection | None
    problem: str = ""
    notice: str = ""

    def close(self) -> None:
        """Close the file; another server may claim it then."""
        for connection in (self.reader, self.writer, self.claim):
            if connection:
                connection.close()


def open_file(folder: Path) -> OpenFile:
    """Open the first of the folder's job files that no other running server has.

    A damaged file is renamed and a new one begun. Where no file can be used (the disk is full or read-only,
    another program has locked it, a later release wrote it) an empty database in memory takes its place, so
    that requests are answered, with `problem` set. Never raises OSError or sqlite3.Error.
    """
    claim, notice = None, ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path, claim = _claim_file(folder)
        try:
            writer, reader = _connect(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # of the disk or of a lock, not of the file
                raise
            notice = _set_aside(path, error)
            writer, reader = _connect(path)
    except (OSError, sqlite3.Error, NewerSchemaError) as error:
        if claim:
            claim.close()
        log.error("the jobs database in %s cannot be used: %s", folder, error)
        reason = error.strerror if isinstance(error, OSError) else error  # clients see no path
        return OpenFile(None, *_connect_memory(), None, problem=f"The jobs database cannot be used: {reason}")
    return OpenFile(path, writer, reader, claim, notice=notice)


def _claim_file(folder: Path) -> tuple[Path, sqlite3.Connection]:
    """The file, and the lock that keeps it for this process: two servers must not share jobs."""
    for number in range(1, _MOST_SERVERS):
        name = "jobs" if number == 1 else f"jobs-{number}"
        claim = sqlite3.connect(folder / f"{name}.lock", check_same_thread=False, timeout=0)
        try:
            claim.execute("BEGIN EXCLUSIVE")
            return folder / f"{name}.sqlite3", claim
        except sqlite3.OperationalError as error:
            claim.close()
            if "locked" not in str(error):
                raise
    raise OSError(f"expected fewer than {_MOST_SERVERS} servers on one folder")


def _connect(path: Path) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """A connection that writes and one that reads, to a checked file of the newest schema."""
    if path.exists():
        path.open("r+b").close()  # else SQLite would leave a read-only journal beside a read-only file
    writer = _open_connection(str(path))
    try:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("PRAGMA synchronous=NORMAL")
        _check_pages(writer)
        migrate(writer)
        _check_writing(writer)
        return writer, _open_reader(str(path))
    except BaseException:
        writer.close()
        raise


def _check_pages(connection: sqlite3.Connection) -> None:
    """Raise DatabaseError where pages are damaged."""
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(found)


def _check_writing(connection: sqlite3.Connection) -> None:
    """Raise OperationalError where nothing can be written, as on a full disk."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version = {version}")


def _connect_memory() -> tuple[sqlite3.Connection, sqlite3.Connection]:
    name = next(_memory_names)
    writer = _open_connection(name)
    migrate(writer)
    reader = _open_reader(name)
    reader.execute("PRAGMA read_uncommitted=ON")  # a shared cache locks whole tables
    return writer, reader


def _open_connection(name: str) -> sqlite3.Connection:
    return sqlite3.connect(
        name,
        check_same_thread=False,
        isolation_level=None,
        timeout=_BUSY_SECONDS,
        uri=name.startswith("file:"),
    )


def _open_reader(name: str) -> sqlite3.Connection:
    reader = _open_connection(name)
    reader.execute("PRAGMA query_only=ON")
    return reader


def _set_aside(path: Path, error: Exception) -> str:
    """Rename a damaged file and its journal; returns a sentence that says so."""
    broken = path.with_name(f"{path.name}.broken-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(broken.with_name(broken.name + suffix))
    log.error("%s could not be read (%s); it is kept as %s, and a new one begun", path, error, broken.name)
    return f"{path.name} was damaged and is kept as {broken.name}; the jobs in it are unknown"
