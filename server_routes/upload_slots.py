"""How many request bodies are read at once, and how slowly they may arrive.

A client that trickles its body costs it next to nothing, and holds a place among the server's jobs. So a body
must keep up a minimum rate; and while all places are taken, the slowest body makes room for a new one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from .errors import INVALID_PARAMETERS, ApiError, server_busy

READ_SECONDS = 120.0
GRACE_SECONDS = 10.0
MIN_BYTES_PER_SECOND = 8 * 1024
"""Of a body as a whole, once GRACE_SECONDS are over."""

CROWDED_BYTES_PER_SECOND = 64 * 1024
"""While all places are taken: a little less than the largest body needs to arrive in READ_SECONDS."""

_SETTLING_SECONDS = 1.0

Clock = Callable[[], float]
Result = TypeVar("Result")


class Upload:
    """A body that is being read. received: bytes so far. is_too_slow: why its reader was cancelled."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started = clock()
        self.received = 0
        self.is_too_slow = False

    @property
    def seconds_left(self) -> float:
        """Until the body must have ended, or more of it must have arrived: every byte buys a little time."""
        allowed = min(READ_SECONDS, GRACE_SECONDS + self.received / MIN_BYTES_PER_SECOND)
        return self._started + allowed - self._clock()

    @property
    def rate(self) -> float:
        """Bytes per second since the start."""
        return self.received / max(self._age, _SETTLING_SECONDS)

    @property
    def rank(self) -> tuple[bool, float, float]:
        """Sorts uploads by which has to make room first; those that have just started come last."""
        return self._age < _SETTLING_SECONDS, self.rate, self._started

    @property
    def _age(self) -> float:
        return self._clock() - self._started


class UploadSlots:
    """At most `total` bodies are read at once."""

    def __init__(self, total: int = 32, clock: Clock = time.monotonic) -> None:
        self._total = total
        self._clock = clock
        self._readers: dict[Upload, asyncio.Task[Any]] = {}

    async def run(self, read: Callable[[Upload], Coroutine[Any, Any, Result]]) -> Result:
        """The result of a function that reads a body and counts it.

        Raises ApiError: 408 once the body is too slow, 503 if all places are taken by faster ones.
        """
        self._make_room()
        upload = Upload(self._clock)
        reader = self._readers[upload] = asyncio.create_task(read(upload))
        watcher = asyncio.create_task(self._stop_in_time(upload))
        try:
            return await reader
        except asyncio.CancelledError as error:
            if not upload.is_too_slow:
                raise
            message = "The request body did not arrive in time"
            raise ApiError(408, INVALID_PARAMETERS, message, closes=True) from error
        finally:
            watcher.cancel()
            self._readers.pop(upload, None)

    def _make_room(self) -> None:
        if len(self._readers) < self._total:
            return
        slowest = min(self._readers, key=lambda upload: upload.rank)
        if slowest.rate >= CROWDED_BYTES_PER_SECOND:
            refusal = server_busy(503, "Too many uploads at once", "uploads", 5, limit=self._total)
            refusal.closes = True
            raise refusal
        self._stop(slowest)

    def _stop(self, upload: Upload) -> None:
        if reader := self._readers.pop(upload, None):
            upload.is_too_slow = True
            reader.cancel()

    async def _stop_in_time(self, upload: Upload) -> None:
        while (seconds := upload.seconds_left) > 0:
            await asyncio.sleep(seconds)
        self._stop(upload)
