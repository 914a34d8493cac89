"""What POST /character/check read in a picture, kept for the job that follows: it is read once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, wait

from ..pipeline.progress import Progress
from .read_picture import Reading

_STEP_SECONDS = 0.1


class KeptReadings:
    """At most `most` readings, the oldest of which is forgotten first: each takes some 20 MB."""

    def __init__(self, most: int = 2) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Future[Reading]] = OrderedDict()

    def make(self, key: str, read: Callable[[], Reading]) -> Reading:
        """read(), or what it gave for this key before. Its errors are raised and not kept."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                made = self._kept[key] = Future()
                while len(self._kept) > self._most:
                    self._kept.popitem(last=False)
        if kept is not None:
            return kept.result()
        try:
            made.set_result(read())
        except BaseException as error:
            with self._lock:
                self._kept.pop(key, None)
            made.set_exception(error)
            raise
        return made.result()

    def take(self, key: str, progress: Progress) -> Reading | None:
        """The reading of a key, which is kept no longer; None if there is none, or it failed.

        Waits while it is being made, and steps `progress` meanwhile.
        """
        with self._lock:
            found = self._kept.pop(key, None)
        if found is None:
            return None
        while not wait((found,), _STEP_SECONDS).done:
            progress(0.0)
        return None if found.exception() else found.result()


READINGS = KeptReadings()
