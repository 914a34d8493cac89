"""The jobs database off the event loop: one thread writes, in order, and one reads."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

from .database import JobDatabase
from .database_engine import DatabaseError

P = ParamSpec("P")
T = TypeVar("T")


async def for_each(items: Iterable[T], work: Callable[[T], Awaitable[None]]) -> None:
    """Await work for each item in turn; a database error is raised after all others have been tried."""
    errors = [await _catch_error(work(item)) for item in items]
    for error in filter(None, errors):
        raise error


async def _catch_error(work: Awaitable[None]) -> DatabaseError | None:
    try:
        await work
    except DatabaseError as error:
        return error
    return None


class DatabaseThreads:
    """Runs methods of a JobDatabase in its two threads; at exit the interpreter waits for what is queued."""

    def __init__(self, database: JobDatabase) -> None:
        self.database = database
        self._writer = ThreadPoolExecutor(1, "character3d-writer")
        self._reader = ThreadPoolExecutor(1, "character3d-reader")

    def write(
        self, method: Callable[Concatenate[JobDatabase, P], T], *args: P.args, **options: P.kwargs
    ) -> asyncio.Future[T]:
        """Queue a write; the futures complete in the order of the calls.

        Cancelling a task that awaits the future does not cancel the write.
        """
        return asyncio.shield(self._run(self._writer, method, *args, **options))

    def read(
        self, method: Callable[Concatenate[JobDatabase, P], T], *args: P.args, **options: P.kwargs
    ) -> asyncio.Future[T]:
        """Read what is committed by now."""
        return self._run(self._reader, method, *args, **options)

    async def close(self) -> None:
        """Finish what is queued, then close the database."""
        for executor in (self._writer, self._reader):
            await asyncio.to_thread(executor.shutdown)
        self.database.close()

    def _run(
        self,
        executor: ThreadPoolExecutor,
        method: Callable[Concatenate[JobDatabase, P], T],
        *args: P.args,
        **options: P.kwargs,
    ) -> asyncio.Future[T]:
        work = functools.partial(method, self.database, *args, **options)
        return asyncio.get_running_loop().run_in_executor(executor, work)
