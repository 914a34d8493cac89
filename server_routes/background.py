"""The service's background tasks: each failure is logged, loops are restarted, and all end in one place."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

log = logging.getLogger("character3d")

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before a loop that failed is started again; the pause doubles from one failure to the next."""

STEADY_SECONDS = 300.0
"""A loop that ran this long before it failed starts again with the first pause."""


class Background:
    """Runs tasks until `stop`, which cancels and awaits them all. longest: the longest pause, in seconds."""

    def __init__(self, longest: float = LONGEST_PAUSE) -> None:
        self._longest = longest
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopped = False

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run a coroutine to its end; an exception is logged. Does nothing after `stop`."""
        if self._is_stopped:
            work.close()
            return
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._note_end)

    def spawn_loop(self, work: Callable[[], Awaitable[None]], name: str) -> None:
        """Run what should never end; where it fails or returns, run it again after a pause."""
        self.spawn(self._supervise(work, name), name)

    async def stop(self) -> None:
        """Cancel all tasks and wait until they have ended."""
        self._is_stopped = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("background task %s failed", task.get_name(), exc_info=error)

    async def _supervise(self, work: Callable[[], Awaitable[None]], name: str) -> None:
        loop, pause = asyncio.get_running_loop(), FIRST_PAUSE
        while True:
            started = loop.time()
            try:
                await work()
                log.error("background task %s ended, it starts again in %g s", name, pause)
            except Exception:  # the boundary of a loop: whatever it was, the next round may do better
                log.exception("background task %s failed, it starts again in %g s", name, pause)
            if loop.time() - started > STEADY_SECONDS:
                pause = FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._longest)
