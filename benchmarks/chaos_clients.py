"""Clients of a cluster that have jobs done whatever happens, and check what they are told."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

TERMINAL = ("job_completed", "error")
RESULTS = {"raw_mesh", "textured_mesh", "rigged_character", "preview_images", "figure", "views", "report"}
PATIENCE = 150.0
"""Seconds within which a job has to end."""
GONE = (aiohttp.ClientError, asyncio.TimeoutError, ConnectionError)

_addresses = (f"127.{a}.{b}.{c}" for a, b, c in itertools.product(range(20, 250), range(250), range(2, 250)))


def open_user(timeout: float = 20.0) -> aiohttp.ClientSession:
    """A client with limits of its own, by its loopback address."""
    connector = aiohttp.TCPConnector(local_addr=(next(_addresses), 0), limit=0, force_close=True)
    return aiohttp.ClientSession(
        connector=connector, timeout=aiohttp.ClientTimeout(sock_read=timeout, sock_connect=5)
    )


@dataclass
class Job:
    """One order and what its client was told. told: events by number. polled: progress and states."""

    key: str
    seconds: float
    job_ids: set[str] = field(default_factory=set)
    told: dict[int, dict[str, Any]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    posts: int = 0
    ordered: float = 0.0
    accepted: float = 0.0
    heard: float = 0.0
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def job_id(self) -> str:
        return next(iter(self.job_ids))

    @property
    def is_over(self) -> bool:
        return any(frame["type"] in TERMINAL for frame in self.told.values())


class Customer:
    """Orders one job at front doors behind a load balancer, follows it, and checks its end."""

    def __init__(self, doors: Sequence[str], dice: random.Random, picture: bytes) -> None:
        self._doors, self._dice, self._picture = doors, dice, picture

    async def have_done(self, job: Job) -> Job:
        """Order a job and wait for its end; what is wrong is in its faults."""
        async with open_user() as session:
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._order(session, job)
                    watch = self._read_socket if self._dice.random() < 0.5 else self._read_stream
                    await asyncio.gather(self._watch(session, job, watch), self._poll(session, job))
                    await self._check(session, job)
            except TimeoutError:
                told = f"{len(job.told)} events, status {job.body.get('status')}"
                job.faults.append(f"LOST: no end within {PATIENCE:g} s; {told}")
        return job

    def _door(self) -> str:
        return self._dice.choice(self._doors)

    async def _order(self, session: aiohttp.ClientSession, job: Job) -> None:
        job.ordered = time.monotonic()
        while not job.job_ids:
            await self._post(session, job)
        job.accepted = time.monotonic()
        if self._dice.random() < 0.3:  # as if the answer had been lost
            await self._post(session, job)

    async def _post(self, session: aiohttp.ClientSession, job: Job) -> None:
        form = aiohttp.FormData(default_to_multipart=True)
        form.add_field("image", self._picture, filename="input.png")
        form.add_field("prompt", str(job.seconds))
        job.posts += 1
        headers = {"Idempotency-Key": job.key}
        try:
            async with session.post(
                f"{self._door()}/generate_character", data=form, headers=headers
            ) as answer:
                body = await answer.json()
        except GONE:
            await asyncio.sleep(0.3)
            return
        if answer.status == 202:
            job.job_ids.add(body["job_id"])
        elif answer.status in (409, 429, 503):
            await asyncio.sleep(0.5)
        else:
            job.faults.append(f"an order was answered with {answer.status}: {body}")

    async def _watch(self, session: aiohttp.ClientSession, job: Job, read: Any) -> None:
        while not job.is_over:
            with contextlib.suppress(*GONE):
                await read(session, job)
            await asyncio.sleep(0.2)

    async def _read_socket(self, session: aiohttp.ClientSession, job: Job) -> None:
        since = max(job.told, default=0)
        async with session.ws_connect(f"{self._door()}/ws/{job.job_id}?since={since}", heartbeat=6) as socket:
            async for message in socket:
                frame = message.json()
                if not frame.get("snapshot"):
                    _take(job, frame)

    async def _read_stream(self, session: aiohttp.ClientSession, job: Job) -> None:
        headers = {"Last-Event-ID": str(max(job.told, default=0))}
        async with session.get(f"{self._door()}/job/{job.job_id}/events", headers=headers) as answer:
            async for line in answer.content:
                if line.startswith(b"data: "):
                    _take(job, json.loads(line.removeprefix(b"data: ")))

    async def _poll(self, session: aiohttp.ClientSession, job: Job) -> None:
        while job.body.get("status") not in ("completed", "failed"):
            await asyncio.sleep(self._dice.uniform(0.2, 0.5))
            before, job.body = (
                job.body,
                await self._ask(session, job, f"/job/{job.job_id}/status") or job.body,
            )
            if before and job.body["progress"] < before["progress"]:
                job.faults.append(f"progress fell from {before['progress']} to {job.body['progress']}")
        job.heard = time.monotonic()

    async def _ask(self, session: aiohttp.ClientSession, job: Job, path: str) -> dict[str, Any] | None:
        try:
            async with session.get(self._door() + path) as answer:
                body = await answer.json()
        except GONE:
            return None
        if answer.status == 200:
            return dict(body)
        if answer.status != 503:
            lost = "LOST: " * (answer.status in (404, 410))
            job.faults.append(f"{lost}{path} was answered with {answer.status}: {body}")
        return None

    async def _ask_until_answered(
        self, session: aiohttp.ClientSession, job: Job, path: str
    ) -> dict[str, Any]:
        while (body := await self._ask(session, job, path)) is None:
            await asyncio.sleep(0.3)
        return body

    async def _check(self, session: aiohttp.ClientSession, job: Job) -> None:
        body = await self._ask_until_answered(session, job, f"/job/{job.job_id}/status")
        listed = await self._ask_until_answered(session, job, "/generate_character/jobs")
        ends = [frame for frame in job.told.values() if frame["type"] in TERMINAL]
        wrong = {
            f"DONE TWICE: {len(ends)} ends were told": len(ends) != 1,
            f"DONE TWICE: answers name {len(job.job_ids)} jobs": len(job.job_ids) != 1,
            "DONE TWICE: the user's list has other jobs": {item["job_id"] for item in listed["jobs"]}
            != job.job_ids,
            "its end is not its status": ends[-1]["data"] != body,
            "its status changed after its end": body != job.body,
            "it has failed without a reason": body["status"] == "failed" and not body.get("error_details"),
            f"it ended as {body['status']}": body["status"] not in ("completed", "failed"),
        }
        job.faults += [fault for fault, is_so in wrong.items() if is_so]
        if body["status"] == "completed":
            await self._check_files(session, job, body)

    async def _check_files(self, session: aiohttp.ClientSession, job: Job, body: dict[str, Any]) -> None:
        """All that a completed job lists is there, whole, and all that it should have is listed."""
        if missing := RESULTS - {item["result"] for item in body["downloads"]}:
            job.faults.append(f"HALF: it lists no {sorted(missing)}")
        for item in body["downloads"]:
            data = await self._download(session, job, item["url"])
            if (len(data), hashlib.sha256(data).hexdigest()) != (item["size"], item["sha256"]):
                job.faults.append(f"HALF: {item['name']} has {len(data)} of {item['size']} bytes, or others")

    async def _download(self, session: aiohttp.ClientSession, job: Job, path: str) -> bytes:
        while True:
            with contextlib.suppress(*GONE):
                async with session.get(self._door() + path) as answer:
                    data = await answer.read()
                if answer.status == 200:
                    return data
                if answer.status != 503:
                    job.faults.append(f"HALF: {path} was answered with {answer.status}: {data[:200]!r}")
                    return b""
            await asyncio.sleep(0.3)


def _take(job: Job, frame: dict[str, Any]) -> None:
    known = job.told.setdefault(frame["seq"], frame)
    if known != frame:
        job.faults.append(f"DONE TWICE: event {frame['seq']} was told twice, differently")
