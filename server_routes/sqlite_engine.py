"""Jobs in a file, in ComfyUI's user folder: nothing to install, nothing to run."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .database_engine import DatabaseError, Session
from .database_file import open_file


class SqliteEngine:
    """The first of the folder's job files that no other running server has (database_file.py).

    WAL mode: a commit survives the end of the process at once, and a power cut from the next checkpoint on;
    `sync` waits for the disk. Reading has a connection of its own and does not wait for a write.
    path: None where the jobs are in memory only.
    """

    def __init__(self, folder: Path) -> None:
        self.file = open_file(folder)
        self.path = self.file.path
        self.problem, self.notice = self.file.problem, self.file.notice
        self._writing, self._reading = threading.Lock(), threading.Lock()

    def close(self) -> None:
        """Close the file; another server may have it then."""
        with self._writing, self._reading:
            self.file.close()

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """As Engine.transaction."""
        try:
            with self._writing, self._begin() as connection:
                yield connection
        except sqlite3.Error as error:
            raise DatabaseError(str(error)) from error

    @contextmanager
    def _begin(self) -> Iterator[sqlite3.Connection]:
        connection = self.file.writer
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # a full disk has ended it already
                connection.execute("ROLLBACK")
            raise

    def read(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """As Engine.read."""
        try:
            with self._reading:
                return self.file.reader.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise DatabaseError(str(error)) from error

    def sync(self) -> None:
        """Wait until all commits are on disk, as synchronous=FULL would, but without holding a lock."""
        if self.path:
            with open(f"{self.path}-wal", "r+b") as journal:
                os.fsync(journal.fileno())
