"""Whether a worker takes messages: not while its ComfyUI is away, since others could run the jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from celery.signals import worker_ready

SECONDS = 10.0
"""For how long the broker's word is waited for."""


class Intake:
    """Stops and resumes the consumption of a Celery worker's queue. Any thread but Celery's own."""

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self._consumer: Any = None
        self._lock = threading.Lock()
        self.is_open = True
        worker_ready.connect(self._attach)

    def _attach(self, sender: Any, **options: Any) -> None:
        self._consumer = sender

    def close(self) -> None:
        """Take no further message; the broker knows when this returns."""
        self._switch(False, lambda: self._consumer.cancel_task_queue(self._queue))

    def open(self) -> None:
        """Take messages again."""
        self._switch(True, lambda: self._consumer.add_task_queue(self._queue))

    def _switch(self, is_open: bool, act: Callable[[], None]) -> None:
        with self._lock:
            if self._consumer is None or self.is_open == is_open:
                return
            done = threading.Event()

            def act_and_tell() -> None:
                try:
                    act()
                finally:
                    done.set()

            self._consumer.call_soon(act_and_tell)
            done.wait(SECONDS)
            self.is_open = is_open
