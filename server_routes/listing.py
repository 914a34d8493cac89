"""A user's jobs, page by page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from .errors import invalid_parameter
from .jobs import COMPLETED, FAILED, PROCESSING, QUEUED, Job
from .status import describe_job

MOST, USUAL = 100, 20
_STATES: Mapping[str, tuple[str, ...]] = {
    "processing": (QUEUED, PROCESSING),
    "completed": (COMPLETED,),
    "failed": (FAILED,),
}


@dataclass(frozen=True)
class Page:
    """Which jobs are asked for. before: seconds since 1970."""

    states: tuple[str, ...]
    before: float
    limit: int


def read_page(request: web.Request) -> Page:
    """The query `status`, `limit` and `before` (the `next` of the page before); raises ApiError 400."""
    status, limit = request.query.get("status"), request.query.get("limit", str(USUAL))
    if status is not None and status not in _STATES:
        message = "Invalid status. Must be processing, completed, or failed"
        raise invalid_parameter(message, "status", provided=status[:100], allowed=list(_STATES))
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= MOST):
        message = f"Invalid limit. Must be a whole number from 1 to {MOST}"
        raise invalid_parameter(message, "limit", provided=limit[:100], minimum=1, maximum=MOST)
    states = _STATES[status] if status else tuple(state for group in _STATES.values() for state in group)
    return Page(states, _read_before(request.query.get("before")), int(limit))


def _read_before(text: str | None) -> float:
    """A cursor is the microsecond in which a job was created."""
    if text is None:
        return float("inf")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        message = "Invalid before. Must be the next of a page"
        raise invalid_parameter(message, "before", provided=text[:100])
    return int(text) / 1e6


def describe_page(jobs: Sequence[Job], limit: int) -> dict[str, Any]:
    """jobs: one more than `limit` where there is a further page."""
    shown = jobs[:limit]
    further = round(shown[-1].created * 1e6) if len(jobs) > limit else None
    return {"jobs": [describe_job(job) for job in shown], "next": str(further) if further else None}
