"""What POST /character/check and POST /character/rig_check share: their limits, and that they take turns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from aiohttp import web

from .errors import ApiError, server_busy
from .limits import RateLimit, read_quota

AT_ONCE = 8
"""Files that are uploaded, wait or are read; one takes up to a few seconds of all processors."""


class CheckQueue:
    """At most AT_ONCE checks, `turns` of them working at a time, and a rate limit of their own.

    name: of the rate limit. things: what is checked, in words.
    """

    def __init__(self, name: str, things: str, turns: int) -> None:
        self.turn = asyncio.Semaphore(turns)
        self.rate_limit = RateLimit(read_quota(), name=name)
        self._things = things
        self._count = 0

    async def answer(self, user: str, make: Callable[[], Awaitable[web.Response]]) -> web.Response:
        """The response that `make` gives, within the limits, with their headers."""
        try:
            with self._hold(user):
                response = await make()
        except ApiError as error:
            error.headers.update(self.rate_limit.headers(user))
            raise
        response.headers.update({"Cache-Control": "no-store", **self.rate_limit.headers(user)})
        return response

    @contextmanager
    def _hold(self, user: str) -> Iterator[None]:
        refusal = self.rate_limit.refusal(user)
        if refusal is None and self._count >= AT_ONCE:
            message = f"Too many {self._things} are being checked"
            refusal = server_busy(503, message, "checks", 5, limit=AT_ONCE)
        if refusal:
            refusal.closes = True
            raise refusal
        self.rate_limit.count(user)
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1
