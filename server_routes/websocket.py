"""WS /ws/{job_id}: a snapshot, what was missed, and then the job's events as they happen."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import WSCloseCode, web

from .errors import ApiError
from .events import ERROR, PROGRESS_UPDATE, TERMINAL, Event, EventLog, Subscriber, now_milliseconds, parse_seq
from .service_interface import AnyJob
from .status import hide_webhook

HEARTBEAT_SECONDS = 20.0
SEND_SECONDS = 10.0
MAX_CLIENT_MESSAGE = 4096
CLOSE_JOB_NOT_FOUND = 4404
_REASONS = {WSCloseCode.TRY_AGAIN_LATER: b"too slow"}


def _new_socket() -> web.WebSocketResponse:
    return web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS, max_msg_size=MAX_CLIENT_MESSAGE)


def check_upgrade(request: web.Request) -> None:
    """Raise ApiError 426 for a request that is not a WebSocket handshake."""
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


def make_frame(event: Event, is_owner: bool) -> dict[str, Any]:
    """The JSON object that is sent for an event; only the job's owner sees where its webhook goes."""
    frame = event.frame()
    return frame if is_owner else {**frame, "data": hide_webhook(event.data)}


def _list_opening(job: AnyJob, log: EventLog, since: int | None, is_owner: bool) -> list[dict[str, Any]]:
    """The frames that a client gets first.

    A snapshot, which is a progress_update with the number of the newest event, then the events after
    `since`, or an ended job's milestones.
    """
    snapshot = Event(PROGRESS_UPDATE, job.id, log.last_seq, now_milliseconds(), job.describe())
    missed = log.since(since) if since is not None else log.milestones() if log.is_closed else []
    frames = [make_frame(event, is_owner) for event in missed]
    return [{**make_frame(snapshot, is_owner), "snapshot": True}, *frames]


async def _send(socket: web.WebSocketResponse, frame: dict[str, Any]) -> None:
    await asyncio.wait_for(socket.send_json(frame), SEND_SECONDS)


async def _send_live(socket: web.WebSocketResponse, subscriber: Subscriber, is_owner: bool) -> WSCloseCode:
    while event := await subscriber.take():
        await _send(socket, make_frame(event, is_owner))
        if event.type in TERMINAL:
            return WSCloseCode.OK
    return WSCloseCode.TRY_AGAIN_LATER


async def _send_all(
    socket: web.WebSocketResponse,
    subscriber: Subscriber | None,
    opening: list[dict[str, Any]],
    is_owner: bool,
) -> WSCloseCode:
    """Send the opening frames, then live events, until the job has ended or the client is too slow.

    subscriber: None where the job has ended already.
    """
    try:
        for frame in opening:
            await _send(socket, frame)
        return await _send_live(socket, subscriber, is_owner) if subscriber else WSCloseCode.OK
    except asyncio.TimeoutError:
        return WSCloseCode.TRY_AGAIN_LATER
    except ConnectionError:
        return WSCloseCode.GOING_AWAY


async def _drain(socket: web.WebSocketResponse) -> None:
    """Read and ignore what the client sends; returns when the socket is closed."""
    async for _ in socket:
        pass


async def serve_job_events(
    request: web.Request, job: AnyJob, log: EventLog, since: int | None, *, is_owner: bool
) -> web.WebSocketResponse:
    """Answer a WebSocket request for a job; returns when the socket is closed.

    is_owner: whether the client may see where the job's webhook goes.
    """
    socket = _new_socket()
    await socket.prepare(request)
    # No await between subscribing and building the opening: nothing is missed and nothing is sent twice.
    subscriber, ended = log.subscribe(), log.is_closed
    opening = _list_opening(job, log, since, is_owner)
    sender = asyncio.create_task(_send_all(socket, None if ended else subscriber, opening, is_owner))
    reader = asyncio.create_task(_drain(socket))
    try:
        await asyncio.wait({sender, reader}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        log.unsubscribe(subscriber)
        sender.cancel()
        reader.cancel()
    await asyncio.wait({sender, reader})
    if not sender.cancelled():
        # aiohttp waits for the client's close frame (RFC 6455, section 7.1.1) only where nobody else reads.
        await socket.close(code=sender.result(), message=_REASONS.get(sender.result(), b""))
    return socket


async def refuse_socket(request: web.Request, error: ApiError) -> web.WebSocketResponse:
    """Accept, send an error event, and close: browsers cannot read a refused handshake."""
    socket = _new_socket()
    await socket.prepare(request)
    event = Event(ERROR, request.match_info["job_id"][:64], 1, now_milliseconds(), error.body())
    await socket.send_json(event.frame())
    await socket.close(code=CLOSE_JOB_NOT_FOUND, message=b"JOB_NOT_FOUND")
    return socket
