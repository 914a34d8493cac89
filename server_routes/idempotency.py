"""The Idempotency-Key header (draft-ietf-httpapi-idempotency-key-header)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from .errors import INVALID_PARAMETERS, ApiError, invalid_parameter

HEADER = "Idempotency-Key"
MAX_CHARACTERS = 255


def read_key(request: web.Request) -> str | None:
    """The request's key, or None; raises ApiError 400 for one that is empty, too long or not printable."""
    key = request.headers.get(HEADER)
    if key is not None and not (0 < len(key) <= MAX_CHARACTERS and key.isascii() and key.isprintable()):
        message = f"Invalid {HEADER}. Must have 1 to {MAX_CHARACTERS} printable ASCII characters"
        raise invalid_parameter(message, HEADER, provided=key[:100])
    return key


def key_reused() -> ApiError:
    """The error of a key that was used before with another form."""
    message = f"This {HEADER} was used with another form"
    return ApiError(422, INVALID_PARAMETERS, message, {"parameter": HEADER})


class KeysInFlight:
    """The keys of the requests in progress."""

    def __init__(self) -> None:
        self._held: set[tuple[str, str]] = set()

    @asynccontextmanager
    async def hold(self, user: str, key: str | None) -> AsyncIterator[None]:
        """Hold a user's key while the block runs; raises ApiError 409 while another request holds it."""
        if key is None:
            yield
            return
        if (user, key) in self._held:
            raise ApiError(
                409,
                INVALID_PARAMETERS,
                f"A request with this {HEADER} is in progress",
                {"parameter": HEADER},
                retry_after=1,
                closes=True,
            )
        self._held.add((user, key))
        try:
            yield
        finally:
            self._held.discard((user, key))
