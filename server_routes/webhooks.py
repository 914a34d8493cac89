"""Telling a client's server how its job ended: Standard Webhooks 1.0, signed, repeated, and never inwards.

CHARACTER3D_WEBHOOK_SECRET: what signs them, `whsec_` and base64; without it there are none.
CHARACTER3D_WEBHOOK_PRIVATE: 1 lets them go to private addresses, too, and over plain http.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from .addresses import parse_address
from .database import Delivery, JobDatabase
from .errors import ApiError, invalid_parameter

log = logging.getLogger("character3d")

SECRET, PRIVATE = "CHARACTER3D_WEBHOOK_SECRET", "CHARACTER3D_WEBHOOK_PRIVATE"
PREFIX = "whsec_"
PAUSES = (5.0, 30.0, 120.0, 600.0, 3600.0)
"""Seconds between tries."""
SECONDS = 10.0
MAX_URL = 2000
_IDLE_SECONDS = 60.0


def sign(secret: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """The webhook-signature of a body (Standard Webhooks, section Signature scheme)."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()


def make_delivery(job_id: str, url: str, event: str, data: Mapping[str, Any]) -> Delivery:
    """What tells of a job's end, due at once. event: the type that the receiver reads."""
    now = time.time()
    timestamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    body = json.dumps({"type": event, "timestamp": timestamp, "data": data})
    return Delivery(f"msg_{job_id}", url, body, 0, now)


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet."""
    found = parse_address(address)
    return found is not None and found.is_global and not found.is_multicast


class PublicResolver(AbstractResolver):
    """Resolves names to public addresses only; what is checked is what is connected to."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The public addresses of a host; OSError where there are none."""
        found = await aiohttp.ThreadedResolver().resolve(host, port, family)
        public = [result for result in found if is_public(result["host"])]
        if not public:
            raise OSError(f"{host} has no public address")
        return public

    async def close(self) -> None:
        """There is nothing to close."""


class Webhooks:
    """Sends what waits in the database, each until it is taken or has been tried often enough."""

    def __init__(
        self,
        database: JobDatabase,
        environment: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._secret = _read_secret(environment.get(SECRET, ""))
        self._is_private_allowed = environment.get(PRIVATE, "") == "1"
        self._clock = clock
        self._news = asyncio.Event()

    def check_url(self, url: str) -> None:
        """Raise ApiError 400 for an address that no webhook goes to."""
        if self._secret is None:
            raise _refuse(url, f"Webhooks are off: {SECRET} is not set on the server")
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise _refuse(url, "Must be an https URL") from None
        schemes = ("https", "http") if self._is_private_allowed else ("https",)
        if parts.scheme not in schemes or not host or parts.username or len(url) > MAX_URL:
            raise _refuse(url, f"Must be an {' or '.join(schemes)} URL of at most {MAX_URL} characters")
        if parse_address(host) and not self._is_private_allowed and not is_public(host):
            raise _refuse(url, "Must be a public address")

    def wake(self) -> None:
        """Look for what is due now."""
        self._news.set()

    async def run(self) -> None:
        """Send for ever."""
        resolver = None if self._is_private_allowed else PublicResolver()
        connector = aiohttp.TCPConnector(resolver=resolver, force_close=True)
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            while True:
                self._news.clear()
                due = self._database.due_deliveries(self._clock())
                await asyncio.gather(*(self._deliver(session, delivery) for delivery in due))
                pause = (
                    _IDLE_SECONDS if (at := self._database.next_delivery()) is None else at - self._clock()
                )
                try:
                    await asyncio.wait_for(self._news.wait(), max(0.05, min(pause, _IDLE_SECONDS)))
                except asyncio.TimeoutError:
                    continue

    async def _deliver(self, session: aiohttp.ClientSession, delivery: Delivery) -> None:
        taken = await self._send(session, delivery)
        if taken or delivery.tries >= len(PAUSES):
            self._database.drop_delivery(delivery.id)
            log.log(
                logging.INFO if taken else logging.WARNING,
                "webhook %s: %s after %d tries",
                delivery.id,
                "taken" if taken else "given up",
                delivery.tries + 1,
            )
        else:
            self._database.put_off_delivery(delivery.id, self._clock() + PAUSES[delivery.tries])

    async def _send(self, session: aiohttp.ClientSession, delivery: Delivery) -> bool:
        body, timestamp = delivery.body.encode(), int(self._clock())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(self._secret or b"", delivery.id, timestamp, body),
        }
        try:
            self.check_url(delivery.url)
            async with session.post(
                delivery.url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                return 200 <= answer.status < 300
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError, ApiError) as error:
            log.info("webhook %s: %s", delivery.id, type(error).__name__)
            return False


def _read_secret(text: str) -> bytes | None:
    if not text:
        return None
    try:
        return base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        log.error("webhooks are off: %s is not %s and base64", SECRET, PREFIX)
        return None


def _refuse(url: str, expected: str) -> ApiError:
    return invalid_parameter(f"Invalid webhook url. {expected}", "webhook_url", provided=url[:100])
