"""WS /ws/{job_id}: a snapshot, what was missed, and then the job's events as they happen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from aiohttp import WSCloseCode, web

from .errors import ApiError
from .events import ERROR, PROGRESS_UPDATE, TERMINAL, Event, Subscriber, now_milliseconds, parse_seq
from .jobs import Job
from .status import describe_job

HEARTBEAT_SECONDS = 20.0
SEND_SECONDS = 10.0
MAX_CLIENT_MESSAGE = 4096
CLOSE_JOB_NOT_FOUND = 4404
_REASONS = {WSCloseCode.TRY_AGAIN_LATER: b"too slow"}


def _new_socket() -> web.WebSocketResponse:
    return web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS, max_msg_size=MAX_CLIENT_MESSAGE)


def check_upgrade(request: web.Request) -> None:
    """Raise ApiError 426 for a request that is no WebSocket's."""
    if "websocket" not in request.headers.get("Upgrade", "").lower():
        raise ApiError(
            426,
            "INVALID_PARAMETERS",
            "This path speaks WebSocket only",
            {"parameter": "Upgrade", "allowed": ["websocket"]},
            headers={"Upgrade": "websocket", "Connection": "Upgrade"},
        )


def read_since(request: web.Request) -> int | None:
    """The event after which a client wants to begin; raises ApiError 400."""
    text = request.query.get("since")
    return None if text is None else parse_seq(text, "since")


def _snapshot(job: Job) -> dict[str, Any]:
    """The job as it is now, as a progress_update that stands at the newest event's number."""
    event = Event(PROGRESS_UPDATE, job.id, job.log.last_seq, now_milliseconds(), describe_job(job))
    return {**event.frame(), "snapshot": True}


def _missed_events(job: Job, since: int | None) -> Iterator[Event]:
    """What a client gets after the snapshot: all since a number, or an ended job's milestones."""
    if since is not None:
        yield from job.log.since(since)
    elif job.is_terminal:
        yield from job.log.milestones()


async def _send(socket: web.WebSocketResponse, frame: dict[str, Any]) -> None:
    await asyncio.wait_for(socket.send_json(frame), SEND_SECONDS)


async def _send_live(socket: web.WebSocketResponse, subscriber: Subscriber) -> WSCloseCode:
    while event := await subscriber.take():
        await _send(socket, event.frame())
        if event.type in TERMINAL:
            return WSCloseCode.OK
    return WSCloseCode.TRY_AGAIN_LATER


async def _send_all(
    socket: web.WebSocketResponse, subscriber: Subscriber, opening: list[dict[str, Any]], ended: bool
) -> WSCloseCode:
    """Send the opening frames, then live events, until the job has ended or the client is too slow."""
    try:
        for frame in opening:
            await _send(socket, frame)
        return WSCloseCode.OK if ended else await _send_live(socket, subscriber)
    except asyncio.TimeoutError:
        return WSCloseCode.TRY_AGAIN_LATER
    except ConnectionError:
        return WSCloseCode.GOING_AWAY


async def _drain(socket: web.WebSocketResponse) -> None:
    """Read and ignore what the client says; returns when the socket is closed."""
    async for _ in socket:
        pass


async def serve_job_events(request: web.Request, job: Job, since: int | None) -> web.WebSocketResponse:
    """Answer a WebSocket request for a job; returns when the socket is closed."""
    socket = _new_socket()
    await socket.prepare(request)
    subscriber, ended = job.log.subscribe(), job.is_terminal
    # No await between subscribing and building these: nothing is missed and nothing comes twice.
    opening = [_snapshot(job), *(event.frame() for event in _missed_events(job, since))]
    sender = asyncio.create_task(_send_all(socket, subscriber, opening, ended))
    reader = asyncio.create_task(_drain(socket))
    try:
        await asyncio.wait({sender, reader}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        job.log.unsubscribe(subscriber)
        sender.cancel()
        reader.cancel()
    await asyncio.wait({sender, reader})
    if not sender.cancelled():
        # aiohttp waits for the client's own close (RFC 6455, section 7.1.1) only where nobody else reads.
        await socket.close(code=sender.result(), message=_REASONS.get(sender.result(), b""))
    return socket


async def refuse_socket(request: web.Request, error: ApiError) -> web.WebSocketResponse:
    """Browsers cannot read a refused handshake, so an unknown id is told by an event and a close code."""
    socket = _new_socket()
    await socket.prepare(request)
    event = Event(ERROR, request.match_info["job_id"][:64], 1, now_milliseconds(), error.body())
    await socket.send_json(event.frame())
    await socket.close(code=CLOSE_JOB_NOT_FOUND, message=b"JOB_NOT_FOUND")
    return socket
