"""GET /job/{job_id}/events: the job's log as server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import asyncio
import json

from aiohttp import web

from .events import TERMINAL, Event, Subscriber, parse_seq
from .jobs import Job
from .websocket import HEARTBEAT_SECONDS, SEND_SECONDS

_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}


def read_last_seq(request: web.Request) -> int:
    """The event after which to begin: a browser that comes back says it in a header; raises ApiError 400."""
    text = request.headers.get("Last-Event-ID", request.query.get("since", "0"))
    return parse_seq(text, "Last-Event-ID")


def _frame(event: Event) -> bytes:
    return f"id: {event.seq}\nevent: {event.type}\ndata: {json.dumps(event.frame())}\n\n".encode()


async def stream_job_events(request: web.Request, job: Job, last_seq: int) -> web.StreamResponse:
    """Send what the log holds after an event, then what happens, until the job ends."""
    response = web.StreamResponse(headers=_HEADERS)
    await response.prepare(request)
    # No await between these: nothing is missed and nothing comes twice.
    subscriber, stored, ended = job.log.subscribe(), job.log.since(last_seq), job.is_terminal
    try:
        for event in stored:
            await _write(response, _frame(event))
        if not ended:
            await _follow(response, subscriber)
        await response.write_eof()
    except (asyncio.TimeoutError, ConnectionError):
        pass  # the client is gone, or too slow
    finally:
        job.log.unsubscribe(subscriber)
    return response


async def _follow(response: web.StreamResponse, subscriber: Subscriber) -> None:
    """Send live events until the last one, or until the client is too slow; a sign of life between."""
    while True:
        try:
            event = await asyncio.wait_for(subscriber.take(), HEARTBEAT_SECONDS)
        except asyncio.TimeoutError:
            await _write(response, b": still here\n\n")
            continue
        if event is None:
            return
        await _write(response, _frame(event))
        if event.type in TERMINAL:
            return


async def _write(response: web.StreamResponse, data: bytes) -> None:
    await asyncio.wait_for(response.write(data), SEND_SECONDS)
