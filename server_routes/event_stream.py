"""GET /job/{job_id}/events: the job's log as server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import asyncio
import json

from aiohttp import web

from .events import TERMINAL, Event, EventLog, Subscriber, parse_seq
from .websocket import HEARTBEAT_SECONDS, SEND_SECONDS, make_frame

_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}


def read_last_seq(request: web.Request) -> int:
    """The event after which to begin: browsers that reconnect send a header; raises ApiError 400."""
    text = request.headers.get("Last-Event-ID", request.query.get("since", "0"))
    return parse_seq(text, "Last-Event-ID")


def _encode(event: Event, is_owner: bool) -> bytes:
    frame = json.dumps(make_frame(event, is_owner))
    return f"id: {event.seq}\nevent: {event.type}\ndata: {frame}\n\n".encode()


async def stream_job_events(
    request: web.Request, log: EventLog, last_seq: int, *, is_owner: bool
) -> web.StreamResponse:
    """Send what the log holds after an event, then what happens, until the job ends.

    is_owner: whether the client may see where the job's webhook goes.
    """
    response = web.StreamResponse(headers=_HEADERS)
    await response.prepare(request)
    # No await between these: nothing is missed and nothing is sent twice.
    subscriber, stored, ended = log.subscribe(), log.since(last_seq), log.is_closed
    try:
        for event in stored:
            await _write(response, _encode(event, is_owner))
        if not ended:
            await _follow(response, subscriber, is_owner)
        await response.write_eof()
    except (asyncio.TimeoutError, ConnectionError):
        pass  # the client is gone, or too slow
    finally:
        log.unsubscribe(subscriber)
    return response


async def _follow(response: web.StreamResponse, subscriber: Subscriber, is_owner: bool) -> None:
    """Send live events until the last one, or until the client is too slow; comments keep it alive."""
    while True:
        try:
            event = await asyncio.wait_for(subscriber.take(), HEARTBEAT_SECONDS)
        except asyncio.TimeoutError:
            await _write(response, b": still here\n\n")
            continue
        if event is None:
            return
        await _write(response, _encode(event, is_owner))
        if event.type in TERMINAL:
            return


async def _write(response: web.StreamResponse, data: bytes) -> None:
    await asyncio.wait_for(response.write(data), SEND_SECONDS)
