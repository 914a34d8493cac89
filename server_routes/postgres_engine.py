"""Jobs in PostgreSQL, for several machines that serve the same jobs. Needs psycopg 3, of the extra `cluster`.

psycopg and plain SQL, not SQLAlchemy and alembic: the statements are SQLite's (database.py), and a list of
steps migrates both; an object mapper would be a second language for the same twenty statements.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from .database_engine import Cursor, DatabaseError, Session
from .migrations import NewerSchemaError
from .postgres_migrations import migrate

log = logging.getLogger("character3d")

CONNECTION: Mapping[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""A server that has gone without a word, as behind a cut cable, is missed within 20 seconds, not in hours."""


class _PostgresSession:
    """A transaction, with the placeholders of both engines."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Cursor:
        return self._connection.execute(statement.replace("?", "%s").encode(), values)


class PostgresEngine:
    """One connection that writes and one that reads; a server that was away is asked again.

    url: `postgresql://user:password@host/database`, or empty for what libpq's own variables name.
    Raises DatabaseError where the server cannot be reached, or a later release migrated the database.
    """

    problem = notice = ""

    def __init__(self, url: str) -> None:
        self._url = url
        self._writing, self._reading = threading.Lock(), threading.Lock()
        with _translate_errors():
            self._writer = self._connect()
            migrate(self._writer)
            self._reader = self._connect()

    def close(self) -> None:
        """Close both connections."""
        with self._writing, self._reading:
            self._writer.close()
            self._reader.close()

    def connect(self) -> psycopg.Connection[Any]:
        """A further connection, which the caller closes; as `LISTEN` needs."""
        with _translate_errors():
            return self._connect()

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """As Engine.transaction. It is begun once more where the connection proves dead; nothing is lost."""
        with _translate_errors(), self._writing:
            self._writer = self._alive(self._writer)
            with self._writer.transaction():
                yield _PostgresSession(self._writer)

    def read(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """As Engine.read."""
        if any(isinstance(value, str) and "\0" in value for value in values):
            return []  # PostgreSQL's texts have no NUL, and it takes none
        with _translate_errors(), self._reading:
            try:
                return self._fetch(query, values)
            except psycopg.OperationalError as error:
                self._reader = self._connect_again(self._reader, error)
                return self._fetch(query, values)

    def sync(self) -> None:
        """Does nothing: with synchronous_commit, as is usual, a commit is on disk."""

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self._url, autocommit=True, **CONNECTION)

    def _fetch(self, query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        return _PostgresSession(self._reader).execute(query, values).fetchall()

    def _alive(self, connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
        """The connection, or a new one in the place of one that is dead. Costs a round trip."""
        try:
            connection.execute("")
        except psycopg.OperationalError as error:
            return self._connect_again(connection, error)
        return connection

    def _connect_again(
        self, connection: psycopg.Connection[Any], error: psycopg.OperationalError
    ) -> psycopg.Connection[Any]:
        log.warning("the connection to PostgreSQL is begun again: %s", error)
        connection.close()
        return self._connect()


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except (psycopg.Error, NewerSchemaError) as error:
        raise DatabaseError(str(error)) from error
