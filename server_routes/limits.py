"""Limits of one user and of all users together."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from .errors import ApiError, server_busy

log = logging.getLogger("character3d")

REQUESTS = "CHARACTER3D_REQUESTS_PER_MINUTE"
USUAL_REQUESTS = 10


def read_quota(environment: Mapping[str, str] = os.environ) -> int:
    """The requests of one user in a minute that the environment allows; 0 is no limit."""
    text = environment.get(REQUESTS, "").strip() or str(USUAL_REQUESTS)
    if text.isascii() and text.isdigit():
        return int(text)
    log.error("%s: expected a whole number, 0 for no limit; %s is ignored", REQUESTS, text)
    return USUAL_REQUESTS


class RateLimit:
    """At most `quota` requests of one user in any `window` seconds, by a monotonic clock; 0: any number.

    name: of the limit, in headers.
    """

    def __init__(
        self,
        quota: int = USUAL_REQUESTS,
        window: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        name: str = "generate",
    ) -> None:
        self._name = name
        self._quota = quota
        self._window = window
        self._clock = clock
        self._times: dict[str, deque[float]] = {}

    def _recent(self, user: str) -> deque[float]:
        times, start = self._times.get(user, deque()), self._clock() - self._window
        while times and times[0] <= start:
            times.popleft()
        return times

    def _forget_idle(self) -> None:
        for user in [user for user in self._times if not self._recent(user)]:
            del self._times[user]

    def refusal(self, user: str) -> ApiError | None:
        """The error for the user's next request, or None if it may pass."""
        times = self._recent(user)
        if not self._quota or len(times) < self._quota:
            return None
        return server_busy(
            429,
            f"Too many requests. The limit is {self._quota} per {self._window:g} seconds",
            "rate_limit",
            times[0] + self._window - self._clock(),
            limit=self._quota,
        )

    def count(self, user: str) -> None:
        """Count a request that has passed."""
        self._forget_idle()
        self._times.setdefault(user, deque()).append(self._clock())

    def headers(self, user: str) -> dict[str, str]:
        """RateLimit fields of draft-ietf-httpapi-ratelimit-headers; none without a limit."""
        if not self._quota:
            return {}
        times = self._recent(user)
        reset = round(times[0] + self._window - self._clock()) if times else 0
        return {
            "RateLimit-Policy": f'"{self._name}";q={self._quota};w={self._window:g}',
            "RateLimit": f'"{self._name}";r={max(0, self._quota - len(times))};t={max(0, reset)}',
        }


class JobSlots:
    """At most `per_user` live jobs of one user and `total` of all, uploads in progress included."""

    def __init__(self, per_user: int = 2, total: int = 64) -> None:
        self._per_user = per_user
        self._total = total
        self._used: Counter[str] = Counter()

    def refusal(self, user: str) -> ApiError | None:
        """The error for the user's next job, or None if it may start."""
        if self._used[user] >= self._per_user:
            message = f"Too many jobs at once. The limit is {self._per_user} per user"
            return server_busy(429, message, "concurrent_jobs", 5, limit=self._per_user)
        return self._full()

    def require_room(self) -> None:
        """Raise ApiError 503 if all slots of all users are taken."""
        full = self._full()
        if full:
            raise full

    def _full(self) -> ApiError | None:
        if self._used.total() < self._total:
            return None
        return server_busy(503, "The server's queue is full", "queue_full", 30, limit=self._total)

    def take(self, user: str) -> None:
        """Occupy a slot."""
        self._used[user] += 1

    def release(self, user: str) -> None:
        """Give a slot back."""
        self._used[user] -= 1
        if self._used[user] <= 0:
            del self._used[user]


class OpenStreams:
    """At most `per_job` open WebSockets and event streams of a job, `per_user` of a user, `total` of all."""

    def __init__(self, per_job: int = 8, per_user: int = 64, total: int = 512) -> None:
        self._limits = {"job": per_job, "user": per_user, "server": total}
        self._open: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def hold(self, user: str, job_id: str | None = None) -> Iterator[None]:
        """Count one more while the block runs; raises ApiError, 429 or 503, if there are too many.

        job_id: None for a socket that only tells its client that there is no such job.
        """
        places = [("user", user), ("server", "")]
        if job_id is not None:
            places.append(("job", job_id))
        for kind, name in places:
            if self._open[kind, name] >= self._limits[kind]:
                message = f"Too many WebSockets and event streams of this {kind}"
                status = 503 if kind == "server" else 429
                raise server_busy(status, message, "sockets", 5, limit=self._limits[kind])
        self._open.update(places)
        try:
            yield
        finally:
            self._open.subtract(places)
            self._open += Counter()  # removes the zeros
