"""What the jobs database stands on: an engine that runs its SQL.

SQLite on one machine (sqlite_engine.py), PostgreSQL on several (postgres_engine.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol


class DatabaseError(Exception):
    """The database cannot do what is asked: its disk is full, it is damaged or cannot be reached."""


class Cursor(Protocol):
    """What a statement did."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""

    def fetchall(self) -> list[Any]:
        """The rows that it found."""


class Session(Protocol):
    """A transaction that has begun."""

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Cursor:
        """Run a statement, a `?` in it for each value."""


class Engine(Protocol):
    """Runs the SQL that both databases understand. Blocks; any thread; raises DatabaseError.

    problem: why no job can be kept, or nothing. notice: what happened to the database at the start.
    """

    problem: str
    notice: str

    def transaction(self) -> AbstractContextManager[Session]:
        """All or nothing; it is committed when the block ends."""

    def read(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What is committed by now; does not wait for a transaction."""

    def sync(self) -> None:
        """Wait until all commits are on disk."""

    def close(self) -> None:
        """Let go of the database."""
