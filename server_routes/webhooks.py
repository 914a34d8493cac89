"""Webhooks that announce a job's end: Standard Webhooks 1.0, signed, retried, never to private addresses.

CHARACTER3D_WEBHOOK_SECRET: the signing key, `whsec_` and base64; without it webhooks are off.
CHARACTER3D_WEBHOOK_PRIVATE: 1 allows private addresses and plain http.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
import hmac
import json
import logging
import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from .addresses import parse_address
from .database import Delivery, JobDatabase
from .database_engine import DatabaseError
from .database_threads import DatabaseThreads
from .errors import ApiError, invalid_parameter

log = logging.getLogger("character3d")

SECRET, PRIVATE = "CHARACTER3D_WEBHOOK_SECRET", "CHARACTER3D_WEBHOOK_PRIVATE"
PREFIX = "whsec_"
PAUSES = (5.0, 30.0, 120.0, 600.0, 3600.0)
"""Seconds between tries."""

TAKEN_SECONDS = 30.0
"""After which a webhook is sent by another server, where the one that took it has died."""

RESOLVING_AT_ONCE = 4
SECONDS = 10.0
MAX_URL = 2000
_IDLE_SECONDS, _SHORTEST_SECONDS = 60.0, 0.05
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)


def sign(secret: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """The webhook-signature of a body (Standard Webhooks, section Signature scheme)."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()


def make_delivery(job_id: str, url: str, event: str, data: Mapping[str, Any]) -> Delivery:
    """The webhook of a job's end, due at once. event: the type that the receiver reads."""
    now = time.time()
    timestamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    body = json.dumps({"type": event, "timestamp": timestamp, "data": data})
    return Delivery(f"msg_{job_id}", url, body, 0, now)


def is_public(address: str) -> bool:
    """Whether an address belongs to the public internet."""
    found = parse_address(address)
    return found is not None and found.is_global and not found.is_multicast


def is_host_name(host: str) -> bool:
    """Whether a host can exist: an IP address, or labels of 1 to 63 characters after IDNA encoding."""
    if parse_address(host):
        return True
    try:
        labels = host.encode("idna").decode("ascii").removesuffix(".").split(".")
    except UnicodeError:
        return False
    return all(_LABEL.fullmatch(label) for label in labels) and sum(map(len, labels)) + len(labels) <= 254


class HostResolver(AbstractResolver):
    """Resolves host names in threads of its own, by default to public addresses only.

    The addresses that are checked are those that are connected to. A name server that does not answer delays
    other webhooks, but nothing else in the process.
    """

    def __init__(self, is_private_allowed: bool = False) -> None:
        self._is_private_allowed = is_private_allowed
        self._threads = ThreadPoolExecutor(RESOLVING_AT_ONCE, "character3d-resolver")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a host; raises OSError where there are none."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _look_up, host, port, family)
        allowed = [result for result in found if self._is_private_allowed or is_public(result["host"])]
        if not allowed:
            raise OSError(f"{host} has no public address")
        return allowed

    async def close(self) -> None:
        """Stop the threads; does not wait for a lookup that hangs."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    numeric = int(socket.AI_NUMERICHOST | socket.AI_NUMERICSERV)
    return [
        ResolveResult(
            hostname=host, host=str(address[0]), port=port, family=kind, proto=protocol, flags=numeric
        )
        for kind, _, protocol, _, address in found
    ]


class Webhooks:
    """Sends the webhooks in the database, each until it is accepted or has been tried often enough."""

    def __init__(
        self,
        threads: DatabaseThreads,
        environment: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.time,
        take: bool = False,
    ) -> None:
        """take: whether other servers send from the same database, so that each takes what it sends."""
        self._threads = threads
        self._take = take
        self._secret = _read_secret(environment.get(SECRET, ""))
        self._is_private_allowed = environment.get(PRIVATE, "") == "1"
        self._clock = clock
        self._news = asyncio.Event()

    def check_url(self, url: str) -> None:
        """Raise ApiError 400 for a URL that no webhook is sent to."""
        if self._secret is None:
            raise _refuse(url, f"Webhooks are off: {SECRET} is not set on the server")
        schemes = ("https", "http") if self._is_private_allowed else ("https",)
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname or "", parts.port
        except ValueError:
            raise _refuse(url, "Must be an https URL") from None
        if parts.scheme not in schemes or not host or parts.username or len(url) > MAX_URL:
            raise _refuse(url, f"Must be an {' or '.join(schemes)} URL of at most {MAX_URL} characters")
        if not is_host_name(host) or not url.isprintable() or " " in url:
            raise _refuse(url, "Must name a host that can exist")
        if parse_address(host) and not self._is_private_allowed and not is_public(host):
            raise _refuse(url, "Must be a public address")

    def wake(self) -> None:
        """Look for webhooks that are due now."""
        self._news.set()

    async def run(self) -> None:
        """Send webhooks forever; raises DatabaseError where the database fails."""
        connector = aiohttp.TCPConnector(resolver=HostResolver(self._is_private_allowed), force_close=True)
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            while True:
                self._news.clear()
                due = await self._find_due()
                work = (self._deliver(session, delivery) for delivery in due)
                outcomes = await asyncio.gather(*work, return_exceptions=True)
                if errors := [error for error in outcomes if error]:
                    raise errors[0]
                await self._wait_for_next()

    async def _find_due(self) -> list[Delivery]:
        now = self._clock()
        if self._take:
            return await self._threads.write(JobDatabase.take_deliveries, now, now + TAKEN_SECONDS)
        return await self._threads.read(JobDatabase.due_deliveries, now)

    async def _wait_for_next(self) -> None:
        due = await self._threads.read(JobDatabase.next_delivery)
        pause = _IDLE_SECONDS if due is None else due - self._clock()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._news.wait(), max(_SHORTEST_SECONDS, min(pause, _IDLE_SECONDS)))

    async def _deliver(self, session: aiohttp.ClientSession, delivery: Delivery) -> None:
        """Send one webhook and store the outcome; a failure affects this webhook only."""
        try:
            await self._note_outcome(delivery, await self._send(session, delivery))
        except DatabaseError:  # a full disk: it is sent again, with the same id
            raise
        except Exception:  # the boundary of a delivery: neither a URL nor a damaged row may stop the others
            log.exception("webhook %s cannot be sent, it is dropped", delivery.id)
            await self._threads.write(JobDatabase.drop_delivery, delivery.id)

    async def _note_outcome(self, delivery: Delivery, is_accepted: bool) -> None:
        if not is_accepted and delivery.tries < len(PAUSES):
            due = self._clock() + PAUSES[delivery.tries]
            await self._threads.write(JobDatabase.reschedule_delivery, delivery.id, due)
            return
        await self._threads.write(JobDatabase.drop_delivery, delivery.id)
        level, outcome = (logging.INFO, "accepted") if is_accepted else (logging.WARNING, "given up")
        log.log(level, "webhook %s: %s after %d tries", delivery.id, outcome, delivery.tries + 1)

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
