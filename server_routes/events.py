"""A job's event log, and the bounded queue between it and one WebSocket."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .errors import invalid_parameter

PROGRESS_UPDATE = "progress_update"
PREVIEW_READY = "preview_ready"
STAGE_COMPLETED = "stage_completed"
JOB_COMPLETED = "job_completed"
ERROR = "error"
TERMINAL = frozenset({JOB_COMPLETED, ERROR})

MAX_WAITING = 64


@dataclass(frozen=True)
class Event:
    """One thing that happened to a job. seq counts from 1 per job; timestamp is in milliseconds."""

    type: str
    job_id: str
    seq: int
    timestamp: int
    data: dict[str, Any]

    def frame(self) -> dict[str, Any]:
        """The JSON object that is sent."""
        return {
            "type": self.type,
            "job_id": self.job_id,
            "seq": self.seq,
            "timestamp": self.timestamp,
            "data": self.data,
        }


def now_milliseconds() -> int:
    """Wall clock, milliseconds since 1970."""
    return int(time.time() * 1000)


def parse_seq(text: str, parameter: str) -> int:
    """An event's number as a client names it; raises ApiError 400."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        message = f"Invalid {parameter}. Must be a sequence number"
        raise invalid_parameter(message, parameter, provided=text[:100])
    return int(text)


class Subscriber:
    """Events waiting for one client. Progress is coalesced, newest wins; nothing else is dropped.

    `overflowed` turns true when MAX_WAITING events wait: the client is too slow and must go.
    """

    def __init__(self) -> None:
        self._waiting: deque[Event] = deque()
        self._changed = asyncio.Event()
        self.overflowed = False

    def offer(self, event: Event) -> None:
        """Queue an event; never waits."""
        if event.type == PROGRESS_UPDATE and self._waiting and self._waiting[-1].type == PROGRESS_UPDATE:
            self._waiting.pop()
        if len(self._waiting) >= MAX_WAITING:
            self.overflowed = True
        else:
            self._waiting.append(event)
        self._changed.set()

    async def take(self) -> Event | None:
        """The next event, or None once the queue has overflowed."""
        while not self._waiting and not self.overflowed:
            self._changed.clear()
            await self._changed.wait()
        return None if self.overflowed else self._waiting.popleft()


class EventLog:
    """The events of one job in order, and who listens to them."""

    def __init__(self, job_id: str) -> None:
        self._job_id = job_id
        self._events: list[Event] = []
        self._subscribers: set[Subscriber] = set()
        self.last_seq = 0
        self.keep: Callable[[Event], None] | None = None
        """Stores an event before anybody hears of it."""

    def restore(self, events: Iterable[Event]) -> None:
        """Take the events that were stored before the server started."""
        self._events = list(events)
        self.last_seq = self._events[-1].seq if self._events else 0

    def publish(self, event_type: str, data: dict[str, Any]) -> None:
        """Append an event and offer it to all subscribers.

        After the terminal event only the milestones are kept: progress is history by then.
        """
        self.last_seq += 1
        event = Event(event_type, self._job_id, self.last_seq, now_milliseconds(), data)
        if self.keep:
            self.keep(event)
        self._events.append(event)
        if event_type in TERMINAL:
            self._events = self.milestones()
        for subscriber in self._subscribers:
            subscriber.offer(event)

    def milestones(self) -> list[Event]:
        """All events but progress."""
        return [event for event in self._events if event.type != PROGRESS_UPDATE]

    def since(self, seq: int) -> list[Event]:
        """The stored events after number `seq`."""
        return [event for event in self._events if event.seq > seq]

    def subscribe(self) -> Subscriber:
        """A new listener for what is published from now on."""
        subscriber = Subscriber()
        self._subscribers.add(subscriber)
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Stop offering events to a listener."""
        self._subscribers.discard(subscriber)
