"""Progress of long work: a callback that receives the finished fraction and may raise to cancel."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called with the finished fraction, 0..1, at least every 0.2 s; an exception from it cancels."""

    def __call__(self, fraction: float, /) -> None:  # noqa: D102 (the class says it)
        ...


def ignore_progress(fraction: float, /) -> None:
    """A Progress that does nothing."""


def span_progress(progress: Progress, start: float, stop: float) -> Progress:
    """Return a Progress that reports its 0..1 to `progress` as start..stop."""

    def report(fraction: float, /) -> None:
        progress(start + (stop - start) * min(max(fraction, 0.0), 1.0))

    return report
