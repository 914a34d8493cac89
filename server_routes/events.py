"""A job's event log, and the bounded queue between it and one client."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .numbers import parse_whole_number

PROGRESS_UPDATE = "progress_update"
PREVIEW_READY = "preview_ready"
STAGE_COMPLETED = "stage_completed"
JOB_COMPLETED = "job_completed"
ERROR = "error"
TERMINAL = frozenset({JOB_COMPLETED, ERROR})

MAX_WAITING = 64
MAX_SEQ = 999_999_999


@dataclass(frozen=True)
class Event:
    """Something that happened to a job. seq counts from 1 per job; timestamp: milliseconds since 1970."""

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
    """The sequence number of an event, as a client sends it; raises ApiError 400."""
    return parse_whole_number(text, parameter, "Must be a sequence number", minimum=0, maximum=MAX_SEQ)


class Subscriber:
    """Events waiting for one client. Progress is coalesced, the newest wins; nothing else is dropped.

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
    """The published events of one job in order, and the clients that follow them."""

    def __init__(self, job_id: str, events: Iterable[Event] = ()) -> None:
        """events: those that were stored before the server started."""
        self._job_id = job_id
        self._events = list(events)
        self._subscribers: set[Subscriber] = set()
        self._last_created = self.last_seq

    @property
    def last_seq(self) -> int:
        """The number of the newest published event; 0 before the first."""
        return self._events[-1].seq if self._events else 0

    @property
    def is_closed(self) -> bool:
        """Whether the event of the job's end has been published."""
        return bool(self._events) and self._events[-1].type in TERMINAL

    def create(self, event_type: str, data: dict[str, Any]) -> Event:
        """The next event, which nobody sees before it is published."""
        self._last_created += 1
        return Event(event_type, self._job_id, self._last_created, now_milliseconds(), data)

    def publish(self, event: Event) -> None:
        """Append an event and offer it to all subscribers.

        After the terminal event only the milestones are kept: progress is history by then.
        """
        self._events.append(event)
        if event.type in TERMINAL:
            self._events = self.milestones()
        for subscriber in self._subscribers:
            subscriber.offer(event)

    def milestones(self) -> list[Event]:
        """All events but progress."""
        return [event for event in self._events if event.type != PROGRESS_UPDATE]

    def since(self, seq: int) -> list[Event]:
        """The published events after number `seq`."""
        return [event for event in self._events if event.seq > seq]

    def subscribe(self) -> Subscriber:
        """A new listener for what is published from now on."""
        subscriber = Subscriber()
        self._subscribers.add(subscriber)
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Stop offering events to a listener."""
        self._subscribers.discard(subscriber)
